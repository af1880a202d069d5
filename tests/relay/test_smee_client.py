"""The real smee-client against our relay."""

import asyncio
import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.acceptance.relay_running import Wire
from tests.relay.doors import arrival, door, run
from tests.relay.streams import until, with_events

NPM = Path(__file__).parent / "npm"


def smee_client() -> Path:
    """The folder of an installed smee-client; skips where npm is missing."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is missing here: the real smee-client did not run")
    if not (NPM / "node_modules" / "smee-client").is_dir():
        command = [
            npm,
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--no-package-lock",
        ]
        done = subprocess.run(command, cwd=NPM, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            pytest.skip(f"smee-client cannot be installed here: {done.stderr.strip()[:200]}")
    return NPM


@asynccontextmanager
async def smee(folder: Path, url: str, target: str) -> AsyncIterator[None]:
    """The real smee-client, which has to run until the end."""
    with tempfile.TemporaryFile() as complaints:
        client = await asyncio.create_subprocess_exec(
            "node", "node_modules/smee-client/bin/smee.js", "--url", url, "--target", target,
            cwd=folder, stdout=asyncio.subprocess.DEVNULL, stderr=complaints,
        )  # fmt: skip
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                client.kill()
            await client.wait()
            complaints.seek(0)
            assert client.returncode == -signal.SIGKILL, f"it ended by itself: {complaints.read().decode()}"


@pytest.mark.xdist_group("npm")
def test_smee_client_as_it_is_forwards_what_a_channel_gets(tmp_path: Path) -> None:
    folder = smee_client()

    async def scene() -> None:
        seen: asyncio.Queue[bytes] = asyncio.Queue()

        async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(
                next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))[15:]
            )
            await seen.put(head + await reader.readexactly(size))
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(app, "127.0.0.1", 0)
        target = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks"
        async with door(tmp_path, keepalive_s=0.5) as at:
            channel_id = await with_events(at)
            await at.deliver(channel_id, arrival(b'{"waited": true}', number=1, X_GitHub_Event="ping"))
            async with smee(folder, f"http://127.0.0.1:{at.port}/{channel_id}", target):
                first = await seen.get()
                await at.deliver(channel_id, arrival(b'{"live":"\\u00e9"}', number=2, target="/?a=1"))
                second = await seen.get()
        server.close()
        head, _, body = first.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /hooks HTTP/1.1")
        assert b"x-github-event: ping" in head.lower()
        assert json.loads(body) == {"waited": True}
        head, _, body = second.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /hooks?a=1 HTTP/1.1")
        assert json.loads(body) == {"live": "é"}

    run(scene)


@pytest.mark.xdist_group("npm")
def test_smee_client_loses_nothing_though_the_network_is_cut_and_it_is_slower_than_the_relay(
    tmp_path: Path,
) -> None:
    """Only what was answered by the app counts: what its own request was lost with is smee-client's to lose."""
    folder, count = smee_client(), 1_500

    async def scene() -> None:
        seen: list[int] = []

        async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
                    size = int(next(line for line in head if line.startswith(b"content-length"))[15:])
                    seen.append(json.loads(await reader.readexactly(size))["n"])
                    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(app, "127.0.0.1", 0)
        target = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks"
        async with door(tmp_path, keepalive_s=0.2) as at:
            wire = Wire(at.port)
            channel_id = await with_events(at)
            async with smee(folder, f"{wire.url}/{channel_id}", target):
                for number in range(count):
                    body = json.dumps({"n": number, "text": "x" * 2_000}).encode()
                    await at.deliver(channel_id, arrival(body, number=number))
                    if number == 0:  # a cut before its first connection ends smee-client
                        await until(lambda: are_seen(seen, 1))
                    if number in (400, 800, 1_200):
                        wire.cut()
                        wire.mend()
                await until(lambda: are_seen(seen, count))
            wire.close()
        server.close()
        assert set(seen) == set(range(count))

    run(scene, limit_s=90)


async def are_seen(seen: list[int], count: int) -> bool:
    return len(set(seen)) >= count
