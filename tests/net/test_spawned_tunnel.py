"""cloudflared and ngrok beside a listener: their URL, their complaints, their death, and that none is left behind."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.net.programs import Programs, programs
from tests.processes import is_alive
from webhookctl.errors import RelayError
from webhookctl.net import spawned_tunnel
from webhookctl.net.spawned_tunnel import CLOUDFLARED, NGROK, SpawnedTunnel, Tool
from webhookctl.net.tunnel import Clock

__all__ = ["programs"]
T = TypeVar("T")
LOCAL = "http://127.0.0.1:4400"


def run(work: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(30):
            return await work

    return asyncio.run(limited())


class Scene:
    """A tunnel whose waits take no time, and what it told."""

    def __init__(self, tool: Tool, local_url: str = LOCAL) -> None:
        self.opened: list[str] = []
        self.lost: list[tuple[str, float]] = []
        self.troubles: list[str] = []
        self.when_told: Callable[[], None] = lambda: None
        self.is_open = asyncio.Event()
        clock = Clock(wall_s=lambda: 0.0, sleep=self.sleep, chance=lambda: 1.0)
        self.tunnel = SpawnedTunnel(
            tool,
            local_url,
            clock=clock,
            on_open=self.on_open,
            on_trouble=self.on_trouble,
            on_lost=lambda reason, wait_s: self.lost.append((reason, wait_s)),
        )

    async def on_open(self, url: str) -> None:
        self.opened.append(url)
        self.is_open.set()

    def on_trouble(self, reason: str) -> None:
        self.troubles.append(reason)
        self.when_told()

    async def sleep(self, _: float) -> None:
        await asyncio.sleep(0)


def opened(tool: Tool, local_url: str = LOCAL) -> str:
    async def scene() -> str:
        tunnel = Scene(tool, local_url).tunnel
        try:
            return await tunnel.open()
        finally:
            await tunnel.stop()

    return run(scene())


def failure(tool: Tool) -> RelayError:
    with pytest.raises(RelayError) as caught:
        opened(tool)
    return caught.value


def test_cloudflared_gives_its_url_from_the_box_on_stderr(programs: Programs) -> None:
    programs.cloudflared("box('https://calm-river.trycloudflare.com'); registered(); time.sleep(60)")
    assert opened(CLOUDFLARED) == "https://calm-river.trycloudflare.com"


def test_cloudflared_is_told_the_local_url_and_nothing_of_the_users_configuration(programs: Programs) -> None:
    code = "open(sys.argv[0] + '.seen', 'w').write(' '.join(sys.argv[1:]))"
    programs.cloudflared(f"{code}; box('https://a.trycloudflare.com'); registered(); time.sleep(60)")
    opened(CLOUDFLARED)
    seen = programs.folder / "cloudflared.seen"
    assert seen.read_text() == f"tunnel --config {os.devnull} --no-autoupdate --url http://127.0.0.1:4400"
    opened(CLOUDFLARED, "https://127.0.0.1:4400")
    assert "--no-tls-verify" in seen.read_text()


def test_ngrok_gives_its_url_in_a_line_of_json(programs: Programs) -> None:
    programs.ngrok("started('https://ab12.ngrok-free.app/'); time.sleep(60)")
    assert opened(NGROK) == "https://ab12.ngrok-free.app"


def test_a_program_that_is_not_there_is_an_error_that_says_how_to_get_it(programs: Programs) -> None:
    error = failure(CLOUDFLARED)
    assert error.code == "tunnel-missing"
    assert "install" in error.hint
    assert failure(NGROK).message == "ngrok is not found on the PATH"


def test_cloudflared_that_is_refused_tells_why(programs: Programs) -> None:
    programs.cloudflared(
        "say('2026-11-23T10:00:00Z ERR Error requesting new quick Tunnel: 429 Too Many Requests'); sys.exit(1)"
    )
    error = failure(CLOUDFLARED)
    assert error.code == "tunnel-failed"
    assert "exit code 1" in error.message
    assert "429 Too Many Requests" in error.message
    assert "limits" in error.hint


def test_an_address_in_an_error_of_cloudflared_is_not_its_url(programs: Programs) -> None:
    programs.cloudflared(
        "say('failed to request quick Tunnel: Post \"https://api.trycloudflare.com/tunnel\": no route'); sys.exit(3)"
    )
    error = failure(CLOUDFLARED)
    assert "exit code 3" in error.message
    assert "no route" in error.message


def test_ngrok_without_a_token_is_told_how_to_give_one(programs: Programs) -> None:
    programs.ngrok(
        "print('ERROR:  authentication failed: an account is needed'); print('ERROR:'); "
        "print('ERROR:  ERR_NGROK_4018', flush=True); sys.exit(1)"
    )
    error = failure(NGROK)
    assert "authentication failed" in error.message
    assert "add-authtoken" in error.hint


def test_the_complaints_in_ngroks_json_are_told(programs: Programs) -> None:
    programs.ngrok(
        "line(lvl='eror', msg='session closed', err='one session at a time ERR_NGROK_108'); sys.exit(1)"
    )
    error = failure(NGROK)
    assert "one session at a time" in error.message
    assert "another ngrok" in error.hint


@pytest.mark.parametrize(
    "url", ["https://evil.example/\\x1b]0;x", "javascript:alert(1)", "https://a b", "http://user@host", ""]
)
def test_a_url_that_is_none_is_not_taken(programs: Programs, url: str) -> None:
    programs.ngrok(f"started({url!r}); sys.exit(0)")
    assert failure(NGROK).code == "tunnel-failed"


def test_garbage_and_megabytes_of_it_do_not_block_or_grow(programs: Programs) -> None:
    programs.ngrok(
        "sys.stdout.buffer.write(b'\\xff\\x00' * 3_000_000 + b'\\n[1]\\n{\\n' + b'x' * 3_000_000 + b'\\n')\n"
        "print('[' * 10_000)\n"
        "started('https://ab12.ngrok-free.app'); time.sleep(60)"
    )

    async def scene() -> None:
        tunnel = Scene(NGROK).tunnel
        assert await tunnel.open() == "https://ab12.ngrok-free.app"
        assert max(map(len, tunnel._output.lines)) <= 300
        await tunnel.stop()

    run(scene())


def test_one_that_hangs_is_given_up_and_ended(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawned_tunnel, "_URL_S", 0.5)
    monkeypatch.setattr(spawned_tunnel, "_GRACE_S", 0.2)
    programs.cloudflared(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open(sys.argv[0] + '.pid', 'w').write(str(os.getpid()))\n"
        "say('INF thinking'); time.sleep(600)"
    )
    error = failure(CLOUDFLARED)
    assert error.code == "tunnel-timeout"
    assert "INF thinking" in error.message
    assert not is_alive(int((programs.folder / "cloudflared.pid").read_text()))


def test_what_it_complains_of_is_told_while_its_url_is_waited_for(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spawned_tunnel, "_PATIENCE_S", 0.5)
    programs.ngrok("""
        line(lvl="eror", msg="failed to reconnect session", err="lookup failed")
        while not os.path.exists(sys.argv[0] + ".told"):
            time.sleep(0.01)
        started("https://late.ngrok.app"); time.sleep(60)
        """)

    async def scene() -> list[str]:
        scene = Scene(NGROK)
        scene.when_told = (programs.folder / "ngrok.told").touch
        try:
            assert await scene.tunnel.open() == "https://late.ngrok.app"
        finally:
            await scene.tunnel.stop()
        return scene.troubles

    assert run(scene()) == ["ngrok has no public URL yet: lookup failed"]


def test_one_that_only_takes_its_time_is_no_trouble(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spawned_tunnel, "_PATIENCE_S", 0.2)
    monkeypatch.setattr(spawned_tunnel, "_URL_S", 0.4)
    programs.ngrok('line(lvl="info", msg="starting web service"); time.sleep(60)')

    async def scene() -> list[str]:
        scene = Scene(NGROK)
        with pytest.raises(RelayError, match="gave no URL within"):
            await scene.tunnel.open()
        return scene.troubles

    assert run(scene()) == []


def test_a_url_without_a_connection_is_taken_after_a_while(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spawned_tunnel, "_READY_S", 0.1)
    programs.cloudflared("box('https://slow.trycloudflare.com'); time.sleep(60)")
    assert opened(CLOUDFLARED) == "https://slow.trycloudflare.com"


def test_one_that_dies_is_told_of_and_started_again_until_it_is_up(programs: Programs) -> None:
    programs.cloudflared("""
        count = sys.argv[0] + '.count'
        n = int(open(count).read()) if os.path.exists(count) else 0
        open(count, 'w').write(str(n + 1))
        if n == 1:
            say('ERR no way today'); sys.exit(9)
        box(f'https://run-{n}.trycloudflare.com'); registered()
        if n == 0:
            say('ERR the edge is gone'); sys.exit(7)
        time.sleep(60)
        """)

    async def scene() -> Scene:
        scene = Scene(CLOUDFLARED)
        assert await scene.tunnel.open() == "https://run-0.trycloudflare.com"
        running = asyncio.ensure_future(scene.tunnel.run())
        await scene.is_open.wait()
        running.cancel()
        await asyncio.wait({running})
        await scene.tunnel.stop()
        return scene

    scene_ = run(scene())
    assert scene_.opened == ["https://run-2.trycloudflare.com"]
    (first, first_wait_s), (second, second_wait_s) = scene_.lost
    assert first == "cloudflared ended (exit code 7): the edge is gone"
    assert "no way today" in second
    assert first_wait_s == second_wait_s == 1.0


def test_stopping_ends_what_the_program_started_too(programs: Programs) -> None:
    programs.ngrok(
        "child = os.fork()\n"
        "if child == 0:\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)\n"
        "open(sys.argv[0] + '.pid', 'w').write(f'{os.getpid()} {child}')\n"
        "started('https://ab12.ngrok-free.app'); time.sleep(60)"
    )
    assert opened(NGROK)
    for process_id in (programs.folder / "ngrok.pid").read_text().split():
        wait_until_gone(int(process_id))


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_nothing_is_left_behind_when_we_are_killed(programs: Programs, tmp_path: Path) -> None:
    programs.ngrok(
        "open(sys.argv[0] + '.pid', 'w').write(str(os.getpid()))\n"
        "started('https://ab12.ngrok-free.app'); time.sleep(600)"
    )
    code = (
        "import asyncio, os, signal\n"
        "from webhookctl.net.spawned_tunnel import NGROK, SpawnedTunnel\n"
        "from webhookctl.net.tunnel import Clock\n"
        "async def main():\n"
        "    tunnel = SpawnedTunnel(NGROK, 'http://127.0.0.1:1', clock=Clock(wall_s=lambda: 0.0),\n"
        "                           on_open=None, on_lost=None, on_trouble=None)\n"
        "    await tunnel.open()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=30)
    assert done.returncode == -9
    wait_until_gone(int((programs.folder / "ngrok.pid").read_text()))


def wait_until_gone(process_id: int) -> None:
    """The kernel ends a process a moment after it was told to."""

    async def gone() -> None:
        while is_alive(process_id):
            await asyncio.sleep(0.01)

    run(gone())
