"""The one place where an event loop is started."""

from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


def run_async(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run `work` in a new event loop, uvloop's where it is installed."""
    import asyncio

    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
