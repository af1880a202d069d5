"""An event loop in a thread of its own, so that plain functions, and code on any other loop, can use what is async.

One for each server; one shared by all sending.
"""

import asyncio
import atexit
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_JOIN_S = 10.0


class Background:
    """A running loop. `run` blocks the calling thread, `submit` gives a future; `close` ends the thread."""

    def __init__(self, name: str, *, join_s: float = _JOIN_S) -> None:
        self._join_s = join_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """False after `close`, and in a child of `os.fork`: threads stay behind."""
        return self._thread.is_alive()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """The result of `work`; raises what it raises. An interrupt ends the work too."""
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def submit(self, work: Coroutine[Any, Any, _Result]) -> "Future[_Result]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """End the loop and the thread; twice does no harm. Raises RuntimeError when the thread does not end."""
        if self.is_running:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(self._join_s)
            if self._thread.is_alive():
                raise RuntimeError(f"the thread {self._thread.name} does not end: something in it blocks")
        self._loop.close()

    def _work(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())


_shared: list[Background] = []
_lock = threading.Lock()


def sending() -> Background:
    """The loop that deliveries are sent from; made at the first one, and anew in a forked child."""
    with _lock:
        if not _shared or not _shared[0].is_running:
            _shared[:] = [Background("webhookctl-sending")]
            atexit.register(close_sending)
        return _shared[0]


def close_sending() -> None:
    """End the loop that deliveries are sent from, if there is one. The next delivery makes another."""
    with _lock:
        atexit.unregister(close_sending)
        while _shared:
            background = _shared.pop()
            if background.is_running:
                background.close()
