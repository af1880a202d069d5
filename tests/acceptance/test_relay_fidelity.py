"""Nasty requests, byte for byte: through the relay, the tunnel and the client to a raw socket, and answers back."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.acceptance.receivers import RawHeaders, RawMessage, Sender, Sink, always, sink
from tests.acceptance.relay_running import ChannelKey, Relay, client, relay
from tests.acceptance.test_fidelity import FRAMING, PROXY, ROWS, Row, without

OURS = (b"webhookctl-delivery-id",)
DOMAIN = "hooks.example.com"

pytestmark = pytest.mark.xdist_group("relay-fidelity")


@dataclass(frozen=True, slots=True)
class Way:
    """A relay with a channel, a client that listens to it, and the app behind it."""

    relay: Relay
    channel: ChannelKey
    app: Sink

    def send(self, row: Row, *, by_host: bool) -> RawMessage:
        """Send the row to the channel, found by its host name or by the path."""
        with Sender(self.relay.url) as sender:
            response = sender.send(self._by_host(row) if by_host else self._by_path(row))
        assert response is not None, row.name
        return response

    def _by_host(self, row: Row) -> bytes:
        host = f"{self.channel.id}.{DOMAIN}".encode()
        raw = replace(row, target=row.target.replace("elsewhere.example.org", host.decode())).raw
        return raw.replace(b"Host: hooks.example.com", b"Host: " + host)

    def _by_path(self, row: Row) -> bytes:
        scheme, separator, rest = row.target.rpartition("://")
        host, slash, path = rest.partition("/") if separator else ("", "/", row.target[1:])
        return replace(row, target=f"{scheme}{separator}{host}/{self.channel.id}{slash}{path}").raw


@contextmanager
def way(folder: Path, app: Sink) -> Iterator[Way]:
    with relay(folder, "--domain", DOMAIN) as server:
        channel = server.new_channel("fidelity")
        with client(folder / "client", server.url, channel, "--forward-to", app.url, "--no-save"):
            yield Way(server, channel, app)


@pytest.mark.parametrize("by_host", [True, False], ids=["by-host", "by-path"])
def test_every_byte_survives_the_way_through_the_relay(tmp_path: Path, by_host: bool) -> None:
    sent = [row for row in ROWS if by_host or row.target != "*"]  # a path cannot be put before a star
    with sink() as app, way(tmp_path, app) as there:
        for row in sent:
            response = there.send(row, by_host=by_host)
            assert (response.status, header(response, b"webhookctl-status")) == (200, b"delivered"), row.name
    assert len(app.requests) == len(sent)
    for row, message in zip(sent, app.requests, strict=True):
        assert message.start == row.start, row.name
        assert without(message.headers, *FRAMING, *PROXY, *OURS) == row.sent_headers, row.name
        assert message.body == row.sent_body, row.name
        assert header(message, b"webhookctl-delivery-id"), row.name


def header(message: RawMessage, wanted: bytes) -> bytes | None:
    return next((value for name, value in message.headers if name.lower() == wanted), None)


def test_the_apps_answer_comes_back_through_the_relay_byte_for_byte(tmp_path: Path) -> None:
    answer = (
        b"HTTP/1.1 418 Short and stout\r\nX-B: 1\r\nx-b: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
        b"X-Name: Ren\xe9e\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"4\r\n\x1f\x8b\x00\r\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    with sink(always(answer)) as app, way(tmp_path, app) as there:
        response = there.send(ROWS[0], by_host=False)
    assert response.start == b"HTTP/1.1 418 Short and stout"
    assert kept(response.headers) == [
        (b"X-B", b"1"),
        (b"x-b", b"2"),
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
        (b"X-Name", b"Ren\xe9e"),
        (b"Content-Encoding", b"gzip"),
    ]
    assert response.body == b"\x1f\x8b\x00\rabc"
    added = {name.lower() for name, _ in response.headers} - {
        name.lower() for name, _ in kept(response.headers)
    }
    assert added <= {name.lower() for name in ADDED}


ADDED = (
    b"Content-Length",
    b"Date",
    b"Connection",
    b"Webhookctl-Delivery-Id",
    b"Webhookctl-Status",
    b"Content-Security-Policy",
    b"X-Content-Type-Options",
)
"""What the relay may add to an answer."""


def kept(headers: RawHeaders) -> RawHeaders:
    return without(headers, *(name.lower() for name in ADDED))


STATUSES = [(204, b""), (304, b""), (200, b""), (500, b"it broke\r\n"), (301, b"moved"), (599, b"!")]


def test_any_status_of_the_app_comes_back(tmp_path: Path) -> None:
    def serve(request: RawMessage, connection: socket.socket) -> bool:
        status, body = STATUSES[int(request.start.partition(b"/")[2].partition(b" ")[0])]
        length = b"" if status in (204, 304) else b"Content-Length: %d\r\n" % len(body)
        connection.sendall(b"HTTP/1.1 %d Its own words\r\nX-App: yes\r\n%b\r\n%b" % (status, length, body))
        return True

    with sink(serve) as app, way(tmp_path, app) as there:
        for number, (status, body) in enumerate(STATUSES):
            response = there.send(Row("plain", target=f"/{number}", body=b"{}"), by_host=False)
            assert response.start == b"HTTP/1.1 %d Its own words" % status
            assert header(response, b"x-app") == b"yes"
            assert response.body == body


def test_nobody_can_forge_the_fields_of_the_relay(tmp_path: Path) -> None:
    forged = Row(
        "forged",
        fields=(b"Webhookctl-Delivery-Id: mine", b"webhookctl-attempt: 7", b"X-Kept: 1"),
        body=b"{}",
    )
    answer = b"HTTP/1.1 200 OK\r\nWebhookctl-Status: queued\r\nWebhookctl-X: 1\r\nContent-Length: 0\r\n\r\n"
    with sink(always(answer)) as app, way(tmp_path, app) as there:
        response = there.send(forged, by_host=False)
    (message,) = app.requests
    ours = [(name, value) for name, value in message.headers if name.lower().startswith(b"webhookctl-")]
    assert [name for name, _ in ours] == [b"Webhookctl-Delivery-Id"]
    assert ours[0][1] != b"mine"
    assert header(message, b"x-kept") == b"1"
    theirs = dict(pair for pair in response.headers if pair[0].lower().startswith(b"webhookctl-"))
    assert theirs == {b"Webhookctl-Delivery-Id": ours[0][1], b"Webhookctl-Status": b"delivered"}
