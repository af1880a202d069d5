"""A process of the user's: its output, its end, and that nothing of it is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from tests.processes import is_alive
from webhookctl.errors import EndpointError
from webhookctl.net.process import OUTPUT_BYTES, Process

Work = Callable[[Path], Awaitable[None]]
on_both_loops = pytest.mark.parametrize(
    "loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


def run(work: Awaitable[None], loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await work

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(bounded())


async def start(code: str, folder: Path, **more: bool) -> Process:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return await Process.start([sys.executable, "-c", code], environment=environment, folder=folder, **more)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.01)


@on_both_loops
def test_output_of_both_streams_is_kept_in_order_and_the_end_is_told(
    loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    async def work() -> None:
        code = "import sys; print('out', flush=True); print('err', file=sys.stderr, flush=True); sys.exit(3)"
        process = await start(code, tmp_path)
        await process.wait()
        assert (process.output(), process.exit_code) == ("out\nerr\n", 3)
        assert process.ended.endswith("ended with exit code 3")
        await process.stop(after_s=1)

    run(work(), loop)


@on_both_loops
def test_errors_are_kept_apart_when_asked_for(
    loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    async def work() -> None:
        process = await start(
            "import sys; print('out'); print('err', file=sys.stderr)", tmp_path, has_own_errors=True
        )
        await process.wait()
        assert (process.output(), process.errors()) == ("out\n", "err\n")
        await process.stop(after_s=1)

    run(work(), loop)


@on_both_loops
def test_of_megabytes_the_last_are_kept_with_a_word_on_the_others(
    loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    async def work() -> None:
        process = await start("print('x' * 3_000_000); print('the end')", tmp_path)
        await process.wait()
        text = process.output()
        assert text.startswith(f"… {3_000_009 - OUTPUT_BYTES:,} bytes before this\n")
        assert text.endswith("xxx\nthe end\n")
        assert len(text) < OUTPUT_BYTES + 100
        await process.stop(after_s=1)

    run(work(), loop)


@on_both_loops
def test_what_ignores_sigterm_is_killed_with_its_children(
    loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        "if child: print(child, flush=True)\n"
        "time.sleep(60)\n"
    )

    async def work() -> None:
        process = await start(code, tmp_path)
        await process.until(lambda: process.output().endswith("\n"))
        child = int(process.output())
        assert is_alive(child)
        await process.stop(after_s=0.2)
        assert process.ended.endswith("was ended by SIGKILL")
        await until(lambda: not is_alive(child))

    run(work(), loop)


@pytest.mark.skipif(sys.platform != "linux", reason="found by /proc")
@on_both_loops
def test_what_went_into_a_session_of_its_own_is_found_too(
    loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
    )

    async def work() -> None:
        process = await start(code, tmp_path)
        await process.wait()
        await until(lambda: process.output().endswith("\n"))
        stray = int(process.output())
        assert is_alive(stray)
        assert process.ended.endswith("exit code 0")
        await process.stop(after_s=5)
        await until(lambda: not is_alive(stray))

    run(work(), loop)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@on_both_loops
def test_other_processes_may_end_while_strays_are_looked_for(
    loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = []
    listdir, read_bytes = os.listdir, Path.read_bytes

    def with_one_that_ended(path: str) -> list[str]:
        return ["4194305", *listdir(path)]  # above the largest number that Linux gives

    def read(path: Path) -> bytes:
        looked_at.append(path.parent.name)
        if path.parent.name == str(os.getpid()):
            raise ProcessLookupError  # what the kernel says between its end and its burial
        return read_bytes(path)

    async def work() -> None:
        code = "import subprocess; print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid)"
        process = await start(code, tmp_path)
        await process.wait()
        stray = int(process.output())
        monkeypatch.setattr(os, "listdir", with_one_that_ended)
        monkeypatch.setattr(Path, "read_bytes", read)
        await process.stop(after_s=1)
        monkeypatch.undo()
        await until(lambda: not is_alive(stray))

    run(work(), loop)
    assert {"4194305", str(os.getpid())} <= set(looked_at)


@on_both_loops
def test_who_waits_for_output_is_told_when_it_ended_without(
    loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    async def work() -> None:
        process = await start("print('something else')", tmp_path)
        await process.until(lambda: "ready" in process.output())
        assert "exit code 0" in process.ended
        await process.stop(after_s=1)

    run(work(), loop)


@on_both_loops
def test_a_start_that_is_given_up_leaves_nothing(
    loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    mark = tmp_path / "pid"
    code = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"

    async def work() -> None:
        task = asyncio.get_running_loop().create_task(start(code, tmp_path), name="start")
        await asyncio.sleep(0)  # the start is under way
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if mark.exists() and mark.read_text():
            pid = int(mark.read_text())
            await until(lambda: not is_alive(pid))

    run(work(), loop)


@on_both_loops
@pytest.mark.parametrize(
    ("arguments", "folder", "words"),
    [
        (["no-such-command-here"], ".", "could not be started: No such file"),
        (["/"], ".", "could not be started: Permission denied"),
        (["true"], "gone", "there is no folder"),
        (["a\0b"], ".", "could not be started"),
    ],
)
def test_what_cannot_be_started_is_one_error(
    loop: Callable[[], asyncio.AbstractEventLoop],
    tmp_path: Path,
    arguments: list[str],
    folder: str,
    words: str,
) -> None:
    async def work() -> None:
        with pytest.raises(EndpointError, match=words) as caught:
            await Process.start(arguments, environment=dict(os.environ), folder=tmp_path / folder)
        assert caught.value.code == "command-failed"

    run(work(), loop)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG")
def test_it_dies_with_us_however_we_die(tmp_path: Path) -> None:
    parent = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from webhookctl.net.process import Process\n"
        "async def work():\n"
        "    code = 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'\n"
        "    command = [sys.executable, '-c', code]\n"
        "    process = await Process.start(command, environment=dict(os.environ), folder=Path('.'))\n"
        "    await process.until(lambda: process.output().endswith('\\n'))\n"
        "    print(process.output(), end='', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(work())\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, cwd=Path.cwd()) as ours:
        assert ours.stdout is not None
        child = int(ours.stdout.readline())
        assert is_alive(child)
        os.kill(ours.pid, signal.SIGKILL)
    asyncio.run(until(lambda: not is_alive(child)))
