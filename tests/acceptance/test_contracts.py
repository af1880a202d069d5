"""`webhookctl test` as a process: interrupted, killed, watched at a terminal, watching files."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.running import DEADLINE_S, Lines, Project, unsafe_characters
from tests.cli.receivers import CONTRACT, SOURCE
from tests.processes import is_alive


@pytest.fixture
def shop(project: Project) -> Project:
    """A project with a receiver and its contract."""
    (project.folder / "contracts").mkdir()
    (project.folder / "receiver.py").write_text(SOURCE)
    with_fault(project, "")
    tree = str(Path(__file__).parents[2])  # also where another is installed
    return project.with_environment(STRIPE_WEBHOOK_SECRET="whsec_of_the_tests", PYTHONPATH=tree)


def with_fault(project: Project, fault: str, text: str = CONTRACT) -> None:
    text = text.replace("PYTHON", sys.executable).replace('"receiver.py"', '"../receiver.py"')
    (project.folder / "contracts" / "shop.contract.toml").write_text(text.replace("FAULT", fault))


@contextmanager
def playing(
    project: Project, *arguments: str, is_watched: bool = False
) -> "Iterator[tuple[subprocess.Popen[bytes], Lines]]":
    """`test` as a process, its output as it comes; at a terminal when `is_watched`."""
    ours, theirs = pty.openpty() if is_watched else os.pipe()
    if is_watched:
        project = project.with_environment(TERM="xterm-256color", COLUMNS="100")
    process = subprocess.Popen(
        [sys.executable, "-m", "webhookctl", "test", *arguments],
        cwd=project.folder,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    lines = Lines(lambda: os.read(ours, 65_536))
    try:
        yield process, lines
    finally:
        process.kill()
        process.wait()
        lines.join()
        os.close(ours)


def text(lines: Lines) -> str:
    return lines.raw.decode("utf-8", "replace")


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def receivers(project: Project) -> list[int]:
    """The process ids of all receivers that came up so far."""
    return [int(path.name.removeprefix("pid-")) for path in (project.folder / "contracts").glob("pid-*")]


def test_ctrl_c_ends_the_run_and_the_receiver(shop: Project) -> None:
    with_fault(shop, "hangs", CONTRACT.replace('within = "300ms"', 'within = "60s"'))
    with playing(shop) as (process, lines):
        until(lambda: bool(receivers(shop)))
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 130
        lines.join()
        assert "Traceback" not in text(lines)
    until(lambda: not any(is_alive(pid) for pid in receivers(shop)))


def test_ctrl_c_while_a_receiver_starts_leaves_nothing(shop: Project) -> None:
    source = SOURCE.replace(
        'if fault == "never":', 'open("pid-" + str(os.getpid()), "w").close()\nif fault == "never":'
    )
    (shop.folder / "receiver.py").write_text(source)
    with_fault(shop, "never")
    with playing(shop) as (process, _):
        until(lambda: bool(receivers(shop)))
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 130
    until(lambda: not any(is_alive(pid) for pid in receivers(shop)))


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG")
def test_a_receiver_does_not_outlive_a_run_that_is_killed(shop: Project) -> None:
    with_fault(shop, "hangs", CONTRACT.replace('within = "300ms"', 'within = "60s"'))
    with playing(shop) as (process, _):
        until(lambda: bool(receivers(shop)))
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE_S)
    until(lambda: not any(is_alive(pid) for pid in receivers(shop)))


def test_at_a_terminal_the_case_that_is_played_is_shown_and_taken_away(shop: Project) -> None:
    with playing(shop, is_watched=True) as (process, lines):
        assert process.wait(DEADLINE_S) == 0
        lines.join()
        shown = text(lines)
    assert "\r\x1b[2K  1/4  paid once\r\x1b[2K" in shown
    assert "4/4  forged [stale]" in shown
    assert shown.rstrip().rpartition("\x1b[2K")[2].count("passed") == 2  # the last case, and the sum
    assert unsafe_characters(shown.replace("\r\x1b[2K", "").encode()) == []


def test_into_a_pipe_goes_no_cursor_movement(shop: Project) -> None:
    with playing(shop) as (process, lines):
        assert process.wait(DEADLINE_S) == 0
        lines.join()
        assert "\x1b" not in text(lines)
        assert "1/4" not in text(lines)


def test_what_a_contract_or_a_receiver_says_cannot_move_the_cursor(shop: Project) -> None:
    nasty = 'name = "paid \\u001b[2J once \\u202e"'
    with_fault(shop, "dies", CONTRACT.replace('name = "paid once"', nasty))
    source = SOURCE.replace('print("got"', 'print("\\x1b]0;title\\x07 got"')
    (shop.folder / "receiver.py").write_text(source)
    with playing(shop, is_watched=True) as (process, lines):
        assert process.wait(DEADLINE_S) == 5
        lines.join()
        assert unsafe_characters(lines.raw.replace(b"\r\x1b[2K", b"")) == []


def test_a_watched_project_is_played_again_when_a_file_changes(shop: Project) -> None:
    with_fault(shop, "stale")
    with playing(shop, "--watch", "-k", "stale") as (process, lines):
        lines.wait_until(lambda: "waiting for a change" in text(lines), "the first run")
        assert "1 failed" in text(lines)
        with_fault(shop, "")
        lines.wait_until(lambda: "1 passed" in text(lines), "the second run")
        lines.wait_until(lambda: text(lines).count("waiting for a change") == 2, "waiting")
        (shop.folder / "contracts" / "shop.contract.toml").write_text("version = 1\n")
        lines.wait_until(lambda: "[receiver] is missing" in text(lines), "the error")
        lines.wait_until(lambda: text(lines).count("waiting for a change") == 3, "waiting")
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 130
        assert "shop.contract.toml changed" in text(lines)
