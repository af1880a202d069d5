"""Endpoints from what people type, and requests addressed to them."""

from dataclasses import replace

import pytest

from webhookctl.address import addressed, forwarded_headers, is_local, parse_endpoint, public_url
from webhookctl.errors import UsageError
from webhookctl.model import Capture, Endpoint, Headers, Relayed, Request


@pytest.mark.parametrize(
    ("text", "host", "port", "is_tls", "authority", "path"),
    [
        ("3000", "localhost", 3000, False, "localhost:3000", ""),
        (":3000", "localhost", 3000, False, "localhost:3000", ""),
        ("3000/hooks", "localhost", 3000, False, "localhost:3000", "/hooks"),
        (":3000/hooks?x=1", "localhost", 3000, False, "localhost:3000", "/hooks?x=1"),
        ("localhost", "localhost", 80, False, "localhost", ""),
        ("localhost:3000/", "localhost", 3000, False, "localhost:3000", ""),
        ("localhost:3000//", "localhost", 3000, False, "localhost:3000", "//"),
        ("/hooks", "localhost", 80, False, "localhost", "/hooks"),
        ("http://app.example.com", "app.example.com", 80, False, "app.example.com", ""),
        ("http://app.example.com:80/a", "app.example.com", 80, False, "app.example.com", "/a"),
        ("https://app.example.com", "app.example.com", 443, True, "app.example.com", ""),
        ("https://app.example.com:443", "app.example.com", 443, True, "app.example.com", ""),
        ("https://app.example.com:80", "app.example.com", 80, True, "app.example.com:80", ""),
        ("http://app.example.com:", "app.example.com", 80, False, "app.example.com", ""),
        ("HTTPS://App.Example.COM/Path", "app.example.com", 443, True, "app.example.com", "/Path"),
        ("http://127.0.0.1:65535", "127.0.0.1", 65535, False, "127.0.0.1:65535", ""),
        ("[::1]:3000", "::1", 3000, False, "[::1]:3000", ""),
        ("http://[::1]/x", "::1", 80, False, "[::1]", "/x"),
        ("http://[2001:DB8:0::1]:81", "2001:db8::1", 81, False, "[2001:db8::1]:81", ""),
        (
            "http://bücher.example.com/",
            "xn--bcher-kva.example.com",
            80,
            False,
            "xn--bcher-kva.example.com",
            "",
        ),
        ("  localhost:3000  ", "localhost", 3000, False, "localhost:3000", ""),
        ("localhost:3000?x=1", "localhost", 3000, False, "localhost:3000", "/?x=1"),
        ("localhost:3000/a%2Fb/../c;d?&&", "localhost", 3000, False, "localhost:3000", "/a%2Fb/../c;d?&&"),
        ("localhost:3000/a#fragment", "localhost", 3000, False, "localhost:3000", "/a"),
        ("my_app.local:3000", "my_app.local", 3000, False, "my_app.local:3000", ""),
    ],
)
def test_an_endpoint_is_what_people_type(
    text: str, host: str, port: int, is_tls: bool, authority: str, path: str
) -> None:
    assert parse_endpoint(text) == Endpoint(host, port, is_tls, authority, path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("   ", "it is empty"),
        ("ftp://example.com", "ftp:// is not something webhookctl can deliver to"),
        ("http://", "it names no host"),
        ("http://:3000", "it names no host"),
        ("http:///hooks", "it names no host"),
        ("http://user:pass@example.com", "a user name or a password in a URL is not sent"),
        ("user@example.com", "a user name or a password in a URL is not sent"),
        ("localhost:0", "0 is not a port number"),
        ("localhost:65536", "65536 is not a port number"),
        ("99999", "99999 is not a port number"),
        ("localhost:http", "the host is odd"),
        ("::1", "the host is odd"),
        ("[::1", "the host is odd"),
        ("http://[::g]", "the host is odd"),
        ("http://[1.2.3]", "the host is odd"),
        ("http://exa mple.com", "the host is odd"),
        ("http://a<b>", "the host is odd"),
        ("http://a\x01b", "the host is odd"),
        ("http://a%20b", "the host is odd"),
        (".", "a part of the host name is empty or too long"),
        ("http://a..example.com", "a part of the host name is empty or too long"),
        ("http://.example.com", "a part of the host name is empty or too long"),
        (f"http://{'a' * 64}.example.com", "a part of the host name is empty or too long"),
        (f"http://{'a.' * 127}a", "a part of the host name is empty or too long"),
        ("http://[:::]", "the host cannot be resolved as a name"),
        ("http://é..example.com", "the host cannot be resolved as a name"),
        ("localhost:3000/a b", "the path holds a space or a character that has to be percent-encoded"),
        ("localhost:3000/é", "the path holds a space or a character that has to be percent-encoded"),
        ("localhost:3000/a\r\nX: 1", "the path holds a space or a character that has to be percent-encoded"),
    ],
)
def test_what_is_no_endpoint_is_told_why(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_endpoint(text)
    assert caught.value.code == "url-invalid"
    assert why in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("host", ["a" * 63 + ".example.com", "example.com.", "a." * 127])
def test_a_host_name_as_long_as_names_may_be_is_taken(host: str) -> None:
    assert parse_endpoint(f"http://{host}:3000").host == host


@pytest.mark.parametrize("text", ["localhost:3000", "https://app.example.com/hooks?x=1", "http://[::1]:81/"])
def test_the_url_of_an_endpoint_means_the_endpoint(text: str) -> None:
    endpoint = parse_endpoint(text)
    assert parse_endpoint(endpoint.url) == endpoint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3000", True),
        ("LOCALHOST:3000", True),
        ("app.localhost", True),
        ("printer.local", True),
        ("app.test", True),
        ("127.8.8.8", True),
        ("10.0.0.1", True),
        ("192.168.1.1", True),
        ("[::1]", True),
        ("[fd00::1]", True),
        ("169.254.1.1", True),
        ("example.com", False),
        ("notlocalhost", False),
        ("8.8.8.8", False),
        ("[2606:4700::1]", False),
    ],
)
def test_local_is_this_machine_and_private_networks(text: str, expected: bool) -> None:
    assert is_local(parse_endpoint(text)) is expected


