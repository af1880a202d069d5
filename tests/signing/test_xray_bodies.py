"""Each way in which a body changes on its way is made here and found again, over several schemes."""

import gzip
import json
import sys
import zlib

import pytest

from tests.signing.xray import BODY, SCHEMES, TEXT, causes, judged, request
from webhookctl import catalogue, forge
from webhookctl.model import Secret, VerdictKind
from webhookctl.signing import CHEAP_SIGNATURES, Search, load
from webhookctl.signing.computed import COMPUTATIONS, Offer
from webhookctl.signing.content import Content
from webhookctl.signing.xray.bodies import body_forms
from webhookctl.signing.xray.json_forms import json_forms
from webhookctl.signing.xray.search import MAX_BODY_BYTES

DOCUMENT = json.loads(BODY)
SPACED = json.dumps(DOCUMENT, ensure_ascii=False).encode()
NESTED = '{"b":[1,2.5,{"z":"<a href=\\"x\\">é & é</a>","a":null}],"a":{}}'.encode()


def javascript(body: bytes) -> bytes:
    """What JavaScript makes of a body."""
    return COMPUTATIONS["json"](Offer({}, (), Content(body)))


def named(original: bytes, arrived: bytes, provider: str) -> tuple[str, ...]:
    verdict = judged(provider, request(provider, signed=original, arrived=arrived))
    assert verdict.kind is VerdictKind.BODY_CHANGED
    assert verdict.finding is not None
    assert verdict.finding.fix
    assert verdict.finding.secret == "env:OURS"
    return causes(verdict)


CHANGES: list[tuple[str, bytes, bytes, tuple[str, ...]]] = [
    ("compact to spaced", BODY, SPACED, ("json-layout",)),
    ("spaced to compact", SPACED, BODY, ("json-layout",)),
    ("two to none", json.dumps(DOCUMENT, indent=2, ensure_ascii=False).encode(), BODY, ("json-layout",)),
    ("four to none", json.dumps(DOCUMENT, indent=4, ensure_ascii=False).encode(), BODY, ("json-layout",)),
    ("tabs to none", json.dumps(DOCUMENT, indent="\t", ensure_ascii=False).encode(), BODY, ("json-layout",)),
    (
        "escaped to plain",
        json.dumps(DOCUMENT, separators=(",", ":")).encode(),
        BODY,
        ("json-escapes",),
    ),
    ("plain to escaped", BODY, json.dumps(DOCUMENT, separators=(",", ":")).encode(), ("json-escapes",)),
    ("slashes escaped", BODY.replace(b"/", b"\\/"), BODY, ("json-escapes",)),
    ("slashes unescaped", BODY, BODY.replace(b"/", b"\\/"), ("json-escapes",)),
    ("tags escaped", b'{"a":"\\u003cb\\u003e \\u0026"}', b'{"a":"<b> &"}', ("json-escapes",)),
    ("upper-case escapes", b'{"a":"caf\\u00E9"}', '{"a":"café"}'.encode(), ("json-escapes",)),
    ("web defaults", b'{"a":"\\u0022x\\u002B\\u003C"}', b'{"a":"\\"x+<"}', ("json-escapes",)),
    ("escaped and spaced", json.dumps(DOCUMENT).encode(), BODY, ("json-layout", "json-escapes")),
    ("keys sorted", b'{"a":1,"b":2}', b'{"b":2,"a":1}', ("json-key-order",)),
    (
        "nested keys sorted",
        b'{"a":{"c":[1,{"x":"y"}],"d":true},"b":2}',
        b'{"b":2,"a":{"d":true,"c":[1,{"x":"y"}]}}',
        ("json-key-order",),
    ),
    ("sorted and spaced", b'{"a": 1, "b": 2}', b'{"b":2,"a":1}', ("json-key-order", "json-layout")),
    (
        "sorted and escaped",
        b'{"a":"\\u00e9","b":2}',
        '{"b":2,"a":"é"}'.encode(),
        ("json-key-order", "json-escapes"),
    ),
    ("a duplicate key dropped", b'{"a":2,"b":1}', b'{"a":1,"b":1,"a":2}', ("json-duplicate-keys",)),
    ("1.0 became 1", b'{"a":1.0,"b":2}', b'{"a":1,"b":2}', ("json-numbers",)),
    ("all .0 became none", b'{"a":1.0,"b":2.0}', b'{"a":1,"b":2}', ("json-numbers",)),
    ("1 became 1.0", b'{"a":1}', b'{"a":1.0}', ("json-numbers",)),
    ("1000 became 1e3", b'{"a":1000}', b'{"a":1e3}', ("json-numbers",)),
    ("1000.0 became 1e3", b'{"a":1000.0}', b'{"a":1e3}', ("json-numbers",)),
    ("10.50 became 10.5", b'{"a":10.50}', b'{"a":10.5}', ("json-numbers",)),
    (
        "a big number lost digits",
        b'{"id":1234567890123456789}',
        b'{"id":1234567890123456800}',
        ("json-numbers",),
    ),
    (
        "a big number lost digits and blanks",
        b'{"id": 1234567890123456789}',
        b'{"id":1234567890123456800}',
        ("json-layout", "json-numbers"),
    ),
    ("a newline came", BODY, BODY + b"\n", ("body-newline",)),
    ("a newline went", BODY + b"\n", BODY, ("body-newline",)),
    ("a CRLF went", BODY + b"\r\n", BODY, ("body-newline",)),
    ("layout and a newline", BODY + b"\n", SPACED, ("json-layout", "body-newline")),
    ("white space came", BODY, b" \n" + BODY + b"  ", ("body-white-space",)),
    ("LF became CRLF", b"a=1\nb=2\n", b"a=1\r\nb=2\r\n", ("body-line-ends",)),
    ("CRLF became LF", b"a=1\r\nb=2\r\n", b"a=1\nb=2\n", ("body-line-ends",)),
    ("LF became CRLF, and the last went", b"a\nb\n", b"a\r\nb", ("body-line-ends", "body-newline")),
    ("a mark came", BODY, b"\xef\xbb\xbf" + BODY, ("body-byte-order-mark",)),
    ("a mark went", b"\xef\xbb\xbf" + BODY, BODY, ("body-byte-order-mark",)),
    ("Latin-1 became UTF-8", "name=café".encode("latin-1"), "name=café".encode(), ("body-charset",)),
    ("UTF-8 became Latin-1", "name=café".encode(), "name=café".encode("latin-1"), ("body-charset",)),
    (
        "UTF-8 was encoded twice",
        "x café".encode(),
        "x café".encode().decode("latin-1").encode(),
        ("body-charset",),
    ),
    ("Windows-1252 became UTF-8", "x €".encode("cp1252"), "x €".encode(), ("body-charset",)),
    ("a byte became U+FFFD", b"x caf\xe9 y", "x caf\ufffd y".encode(), ("body-charset",)),
    ("U+FFFD was signed", "x caf\ufffd y".encode(), b"x caf\xe9 y", ("body-charset",)),
    ("decompressed", gzip.compress(BODY, mtime=0), BODY, ("body-compression",)),
    ("compressed", BODY, gzip.compress(BODY), ("body-compression",)),
    ("deflated", BODY, zlib.compress(BODY), ("body-compression",)),
    ("inflated", zlib.compress(BODY), BODY, ("body-compression",)),
    ("%20 became +", b"a=x%20y&b=2", b"a=x+y&b=2", ("form-encoding",)),
    ("+ became %20", b"a=x+y&b=2", b"a=x%20y&b=2", ("form-encoding",)),
    ("lower-case escapes", b"a=%c3%a9", b"a=%C3%A9", ("form-encoding",)),
    ("browser's escapes", b"a=*%7E", b"a=%2A~", ("form-encoding",)),
    ("the form was sorted", b"a=1&b=2", b"b=2&a=1", ("form-order",)),
    ("payload= was taken out", b"payload=%7B%22a%22%3A1%7D", b'{"a":1}', ("form-payload",)),
    ("payload= was put round", b'{"a":1}', b"x=1&payload=%7B%22a%22%3A1%7D", ("form-payload",)),
    ("the body was not signed", b"", BODY, ("body-empty",)),
]


