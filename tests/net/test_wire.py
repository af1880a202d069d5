"""The bytes of requests and responses: what is kept, what is made anew, what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.errors import UsageError
from webhookctl.model import Headers, Request, Response
from webhookctl.net.wire import plain_response, request_bytes, response_bytes

HOST = b"127.0.0.1:3000"


def written(
    *headers: tuple[bytes, bytes], body: bytes = b"", added: Headers = (), keep_host: bool = False
) -> bytes:
    return request_bytes(Request("POST", "/", headers, body), host=HOST, added=added, keep_host=keep_host)


def test_host_names_the_endpoint_in_its_old_place() -> None:
    assert written((b"A", b"1"), (b"hOST", b"x"), (b"B", b"2")) == (
        b"POST / HTTP/1.1\r\nA: 1\r\nhOST: 127.0.0.1:3000\r\nB: 2\r\n\r\n"
    )


def test_host_comes_first_where_there_was_none() -> None:
    assert written((b"A", b"1")) == b"POST / HTTP/1.1\r\nHost: 127.0.0.1:3000\r\nA: 1\r\n\r\n"


def test_host_is_kept_when_that_is_asked_for_and_a_second_one_never_is() -> None:
    assert written((b"Host", b"x"), (b"Host", b"y"), keep_host=True) == b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"


def test_added_fields_take_the_place_of_the_requests_own_or_come_last() -> None:
    added = ((b"x-a", b"new"), (b"X-B", b"2"))
    assert written((b"Host", b"x"), (b"X-A", b"old"), (b"C", b"3"), added=added) == (
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1:3000\r\nx-a: new\r\nC: 3\r\nX-B: 2\r\n\r\n"
    )


def test_an_added_host_replaces_the_requests_own() -> None:
    added = ((b"Host", b"shop.example.com"),)
    assert b"Host: shop.example.com\r\n" in written((b"Host", b"x"), added=added, keep_host=True)


@pytest.mark.parametrize(
    ("headers", "body", "line"),
    [
        ((), b"hi", b"Content-Length: 2\r\n\r\nhi"),
        (((b"content-length", b"99"),), b"hi", b"content-length: 2\r\n\r\nhi"),
        (((b"Content-Length", b"0"),), b"", b"Content-Length: 0\r\n\r\n"),
        (
            ((b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"9")),
            b"hi",
            b"Content-Length: 2\r\n\r\nhi",
        ),
        (((b"Transfer-Encoding", b"chunked"),), b"", b"Content-Length: 0\r\n\r\n"),
    ],
)
def test_the_framing_is_made_anew_from_the_body(headers: Headers, body: bytes, line: bytes) -> None:
    assert written(*headers, body=body) == b"POST / HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n" + line


def test_a_framing_field_named_in_connection_still_frames() -> None:
    data = written((b"Connection", b"content-length, host"), (b"Content-Length", b"7"), body=b"hi")
    assert data == b"POST / HTTP/1.1\r\nHost: 127.0.0.1:3000\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize("value", [b"a\r\nX: 1", b"a\nb", b"a\rb", b"a\0b", b"\n", b"a\r\n b"])
@pytest.mark.parametrize("place", ["own", "added", "host", "name", "kept host"])
def test_what_would_split_a_request_is_refused_wherever_it_stands(value: bytes, place: str) -> None:
    request = Request(
        "POST", "/", ((value, b"") if place == "name" else (b"X", value if place == "own" else b""),), b""
    )
    added: Headers = ((b"Y", value),) if place == "added" else ()
    if place == "kept host":
        added = ((b"Host", value),)
    with pytest.raises(UsageError) as caught:
        request_bytes(
            request, host=value if place == "host" else HOST, added=added, keep_host=place == "kept host"
        )
    assert caught.value.code == "header-invalid"


@pytest.mark.parametrize("name", [b"", b"A B", b"A:", b"A\xe9", b"(x)", b"A\t"])
def test_a_header_name_that_is_no_token_is_refused(name: bytes) -> None:
    for request, added in (((name, b"1"), ()), ((b"A", b"1"), ((name, b"1"),))):
        with pytest.raises(UsageError) as caught:
            written(request, added=added)
        assert caught.value.code == "header-invalid"


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("", "/", "method-invalid"),
        ("PO ST", "/", "method-invalid"),
        ("POST\r\nX:", "/", "method-invalid"),
        ("POST", "", "target-invalid"),
        ("POST", "/a b", "target-invalid"),
        ("POST", "/a\r\nX: 1", "target-invalid"),
        ("POST", "/a\0", "target-invalid"),
        ("POST", "/a\x7f", "target-invalid"),
        ("POST", "/a\n", "target-invalid"),
        ("POST", "/€", "target-invalid"),
        ("PÖST", "/", "target-invalid"),
    ],
)
def test_a_request_line_that_is_none_is_refused(method: str, target: str, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        request_bytes(Request(method, target, (), b""), host=HOST)
    assert caught.value.code == code


@settings(derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=12)), max_size=5),
    st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=12)), max_size=3),
    st.text(max_size=8),
    st.binary(max_size=20),
)
def test_a_request_is_one_head_with_a_line_a_field_or_it_is_refused(
    headers: list[tuple[bytes, bytes]], added: list[tuple[bytes, bytes]], target: str, body: bytes
) -> None:
    request = Request("POST", "/" + target, tuple(headers), body)
    try:
        data = request_bytes(request, host=HOST, added=tuple(added))
    except UsageError:
        return
    head, _, rest = data.partition(b"\r\n\r\n")
    assert rest == body
    assert all(b": " in line for line in head.split(b"\r\n")[1:])
    assert b"\0" not in head
    assert head.count(b"\n") == head.count(b"\r") == head.count(b"\r\n")
    assert len(head.split(b"\r\n")) <= 3 + len(headers) + len(added)


def answer(response: Response, *, for_head: bool = False, close: bool = False) -> bytes:
    return response_bytes(response, for_head=for_head, close=close)


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_a_body_stays_without(status: int) -> None:
    assert answer(Response(status, "R", (), b"odd")) == b"HTTP/1.1 %d R\r\n\r\n" % status


def test_a_204_tells_no_length_and_a_304_may() -> None:
    fields = ((b"Content-Length", b"3"),)
    assert b"Content-Length" not in answer(Response(204, "R", fields, b""))
    assert b"Content-Length: 3" in answer(Response(304, "R", fields, b""))


def test_a_response_that_would_split_is_written_without_what_splits_it() -> None:
    fields = ((b"A", b"1\r\nB: 2"), (b"C\n", b"3"), (b"D D", b"4"), (b"E", b"5"))
    assert (
        answer(Response(200, "O\r\nK", fields, b"")) == b"HTTP/1.1 200 \r\nE: 5\r\nContent-Length: 0\r\n\r\n"
    )


def test_what_the_app_says_of_its_connection_is_not_passed_on() -> None:
    fields = (
        (b"Connection", b"close, X-Hop"),
        (b"X-Hop", b"1"),
        (b"Upgrade", b"h2"),
        (b"Content-Length", b"9"),
    )
    assert answer(Response(200, "OK", fields, b"hi"), close=True) == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    )


def test_the_answer_to_head_keeps_the_apps_length_and_has_no_body() -> None:
    response = Response(200, "OK", ((b"content-length", b"9"),), b"odd")
    assert answer(response, for_head=True) == b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"


def test_a_reason_that_is_not_latin_becomes_question_marks() -> None:
    assert answer(Response(200, "é€", (), b"")).startswith(b"HTTP/1.1 200 \xe9?\r\n")


def test_our_own_answers_are_plain_text() -> None:
    response = plain_response(503, "wait", (b"Retry-After", b"1"))
    assert (response.reason, response.body) == ("Service Unavailable", b"wait\n")
    assert response.headers == ((b"Content-Type", b"text/plain; charset=utf-8"), (b"Retry-After", b"1"))
    assert plain_response(404, "").body == b""
