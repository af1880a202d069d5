"""Nasty requests, byte for byte: through `listen` to a raw socket, onto disk, and out again with `replay --exact`."""

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.receivers import RawHeaders, Sender, always, sink
from tests.acceptance.running import Project, Record

FRAMING = (b"host", b"content-length", b"transfer-encoding")
PROXY = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")
JSON = b"Content-Type: application/json"

JSON_BODIES = {
    "numbers": b'{"a":1.0, "b":12345678901234567890,"c":"\\u00e9"}',
    "crlf": b'{\r\n\t"a": 1e400,\r\n\t"b": -0\r\n}\r\n',
    "bom": b'\xef\xbb\xbf{"a": "\xc3\xa9"}',
    "duplicate-keys": b'{"id":1,"id":2,"nested":{"x":[],"x":{}}}',
    "slashes": b'{"url":"https:\\/\\/example.com\\/a","u":"\\uD83D\\uDE00","t":"caf\xc3\xa9"}\n',
    "indented": b'{\n  "a": [\n    1\n  ]\n}\n',
}


@dataclass(frozen=True, slots=True)
class Row:
    """One request as sent: method, target, header lines besides Host and framing, body (None: no length at all)."""

    name: str
    method: str = "POST"
    target: str = "/hooks"
    fields: tuple[bytes, ...] = ()
    body: bytes | None = None
    chunks: tuple[bytes, ...] = ()
    expected_target: str = ""
    dropped: tuple[bytes, ...] = ()

    @property
    def raw(self) -> bytes:
        lines = [
            f"{self.method} {self.target} HTTP/1.1".encode("latin-1"),
            b"Host: hooks.example.com",
            *self.fields,
        ]
        if self.chunks:
            lines.append(b"Transfer-Encoding: chunked")
            framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in self.chunks) + b"0\r\n\r\n"
        else:
            framed = self.body or b""
            lines += [] if self.body is None else [b"Content-Length: %d" % len(self.body)]
        return b"\r\n".join([*lines, b"", framed])

    @property
    def sent_body(self) -> bytes:
        return b"".join(self.chunks) or self.body or b""

    @property
    def sent_headers(self) -> RawHeaders:
        """What must reach the app, in this order."""
        pairs = [field.partition(b": ") for field in self.fields if field not in self.dropped]
        return [(name.removesuffix(b":"), value) for name, _, value in pairs]

    @property
    def sent_headers_and_hops(self) -> RawHeaders:
        """What must be recorded: all that came, hop-by-hop fields too."""
        pairs = [field.partition(b": ") for field in self.fields]
        return [(name.removesuffix(b":"), value) for name, _, value in pairs]

    @property
    def start(self) -> bytes:
        return f"{self.method} {self.expected_target or self.target} HTTP/1.1".encode("latin-1")