@pytest.mark.parametrize("provider", SCHEMES)
@pytest.mark.parametrize(
    ("original", "arrived", "expected"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES]
)
def test_a_changed_body_is_named(
    original: bytes, arrived: bytes, expected: tuple[str, ...], provider: str
) -> None:
    assert named(original, arrived, provider) == expected


@pytest.mark.parametrize("indent", [None, 2])
def test_layout_and_escapes_of_a_nested_document_are_found_together(indent: int | None) -> None:
    original = json.dumps(json.loads(NESTED), indent=indent).encode()
    assert named(original, javascript(original), "github")[:2] in (
        ("json-layout", "json-escapes"),
        ("json-layout", "json-numbers"),
    )


@pytest.mark.parametrize(
    ("original", "words"),
    [
        (b'{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"late":9.0}', "the numbers of one field with .0"),
        (
            json.dumps({"items": [{"percent": 8.0, "n": 3}, {"percent": 19.0, "n": 4}]}, indent=2).encode(),
            "as indented JSON, the numbers of one field with .0",
        ),
        (b'{"n":[1,2],"rate":[1.0,2.0],"m":3,"total":4.0}', "the numbers of two fields with .0"),
    ],
)
def test_decimals_that_javascript_made_whole_are_found_by_their_field(original: bytes, words: str) -> None:
    verdict = judged("stripe", request("stripe", signed=original, arrived=javascript(original)))
    assert "json-numbers" in causes(verdict)
    assert words in verdict.reason


def test_every_event_of_the_catalogue_is_known_again_when_javascript_or_python_wrote_it_anew() -> None:
    for provider in catalogue.providers():
        for event in catalogue.names(provider):
            original = forge(provider, event, secret=TEXT).body
            if not original.startswith(b"{"):
                continue
            python = json.dumps(json.loads(original)).encode()
            for arrived in {javascript(original), python} - {original}:
                assert named(original, arrived, "github")[0].startswith("json-"), (provider, event)


