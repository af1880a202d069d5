"""An event loop in a thread of its own, so that plain functions, and code on any other loop, can use what is async.

One for each server; one shared by all sending.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_JOIN_S = 10.0


class Background:
    """A running loop. `run` blocks the calling thread, `submit` gives a future; `close` ends the thread."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """The result of `work`; raises what it raises."""
        return self.submit(work).result()

    def submit(self, work: Coroutine[Any, Any, _Result]) -> "Future[_Result]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """End the loop and the thread. Raises RuntimeError when the thread does not end."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            raise RuntimeError(f"the thread {self._thread.name} does not end: something in it blocks")
        self._loop.close()

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())


_shared: list[Background] = []
_lock = threading.Lock()


def sending() -> Background:
    """The loop that deliveries are sent from; made at the first one."""
    with _lock:
        if not _shared:
            _shared.append(Background("webhookctl-sending"))
        return _shared[0]