def rows() -> Iterator[Row]:
    yield Row("empty-query", target="/p?", fields=(JSON,), body=b"{}")
    yield Row("escapes", target="/%2F%7e%41/a;b?x=%zz&&y=%c3%A9&z=+", fields=(JSON,), body=b'{"n":1}')
    yield Row("dots-and-slashes", target="/a/../b/./c//d", fields=(JSON,), body=b'{"n":2}')
    yield Row("double-slash-first", target="//double/slash", fields=(JSON,), body=b'{"n":3}')
    yield Row("reserved", target="/~!$&'()*+,;=:@/[x]|{y}^`\"<>", fields=(JSON,), body=b'{"n":4}')
    yield Row(
        "header-order-case-and-duplicates",
        fields=(b"X-B: 1", b"x-a: 2", b"X-b: 3", b"X-A: 4", b"X-B: 1", b"Set-Cookie-Like: a=b; c", JSON),
        body=b'{"n":5}',
    )
    yield Row("latin-1-header", fields=(b"X-Name: Ren\xe9e \xff", b"X-Utf-8: \xc3\xa9"), body=b"x=1")
    yield Row(
        "empty-header", fields=(b"X-Empty: ", b"X-Quoted: \"a, b\", 'c'", b"X-Inner: a  \t b"), body=b"x=2"
    )
    yield Row("long-header", fields=(b"X-Long: " + b"v" * 16_000,), body=b"x=3")
    yield Row("many-headers", fields=tuple(b"X-%d: %d" % (n, n) for n in range(200)), body=b"x=4")
    yield Row("odd-names", fields=(b"X_Under: 1", b"x.y!#$%&'*+-^`|~: 2"), body=b"x=5")
    yield Row(
        "chunked", fields=(b"Content-Type: text/plain",), chunks=(b"one ", b"\r\n", b"\x00two", b"x" * 70_000)
    )
    yield Row(
        "gzip", fields=(JSON, b"Content-Encoding: gzip"), body=gzip.compress(b'{"zipped":true}', mtime=0)
    )
    yield Row("not-really-gzip", fields=(b"Content-Encoding: gzip, br",), body=b"\x1f\x8b never gzip")
    yield Row("binary", fields=(b"Content-Type: application/octet-stream",), body=bytes(range(256)) * 8)
    yield Row("no-body", fields=(b"X-Event: none",))
    yield Row("length-zero", fields=(b"X-Event: zero",), body=b"")
    yield Row("get", method="GET", target="/challenge?hub.mode=subscribe", fields=(b"Accept: */*",))
    yield Row("put", method="PUT", body=b"put")
    yield Row("patch", method="PATCH", body=b"patch")
    yield Row("delete-with-body", method="DELETE", body=b"delete")
    yield Row("options-star", method="OPTIONS", target="*")
    yield Row("purge", method="PURGE", target="/cache")
    yield Row(
        "host-in-target", target="http://elsewhere.example.org/x?y=1", body=b"x=6", expected_target="/x?y=1"
    )
    hop = (b"Connection: keep-alive, X-Private", b"Keep-Alive: timeout=5", b"X-Private: 1", b"TE: trailers")
    yield Row(
        "hop-by-hop", fields=(b"X-Kept: 1", *hop, b"Authorization: Bearer abc"), body=b"x=7", dropped=hop
    )
    yield Row(
        "form", fields=(b"Content-Type: application/x-www-form-urlencoded",), body=b"payload=%7B%7d&a=+&a=&&b"
    )
    yield Row("crlf-text", fields=(b"Content-Type: text/plain",), body=b"one\r\ntwo\rthree\n\n")
    yield Row("xml", fields=(b"Content-Type: text/xml",), body=b'<?xml version="1.0"?>\r\n<a>\x85&b;</a >')
    for name, body in JSON_BODIES.items():
        yield Row(f"json-{name}", fields=(JSON,), body=body)


ROWS = list(rows())


def without(headers: RawHeaders, *names: bytes) -> RawHeaders:
    return [(name, value) for name, value in headers if name.lower() not in names]


def compared(record: Record) -> RawHeaders:
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in record["headers"]]
    return without(pairs, *FRAMING)


def test_every_byte_survives_the_way_through_listen_the_history_and_an_exact_replay(project: Project) -> None:
    with sink() as live, sink() as replayed:
        with project.listening("--forward-to", live.url, "--no-save", "--json") as listening:
            with Sender(listening.url) as sender:
                for row in ROWS:
                    response = sender.send(row.raw)
                    assert response is not None, row.name
                    assert response.status == 200, row.name
            listening.wait_for("response", len(ROWS))
            told = listening.of_type("request")
        ids = [f"#{event['id']}" for event in told]
        project.ok("replay", *ids, "--exact", "--to", replayed.url)
        exchanges = project.ok("log", "--json", "-n", "1000").data["exchanges"][::-1]

    assert len(ROWS) == len(live.requests) == len(replayed.requests) == len(exchanges)
    for row, at_once, later, event, exchange in zip(
        ROWS, live.requests, replayed.requests, told, exchanges, strict=True
    ):
        for message in (at_once, later):
            assert message.start == row.start, row.name
            assert without(message.headers, *FRAMING, *PROXY) == row.sent_headers, row.name
            assert message.body == row.sent_body, row.name
        for record in (event, exchange):
            assert (record["method"], record["target"]) == (row.method, row.target), row.name
            assert compared(record) == row.sent_headers_and_hops, row.name
            assert base64.b64decode(record["body_b64"]) == row.sent_body, row.name


def test_the_framing_is_made_anew_and_never_doubled(project: Project) -> None:
    with sink() as live, project.listening("--forward-to", live.url, "--no-save", "--json") as listening:
        with Sender(listening.url) as sender:
            for row in ROWS:
                sender.send(row.raw)
        listening.wait_for("response", len(ROWS))
    for row, message in zip(ROWS, live.requests, strict=True):
        lengths = [value for name, value in message.headers if name.lower() == b"content-length"]
        has_length = row.body is not None or bool(row.chunks)
        assert lengths == ([b"%d" % len(row.sent_body)] if has_length else []), row.name
        assert [name for name, _ in message.headers if name.lower() == b"transfer-encoding"] == []
        assert [value for name, value in message.headers if name.lower() == b"host"] == [
            live.url[7:].encode()
        ]


