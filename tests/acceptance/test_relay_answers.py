"""What the sender is told: the app's answer in time, else what the channel's policy says, and when."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from tests.acceptance.receivers import Answer, RawMessage, Received, Sender, app, raw_request, send_raw, sink
from tests.acceptance.relay_running import ChannelKey, Relay, client, relay, wait_for, wire
from tests.acceptance.running import DEADLINE_S
from tests.ports import free_port

pytestmark = pytest.mark.xdist_group("relay-answers")


def header(message: RawMessage, wanted: bytes) -> str | None:
    return next((value.decode() for name, value in message.headers if name.lower() == wanted), None)


def told(message: RawMessage) -> tuple[int, str | None]:
    return message.status, header(message, b"webhookctl-status")


class Gate:
    """An app that answers when it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def __call__(self, received: Received) -> Answer:
        self.let_go.wait(DEADLINE_S)
        return 201, b"made\n"


@contextmanager
def channel_of(folder: Path, *options: str) -> Iterator[tuple[Relay, ChannelKey]]:
    with relay(folder) as server:
        yield server, server.new_channel("answers", *options)


def post(server: Relay, channel: ChannelKey, body: bytes = b'{"n":1}') -> RawMessage:
    return send_raw(server.url, raw_request(f"/{channel.id}/hooks", body))


@pytest.mark.parametrize(
    ("policy", "expected"), [("queued", (202, "queued")), ("unavailable", (503, "unavailable"))]
)
def test_with_nobody_connected_the_policy_answers_at_once(
    tmp_path: Path, policy: str, expected: tuple[int, str]
) -> None:
    with channel_of(tmp_path, "--policy", policy, "--deadline", "1h") as (server, channel):
        answer = post(server, channel)
        assert told(answer) == expected
        assert (header(answer, b"retry-after") is not None) == (policy == "unavailable")
        assert header(answer, b"webhookctl-delivery-id")


@pytest.mark.parametrize(
    ("policy", "expected"), [("queued", (202, "queued")), ("unavailable", (503, "unavailable"))]
)
def test_when_the_app_takes_longer_than_the_deadline_the_policy_answers(
    tmp_path: Path, policy: str, expected: tuple[int, str]
) -> None:
    gate = Gate()
    with channel_of(tmp_path, "--policy", policy, "--deadline", "300ms") as (server, channel):
        with (
            app(gate) as slow,
            client(tmp_path / "client", server.url, channel, "--forward-to", slow.url) as listener,
        ):
            began_s = monotonic()
            answer = post(server, channel)
            assert monotonic() - began_s >= 0.3
            assert told(answer) == expected
            gate.let_go.set()
            slow.wait_for(1)
            assert listener.listening is not None
            (response,) = listener.listening.wait_for("response")
            assert response["status"] == 201
            late = post(server, channel)
        assert told(late) == (201, "delivered")
        assert late.body == b"made\n"
        assert [each.body for each in slow.received] == [
            b'{"n":1}'
        ] * 2  # the late answer acknowledged the first


def test_hold_keeps_the_sender_until_a_client_comes_and_the_app_has_answered(tmp_path: Path) -> None:
    with (
        channel_of(tmp_path, "--policy", "hold", "--deadline", "100ms") as (server, channel),
        ThreadPoolExecutor(1) as pool,
        app(lambda _: (200, b"at last\n")) as there,
    ):
        waiting = pool.submit(post, server, channel)
        wait_for(lambda: server.channel("answers")["pending"] == 1, "the delivery")
        assert not waiting.done()
        with client(tmp_path / "client", server.url, channel, "--forward-to", there.url):
            answer = waiting.result(DEADLINE_S)
    assert answer.status == 200
    assert answer.body == b"at last\n"
    assert header(answer, b"webhookctl-status") in ("held", "delivered")


def test_a_sender_who_leaves_early_loses_nothing(tmp_path: Path) -> None:
    with channel_of(tmp_path, "--policy", "hold") as (server, channel), app() as there:
        with Sender(server.url) as sender:
            sender._socket.sendall(raw_request(f"/{channel.id}/hooks", b'{"n":2}'))
            wait_for(lambda: server.channel("answers")["pending"] == 1, "the delivery")
        with client(tmp_path / "client", server.url, channel, "--forward-to", there.url):
            (received,) = there.wait_for(1)
    assert received.body == b'{"n":2}'


def test_an_app_that_cannot_be_reached_holds_the_queue_in_order_until_it_is_back(tmp_path: Path) -> None:
    with channel_of(tmp_path, "--deadline", "200ms") as (server, channel):
        port = free_port()
        with client(tmp_path / "client", server.url, channel, "--forward-to", f"{port}"):
            answers = [post(server, channel, b'{"n":%d}' % number) for number in range(5)]
            assert [told(answer) for answer in answers] == [(202, "queued")] * 5
            with sink(port=port) as back:
                wait_for(lambda: len(back.requests) == 5, "the deliveries")
                wait_for(lambda: server.channel("answers")["pending"] == 0, "the acknowledgements")
    assert [request.body for request in back.requests] == [b'{"n":%d}' % number for number in range(5)]


def test_what_came_while_the_client_was_away_comes_in_order_when_it_is_back(tmp_path: Path) -> None:
    with channel_of(tmp_path) as (server, channel), sink() as there:
        for number in range(50):
            assert told(post(server, channel, b'{"n":%d}' % number)) == (202, "queued")
        with client(tmp_path / "client", server.url, channel, "--forward-to", there.url):
            wait_for(lambda: len(there.requests) == 50, "the deliveries")
    assert [request.body for request in there.requests] == [b'{"n":%d}' % number for number in range(50)]
    assert not any(header(request, b"webhookctl-attempt") for request in there.requests)


def test_a_cut_network_delays_and_doubles_nothing_that_the_app_answered(tmp_path: Path) -> None:
    with (
        channel_of(tmp_path, "--deadline", "200ms") as (server, channel),
        sink() as there,
        wire(server.url) as network,
        client(tmp_path / "client", network.url, channel, "--forward-to", there.url) as listener,
    ):
        assert told(post(server, channel, b'{"n":0}')) == (200, "delivered")
        network.cut()
        assert told(post(server, channel, b'{"n":1}')) == (202, "queued")
        network.mend()
        wait_for(lambda: len(there.requests) == 2, "the delivery")
        assert listener.listening is not None
        listener.listening.wait_for("relay.connected", 2)
        network.reset()
        listener.listening.wait_for("relay.connected", 3)
        assert told(post(server, channel, b'{"n":2}')) == (200, "delivered")
    assert [request.body for request in there.requests] == [b'{"n":%d}' % number for number in range(3)]
