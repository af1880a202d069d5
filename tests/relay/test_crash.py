"""A relay that is killed, and one whose disk is full: what was promised is there, what was not is said."""

import asyncio
import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from tests.relay.harness import Clock
from webhookctl.relay.channel import new_channel
from webhookctl.relay.sqlite_broker import SqliteBroker
from webhookctl.relay.uploads import INLINE_BYTES

_PAUSE = threading.Event()
DEADLINE_S = 60
"""How long anything may take before the test fails. Far above what it takes, so that a busy machine passes."""
_LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
os.execv(sys.argv[2], sys.argv[2:])
"""


@contextmanager
def serving(data: Path, *, file_limit: int | None = None) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """`webhookctl relay serve` on `data`: the process and its port. No file of its grows beyond `file_limit` bytes."""
    limited = [sys.executable, "-c", _LIMITED, str(file_limit)] if file_limit else []
    command = [
        *limited,
        sys.executable,
        "-m",
        "webhookctl",
        "relay",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--plain",
    ]
    process = subprocess.Popen(
        [*command, "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "HOME": str(data.parent)},
    )
    try:
        assert process.stdout is not None
        seen = ""
        for line in process.stdout:
            seen += line
            if "Ready on" in line:
                yield process, int(line.split("Ready on http://127.0.0.1:")[1].split()[0])
                break
        else:
            raise AssertionError(seen)
    finally:
        process.kill()
        process.communicate()


def channel_in(data: Path) -> str:
    """The id of a new channel in the data folder."""

    async def make() -> str:
        async with SqliteBroker(data, now_s=Clock()) as broker:
            made, _ = new_channel("my-app", now_s=Clock()(), random_bytes=os.urandom)
            await broker.create_channel(made)
            return made.id

    return asyncio.run(make())


def stored(data: Path, channel_id: str) -> dict[str, tuple[int, int]]:
    """What is stored: sequence number and body size by delivery id. Every body can be read."""

    async def look() -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        async with SqliteBroker(data, now_s=Clock()) as broker:
            last = 0
            while page := await broker.read(channel_id, after=last, limit=64):
                for queued in page:
                    body = queued.arrival.body
                    if not isinstance(body, bytes):
                        body = await broker.read_body(body, offset=0, size=body.size)
                    found[queued.arrival.delivery_id] = (queued.seq, len(body))
                last = page[-1].seq
            named = {path.name for path in (data / "spool").iterdir()}
            assert named == {name for name, (_, size) in found.items() if size > INLINE_BYTES}
        return found

    return asyncio.run(look())


def test_what_was_answered_is_there_after_kill_9_in_a_burst(tmp_path: Path) -> None:
    data = tmp_path / "data"
    channel_id = channel_in(data)
    answered: list[tuple[str, int]] = []
    with serving(data) as (process, port):

        def burst(number: int) -> None:
            size = 300_000 if number % 4 == 0 else 1_000
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
            try:
                while True:
                    connection.request("POST", f"/{channel_id}", b"x" * size)
                    response = connection.getresponse()
                    response.read()
                    assert response.status == 202
                    answered.append((response.headers["Webhookctl-Delivery-Id"], size))
            except (OSError, http.client.HTTPException):
                return  # killed
            finally:
                connection.close()

        threads = [threading.Thread(target=burst, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        end_s = monotonic() + DEADLINE_S
        while len(answered) < 300:
            assert monotonic() < end_s
            _PAUSE.wait(0.005)
        process.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join()
    found = stored(data, channel_id)
    assert {name: found[name][1] for name, _ in answered} == dict(answered)
    assert sorted(seq for seq, _ in found.values()) == list(range(1, len(found) + 1))


def test_a_full_disk_is_said_and_survived(tmp_path: Path) -> None:
    data = tmp_path / "data"
    channel_id = channel_in(data)

    def ask(method: str, path: str, body: bytes = b"") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, body)
            return connection.getresponse().status
        finally:
            connection.close()

    accepted = 0
    with serving(data, file_limit=1_500_000) as (process, port):
        assert ask("POST", f"/{channel_id}", b"x" * 2_000_000) == 507
        statuses = [ask("POST", f"/{channel_id}", b"x" * 60_000) for _ in range(60)]
        accepted = statuses.count(202)
        assert set(statuses) == {202, statuses[-1]}
        assert statuses[-1] in (503, 507)
        assert 0 < accepted < 60
        assert ask("GET", "/.webhookctl/ready") == 503
        assert ask("GET", "/.webhookctl/health") == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    assert len(stored(data, channel_id)) == accepted


def test_a_relay_that_is_asked_to_stop_ends_well(tmp_path: Path) -> None:
    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        with serving(tmp_path / "data") as (process, _):
            process.send_signal(number)
            assert process.wait(DEADLINE_S) == code
