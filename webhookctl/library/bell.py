"""Wakes a task of asyncio or trio from another thread, and leaves nothing behind when the task is cancelled.

Knows neither servers nor deliveries; trio is used where it runs, never imported.
"""

import asyncio
import sys
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class Bell:
    """Made in the task that waits; `ring` may be called from any thread, early, late and often."""

    def __init__(self) -> None:
        self._trio: Any = _running_trio()
        if self._trio is None:
            self._post: Any = asyncio.get_running_loop().call_soon_threadsafe
            self._event: Any = asyncio.Event()
        else:
            self._post = self._trio.lowlevel.current_trio_token().run_sync_soon
            self._event = self._trio.Event()

    def ring(self) -> None:
        with suppress(RuntimeError):  # the loop is over, and with it whoever waited
            self._post(self._event.set)

    async def wait(self, timeout_s: float | None = None) -> None:
        """Return once it has rung. Raises TimeoutError."""
        if self._trio is None:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        else:
            limit_s = float("inf") if timeout_s is None else max(timeout_s, 0.0)
            with self._trio.move_on_after(limit_s):
                await self._event.wait()
            if not self._event.is_set():
                raise TimeoutError


async def result_of(future: "Future[_Result]") -> _Result:
    """The result of what runs in another thread; cancelling the wait cancels it."""
    bell = Bell()
    future.add_done_callback(lambda _: bell.ring())
    try:
        await bell.wait()
    except BaseException:
        future.cancel()
        raise
    return future.result()


def _running_trio() -> Any:
    """The module trio when this is one of its tasks, else None."""
    trio = sys.modules.get("trio")
    if trio is not None:
        with suppress(RuntimeError):
            trio.lowlevel.current_task()
            return trio
    return None
