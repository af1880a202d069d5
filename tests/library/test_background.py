"""A loop in a thread: it ends, it interrupts, it does not survive a fork."""

import asyncio
import os
import threading

import pytest

from webhookctl.library.background import Background, close_sending, sending


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


async def value_of(value: int) -> int:
    return value


def test_it_gives_the_result_of_the_work() -> None:
    background = Background("one")
    assert background.run(value_of(3)) == 3
    background.close()


def test_it_raises_what_the_work_raises() -> None:
    async def fail() -> None:
        raise KeyError("x")

    background = Background("one")
    with pytest.raises(KeyError):
        background.run(fail())
    background.close()


def test_a_closed_one_leaves_no_thread_and_no_task() -> None:
    before = threading.active_count()
    background = Background("two")
    cancelled = threading.Event()

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def begin() -> None:
        await asyncio.get_running_loop().run_in_executor(None, threading.get_ident)

    background.run(begin())
    future = background.submit(wait_for_ever())
    background.run(value_of(1))
    background.close()
    assert cancelled.is_set()
    assert future.cancelled()
    assert not background.is_running
    assert threading.active_count() == before


def test_closing_twice_does_no_harm() -> None:
    background = Background("three")
    background.close()
    background.close()


def test_a_thread_that_blocks_is_named() -> None:
    background = Background("stubborn", join_s=0.05)
    blocked, free = threading.Event(), threading.Event()

    async def block() -> None:
        blocked.set()
        free.wait()

    background.submit(block())
    blocked.wait()
    with pytest.raises(RuntimeError, match="the thread stubborn does not end"):
        background.close()
    free.set()
    background.close()
    assert "stubborn" not in threads()


def test_sending_is_shared_and_made_anew_after_it_was_closed() -> None:
    first = sending()
    assert sending() is first
    close_sending()
    assert not first.is_running
    assert "webhookctl-sending" not in threads()
    assert sending() is not first
    close_sending()
    close_sending()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_sends_from_a_thread_of_its_own() -> None:
    from webhookctl import WebhookServer, forge

    delivery = forge("github", "push", secret="s")
    with WebhookServer() as server:
        delivery.send(server.url)
        child = os.fork()
        if not child:
            try:
                os._exit(0 if delivery.send(server.url).status == 200 else 1)
            finally:
                os._exit(2)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert len(server.received) == 2
    close_sending()