@pytest.mark.parametrize(
    ("target", "path", "expected"),
    [
        ("/in?x=1", "", "/in?x=1"),
        ("/in?x=1", "/hooks", "/hooks?x=1"),
        ("/in?x=1", "/hooks?k=2", "/hooks?k=2&x=1"),
        ("/in", "/hooks?k=2", "/hooks?k=2"),
        ("/in?", "/hooks", "/hooks?"),
        ("/in?", "/hooks?k=2", "/hooks?k=2"),
        ("/in?&&", "/hooks", "/hooks?&&"),
        ("//in/../x;y?a?b", "", "//in/../x;y?a?b"),
        ("*", "", "*"),
        ("*", "/hooks", "/hooks"),
        ("http://evil.example.com/in?x=1", "", "/in?x=1"),
        ("http://evil.example.com", "", "/"),
        ("http://evil.example.com?x=1", "", "/?x=1"),
        ("http://evil.example.com?x=/y", "", "/?x=/y"),
        ("http://evil.example.com/in", "/hooks", "/hooks"),
        ("in?u=http://example.com/x", "", "/in?u=http://example.com/x"),
        ("in", "", "/in"),
        ("/in?u=http://example.com/x", "", "/in?u=http://example.com/x"),
    ],
)
def test_the_endpoint_decides_the_path_and_the_request_keeps_its_query(
    target: str, path: str, expected: str
) -> None:
    request = Request("POST", target, (), b"")
    addressed_request = addressed(request, Endpoint("localhost", 3000, False, "localhost:3000", path))
    assert addressed_request == Request("POST", expected, (), b"")
    assert (addressed_request is request) is (target == expected)


@pytest.mark.parametrize(
    ("peer", "is_tls", "headers", "expected"),
    [
        (
            "10.0.0.9:5",
            False,
            ((b"Host", b"a.example.com"),),
            [b"For: 10.0.0.9", b"Proto: http", b"Host: a.example.com"],
        ),
        ("[::1]:5", True, (), [b"For: ::1", b"Proto: https"]),
        ("", False, (), [b"Proto: http"]),
        ("1.2.3.4:5", False, ((b"x-forwarded-for", b"9.9.9.9"),), [b"For: 9.9.9.9, 1.2.3.4", b"Proto: http"]),
        (
            "1.2.3.4:5",
            False,
            ((b"X-Forwarded-For", b"9.9.9.9"), (b"X-FORWARDED-FOR", b"8.8.8.8")),
            [b"For: 9.9.9.9, 8.8.8.8, 1.2.3.4", b"Proto: http"],
        ),
        ("1.2.3.4:5", False, ((b"X-Forwarded-For", b""),), [b"For: 1.2.3.4", b"Proto: http"]),
        (
            "1.2.3.4:5",
            False,
            ((b"Host", b"b"), (b"X-Forwarded-Proto", b"https"), (b"x-forwarded-host", b"a.example.com")),
            [b"For: 1.2.3.4"],
        ),
        ("1.2.3.4:5", False, ((b"Host", b""),), [b"For: 1.2.3.4", b"Proto: http"]),
    ],
)
def test_a_proxy_appends_the_peer_and_leaves_what_an_earlier_one_said(
    peer: str, is_tls: bool, headers: Headers, expected: list[bytes]
) -> None:
    capture = Capture(Request("POST", "/", headers, b""), 0.0, peer, is_tls)
    assert [name + b": " + value for name, value in forwarded_headers(capture)] == [
        b"X-Forwarded-" + line for line in expected
    ]


@pytest.mark.parametrize(
    ("url", "proto"), [("https://relay.example.com/a", b"https"), ("http://r.test/a", b"http")]
)
def test_through_a_relay_the_app_learns_the_public_scheme_and_the_relays_id(url: str, proto: bytes) -> None:
    request = Request("POST", "/", ((b"Host", b"relay.example.com"),), b"")
    capture = Capture(
        request, 0.0, "192.0.2.1:5", is_tls=url.startswith("http:"), url=url, relayed=Relayed("01f")
    )
    again = replace(capture, relayed=Relayed("01f", 2))
    fields = (
        (b"X-Forwarded-For", b"192.0.2.1"),
        (b"X-Forwarded-Proto", proto),
        (b"X-Forwarded-Host", b"relay.example.com"),
        (b"Webhookctl-Delivery-Id", b"01f"),
    )
    assert forwarded_headers(capture) == fields
    assert forwarded_headers(again) == (*fields, (b"Webhookctl-Attempt", b"2"))
    assert public_url(capture) == url
