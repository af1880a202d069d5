"""Many channels, many tunnels, large bodies: each gets its own, and the relay's memory stays small."""

import asyncio
import hashlib
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.receivers import read_message, sink
from tests.acceptance.relay_running import Relay, client, memory_kib, new_project, relay, wait_for
from tests.acceptance.relay_tunnels import all_listening, make_channels, post
from tests.acceptance.running import DEADLINE_S

pytestmark = pytest.mark.xdist_group("relay-many")

LARGE_BYTES = 100 * 1024 * 1024
PEAK_KIB = 80 * 1024
CHANNELS, DELIVERIES = 200, 10
IDLE = 300
IDLE_KIB_EACH = 64.0


def test_two_hundred_channels_at_once_each_get_their_own_in_order(tmp_path: Path) -> None:
    server = Relay(new_project(tmp_path / "relay"), tmp_path / "data")
    channels = make_channels(server.data, CHANNELS)
    bodies = [[b"%d-%d" % (channel, number) for number in range(DELIVERIES)] for channel in range(CHANNELS)]

    async def run() -> None:
        async with all_listening(server.url, channels) as listeners:
            sending = (
                post(server.url, f"/{channel.id}/x", each)
                for channel, each in zip(channels, bodies, strict=True)
            )
            answers = await asyncio.gather(*sending)
            for listener, answer, expected in zip(listeners, answers, bodies, strict=True):
                assert answer == [(200, body) for body in expected]
                assert listener.received == [(number, 1, body) for number, body in enumerate(expected, 1)]

    server.start()
    try:
        asyncio.run(run())
    finally:
        server.end()


def test_idle_tunnels_cost_little_memory(tmp_path: Path) -> None:
    server = Relay(new_project(tmp_path / "relay"), tmp_path / "data")
    channels = make_channels(server.data, IDLE)

    async def run() -> float:
        async with all_listening(server.url, channels[:20]):
            before = memory_kib(server.pid)  # what is there once is loaded
            async with all_listening(server.url, channels[20:]):
                return (memory_kib(server.pid) - before) / (IDLE - 20)

    server.start()
    try:
        each = asyncio.run(run())
    finally:
        server.end()
    print(f"{each:.1f} KiB for each idle tunnel")
    assert each < IDLE_KIB_EACH


def send_large(url: str, path: str) -> tuple[int, str]:
    """POST 100 MiB in pieces that nobody holds at once; the status, and the SHA-256 of what was sent."""
    parts = urlsplit(url)
    digest = hashlib.sha256()
    with socket.create_connection((parts.hostname or "", parts.port or 0), DEADLINE_S) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE_BYTES}\r\n\r\n"
        connection.sendall(head.encode())
        for number in range(LARGE_BYTES // 65_536):
            piece = hashlib.sha256(b"%d" % number).digest() * 2_048
            digest.update(piece)
            connection.sendall(piece)
        with connection.makefile("rb") as stream:
            response = read_message(stream)
    assert response is not None
    return response.status, digest.hexdigest()


def test_a_body_of_100_mb_goes_through_whole_and_neither_side_holds_it_in_memory(tmp_path: Path) -> None:
    with relay(tmp_path) as server, sink() as app:
        channel = server.new_channel("large", "--max-body", "128MiB", "--deadline", "1m")
        options = ("--forward-to", app.url, "--no-save", "--max-body", "128MiB")
        with client(tmp_path / "client", server.url, channel, *options) as listener:
            idle = {"relay": memory_kib(server.pid), "client": memory_kib(listener.pid)}
            status, digest = send_large(server.url, f"/{channel.id}/large")
            peak = {"relay": memory_kib(server.pid, "VmHWM"), "client": memory_kib(listener.pid, "VmHWM")}
            wait_for(lambda: not list((server.data / "spool").glob("*")), "an empty spool")
    print(f"KiB idle {idle}, at the peak {peak}")
    assert status == 200
    (request,) = app.requests
    assert len(request.body) == LARGE_BYTES
    assert hashlib.sha256(request.body).hexdigest() == digest
    assert peak["relay"] < PEAK_KIB
    assert peak["client"] < PEAK_KIB