def test_names_in_alphabetical_order_are_a_clue_where_nothing_explains_a_body() -> None:
    original = b'{"id":"evt_1","type":"demo","object":{"name":"a","amount":5,"currency":"eur","x":{"n":1}},"live":true}'
    arrived = json.dumps(json.loads(original), sort_keys=True, separators=(",", ":")).encode()
    few = b'{"amount":5,"id":"evt_1"}'
    for given, is_told in ((arrived, True), (original[:-1] + b" }", False), (few, False), (b"[1]", False)):
        verdict = judged("github", request("github", signed=b"other", arrived=given))
        assert causes(verdict) == ("unexplained",)
        assert verdict.finding is not None
        assert ("alphabetical order" in verdict.finding.fix) is is_told
    hurried = judged(
        "github",
        request("github", signed=b"other", arrived=arrived),
        search=Search(max_signatures=CHEAP_SIGNATURES),
    )
    assert hurried.finding is not None
    assert (
        "alphabetical order" not in hurried.finding.fix
    )  # a flood of bad signatures costs no more than it must
    uncovered = judged("gitlab", request("gitlab", secret=Secret("another"), arrived=arrived))
    assert uncovered.finding is not None
    assert "alphabetical order" not in uncovered.finding.fix


def test_brotli_is_found_where_it_is_installed() -> None:
    import brotli

    assert named(BODY, brotli.compress(BODY), "stripe") == ("body-compression",)
    assert named(brotli.compress(BODY), BODY, "github") == ("body-compression",)


def test_a_body_that_is_shorter_than_its_length_says_is_cut() -> None:
    more = ((b"Content-Length", b"%d" % len(BODY)),)
    verdict = judged("stripe", request("stripe", arrived=BODY[:40], more=more))
    assert (verdict.kind, causes(verdict)) == (VerdictKind.BODY_CHANGED, ("body-truncated",))
    assert verdict.reason == f"the body is cut: 40 of {len(BODY)} bytes"


@pytest.mark.parametrize("length", [b"x", b"12", b"9" * 13])
def test_a_length_that_says_nothing_is_not_believed(length: bytes) -> None:
    verdict = judged("stripe", request("stripe", arrived=BODY[:40], more=((b"Content-Length", length),)))
    assert causes(verdict) == ("unexplained",)


def test_a_compressed_body_has_another_length_and_is_not_called_cut() -> None:
    more = ((b"Content-Length", b"5000"), (b"Content-Encoding", b"gzip"))
    assert causes(judged("stripe", request("stripe", arrived=b"{}", more=more))) == ("unexplained",)


def test_a_form_that_the_scheme_sorts_is_found_when_its_charset_changed() -> None:
    scheme, url = load("twilio_form"), "https://example.com/hooks"
    given = request(scheme, signed=b"a=%E9&b=1", arrived=b"a=%C3%A9&b=1", url=url)
    assert judged(scheme, given, url=url).kind is VerdictKind.WRONG_SECRET


@pytest.mark.parametrize("original", [b"9007199254740995", b"9007199254740997"], ids=["up", "down"])
def test_a_big_number_is_found_whichever_way_a_double_rounded_it(original: bytes) -> None:
    rounded = b"%d" % float(original)
    assert rounded == b"9007199254740996"
    assert named(b'{"n":%b}' % original, b'{"n":%b}' % rounded, "github") == ("json-numbers",)


def test_too_big_a_number_has_too_many_originals() -> None:
    forms = [form.words for form in json_forms(b'{"n":123456789012345678901234567}')]
    assert not any("lost digits" in words for words in forms)
    assert not any("lost digits" in words for words in (form.words for form in json_forms(b'{"n":12345}')))


def test_without_brotli_the_other_forms_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brotli", None)
    words = {deviation.detail for form in body_forms(b"plain text") for deviation in form.deviations}
    assert "compressed (gzip)" in words
    assert "compressed (br)" not in words


def test_what_is_no_json_and_no_form_has_no_such_forms() -> None:
    assert list(json_forms(b"{")) == []
    assert not any(
        deviation.cause.startswith(("json", "form"))
        for form in body_forms(b"plain text")
        for deviation in form.deviations
    )


def test_a_deep_document_is_laid_out_and_not_sorted() -> None:
    deep = b'{"b":1,"a":' + b"[" * 990 + b"1" + b"]" * 990 + b"}"
    found = {cause for form in json_forms(deep) for cause in form.causes}
    assert "json-layout" in found
    assert "json-key-order" not in found


def test_nothing_is_made_of_a_body_that_is_too_long() -> None:
    assert list(body_forms(b"a" * (MAX_BODY_BYTES + 1))) == []


def test_a_form_of_too_many_fields_is_not_encoded_anew() -> None:
    assert not any(
        deviation.cause in ("form-encoding", "form-order")
        for form in body_forms(b"&".join([b"a=1"] * 1_001))
        for deviation in form.deviations
    )


def test_data_that_inflates_without_end_is_no_candidate() -> None:
    bomb = gzip.compress(b"0" * (MAX_BODY_BYTES * 2))
    assert max(len(form.body) for form in body_forms(bomb)) <= MAX_BODY_BYTES