def test_a_proxys_headers_are_added_to_and_not_replaced(project: Project) -> None:
    earlier = Row(
        "proxied",
        fields=(
            b"X-Forwarded-For: 203.0.113.7",
            b"X-Forwarded-Proto: https",
            b"X-Forwarded-Host: hooks.example.org",
        ),
        body=b"{}",
    )
    with (
        sink() as live,
        project.listening("--forward-to", live.url, "--no-save") as listening,
        Sender(listening.url) as sender,
    ):
        sender.send(earlier.raw)
        sender.send(ROWS[0].raw)
    proxied, plain = ([pair for pair in each.headers if pair[0].lower() in PROXY] for each in live.requests)
    assert proxied == [
        (b"X-Forwarded-For", b"203.0.113.7, 127.0.0.1"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"hooks.example.org"),
    ]
    assert plain == [
        (b"X-Forwarded-For", b"127.0.0.1"),
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", b"hooks.example.com"),
    ]


def test_saved_fixtures_give_the_same_bytes_again(project: Project) -> None:
    kept = [
        row for row in ROWS if row.name != "length-zero"
    ]  # to a fixture the same as no-body: not saved again
    with project.listening("--json", "--keep-secrets", "--save-limit", "100") as listening:
        with Sender(listening.url) as sender:
            for row in kept:
                assert sender.send(row.raw) is not None
        saved = listening.wait_for("saved", len(kept))
    paths = [event["path"] for event in sorted(saved, key=lambda event: int(event["id"]))]
    dry = project.ok("replay", *paths, "--exact", "--dry-run", "--json").attempts
    for row, attempt in zip(kept, dry, strict=True):
        assert base64.b64decode(attempt["request"]["body_b64"]) == row.sent_body, row.name
        assert attempt["request"]["method"] == row.method
        assert compared(attempt["request"]) == row.sent_headers_and_hops, row.name
    assert project.run("fixtures", "lint", "--no-secrets").exit_code == 0


def test_the_commands_that_write_a_body_write_it_byte_for_byte(project: Project) -> None:
    chosen = ("numbers", "crlf", "bom", "duplicate-keys")
    with project.listening("--json") as listening:
        with Sender(listening.url) as sender:
            for name in chosen:
                sender.send(Row(name, fields=(JSON,), body=JSON_BODIES[name]).raw)
        saved = {event["id"]: event["path"] for event in listening.wait_for("saved", len(chosen))}
    for number, name in enumerate(chosen, start=1):
        assert project.ok("fixtures", "show", saved[number], "--body").stdout == JSON_BODIES[name]
    assert project.ok("show", "#2", "--body").stdout == JSON_BODIES["crlf"]
    pretty = Path(saved[1]).with_suffix(".body.json").read_bytes()
    assert json.loads(pretty) == json.loads(JSON_BODIES["numbers"])


def test_the_apps_answer_goes_back_to_the_sender_byte_for_byte(project: Project) -> None:
    answer = (
        b"HTTP/1.1 418 Short and stout\r\nX-B: 1\r\nx-b: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
        b"X-Name: Ren\xe9e\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"4\r\n\x1f\x8b\x00\r\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    with (
        sink(always(answer)) as live,
        project.listening("--forward-to", live.url, "--no-save") as listening,
        Sender(listening.url) as sender,
    ):
        response = sender.send(ROWS[0].raw)
    assert response is not None
    assert response.start == b"HTTP/1.1 418 Short and stout"
    assert response.headers == [
        (b"X-B", b"1"),
        (b"x-b", b"2"),
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
        (b"X-Name", b"Ren\xe9e"),
        (b"Content-Encoding", b"gzip"),
        (b"Content-Length", b"7"),
    ]
    assert response.body == b"\x1f\x8b\x00\rabc"


def test_redirects_are_handed_back_and_never_followed(project: Project) -> None:
    with sink() as elsewhere:
        location = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere.url}\r\nContent-Length: 0\r\n\r\n".encode()
        with (
            sink(always(location)) as live,
            project.listening("--forward-to", live.url, "--no-save") as listening,
            Sender(listening.url) as sender,
        ):
            response = sender.send(ROWS[0].raw)
            shown = listening.wait_for_text("hint: webhook senders do not follow redirects")
    assert response is not None
    assert response.status == 302
    assert "302 redirect" in shown
    assert elsewhere.requests == []
