"""Secrets taken out before saving, and found afterwards. Sample secrets are put together at run time."""

import json
from urllib.parse import parse_qsl, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl import redact
from webhookctl.model import Headers
from webhookctl.redact import find_secrets, redact_body, redact_headers, redact_target

JSON = "application/json"
FORM = "application/x-www-form-urlencoded; charset=utf-8"


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "proxy-authorization",
        "Cookie",
        "SET-COOKIE",
        "X-Api-Key",
        "x_api_key",
        "X-ApiKey",
        "X-Auth-Token",
        "X-Session-Id",
        "Client-Secret",
        "X-Password",
        "X-Forwarded-Authorization",
    ],
)
def test_a_header_named_like_a_credential_is_redacted(name: str) -> None:
    headers = ((name.encode(), b"value"),)
    assert redact_headers(headers, signature_names=()) == (((name.encode(), b"{redacted}"),), (name,))


@pytest.mark.parametrize(
    "name", ["Content-Type", "Idempotency-Key", "X-Api-Version", "X-Tokenizer", "Keep-Alive", "Api", ""]
)
def test_any_other_header_stays(name: str) -> None:
    headers = ((name.encode(), b"value"),)
    assert redact_headers(headers, signature_names=()) == (headers, ())


def test_signatures_are_marked_to_be_made_again_and_everything_else_keeps_its_place() -> None:
    headers: Headers = (
        (b"host", b"example.com"),
        (b"X-SIGNATURE", b"one"),
        (b"x-signature", b"two"),
        (b"X-Signature", b"three"),
        (b"X-Gitlab-Token", b"four"),
        (b"X-Sample", b"five"),
        (b"X-Sample", b""),
        (b"X-\xe9", b"\xff"),
    )
    redacted, names = redact_headers(
        headers, signature_names=["x-signature", "X-GitLab-Token"], extra_names={"X-SAMPLE"}
    )
    assert redacted == (
        (b"host", b"example.com"),
        (b"X-SIGNATURE", b"{resign}"),
        (b"x-signature", b"{resign}"),
        (b"X-Signature", b"{resign}"),
        (b"X-Gitlab-Token", b"{resign}"),
        (b"X-Sample", b"{redacted}"),
        (b"X-Sample", b""),
        (b"X-\xe9", b"\xff"),
    )
    assert names == ("X-SIGNATURE", "x-signature", "X-Signature", "X-Gitlab-Token", "X-Sample")


def test_redacting_twice_finds_nothing_more() -> None:
    once, _ = redact_headers(((b"Cookie", b"a"), (b"Sig", b"b")), signature_names=["sig"])
    assert redact_headers(once, signature_names=["sig"]) == (once, ())
    body, _ = redact_body(b'{"secret":"a"}', content_type=JSON)
    assert redact_body(body, content_type=JSON) == (body, ())
    form, _ = redact_body(b"secret=a", content_type=FORM)
    assert redact_body(form, content_type=FORM) == (form, ())


@pytest.mark.parametrize(
    "key",
    [
        "access_token",
        "refresh_token",
        "client_secret",
        "clientSecret",
        "api_key",
        "apiKey",
        "X-Api-Key",
        "PASSWORD",
        "authorization",
        "private_key",
        "secret",
        "webhook_secret",
        "bot_access_token",
    ],
)
def test_a_json_string_under_a_credential_key_is_redacted(key: str) -> None:
    body = json.dumps({"a": [{key: "value"}]}).encode()
    assert redact_body(body, content_type=JSON) == (body.replace(b"value", b"{redacted}"), (f"a.0.{key}",))


@pytest.mark.parametrize(
    "key", ["token_type", "secret_count", "password_hint", "token", "secretary", "is_private_key_set"]
)
def test_a_json_string_under_another_key_stays(key: str) -> None:
    body = json.dumps({key: "value"}).encode()
    assert redact_body(body, content_type=JSON) == (body, ())


def test_only_the_secret_strings_change_and_every_other_byte_stays() -> None:
    body = (
        b'\xef\xbb\xbf{ "token":"a\\"\\u0041" ,\r\n "n":1.0, "n" : 1E400, "secret":"", "secret":null, "secret":7,\n'
        b'"\\u0073ecret":"b","secret":["c",["d"],{"e":"f"},3,"g"],"secret":{"h":"i"}, "j":{"token":"k"},\t'
        b'"a.b":{"api_key":"l"}, "token_type":"bearer", "m":"\\/"}\n'
    )
    redacted, paths = redact_body(body, content_type=None, fields=["token", "nothing.here"])
    assert redacted == (
        b'\xef\xbb\xbf{ "token":"{redacted}" ,\r\n "n":1.0, "n" : 1E400, "secret":"", "secret":null, "secret":7,\n'
        b'"\\u0073ecret":"{redacted}","secret":["{redacted}",["{redacted}"],{"e":"f"},3,"{redacted}"],'
        b'"secret":{"h":"i"}, "j":{"token":"k"},\t'
        b'"a.b":{"api_key":"{redacted}"}, "token_type":"bearer", "m":"\\/"}\n'
    )
    assert paths == ("token", "secret", "secret.0", "secret.1.0", "secret.4", '"a.b".api_key')


def test_the_provider_s_own_fields_may_lie_deep_and_in_every_element() -> None:
    body = b'{"items":[{"key":"a"},{"key":"b","id":"c"}],"key":"d"}'
    redacted, paths = redact_body(body, content_type=JSON, fields=["items.*.key"])
    assert redacted == b'{"items":[{"key":"{redacted}"},{"key":"{redacted}","id":"c"}],"key":"d"}'
    assert paths == ("items.0.key", "items.1.key")


def test_form_fields_are_redacted_where_they_stand() -> None:
    body = b"token=a%20b&text=c+d&user%5Bpassword%5D=e&api_key=&flag&x[client_secret]=f&=g&token=h%"
    redacted, paths = redact_body(body, content_type=FORM, fields=["token"])
    assert redacted == (
        b"token={redacted}&text=c+d&user%5Bpassword%5D={redacted}&api_key=&flag&x[client_secret]={redacted}&=g&token={redacted}"
    )
    assert paths == ("token", "user[password]", "x[client_secret]")


@pytest.mark.parametrize("quote", [quote_plus, lambda text: text.replace("%", "%25").replace("&", "%26")])
def test_json_inside_a_form_field_is_redacted_without_touching_its_encoding(quote: object) -> None:
    assert callable(quote)
    payload = '{"token": "a & 100%", "user": {"name": "Zoë"}, "access_token": "b"}'
    body = f"payload={quote(payload)}&other=%7b%7D".encode()
    redacted, paths = redact_body(body, content_type=FORM, fields=["token"])
    assert paths == ("payload.token", "payload.access_token")
    expected = payload.replace("a & 100%", "{redacted}").replace('"b"', '"{redacted}"')
    assert parse_qsl(redacted.decode()) == [("payload", expected), ("other", "{}")]
    assert redacted.endswith(b"&other=%7b%7D")
    assert quote('"user": {"name": "Zoë"}').encode() in redacted


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"secret":"a"', JSON),
        (b'{"secret":"a"}\n{"secret":"b"}', JSON),
        (b'"secret"', JSON),
        (b"secret=a", JSON),
        (b"secret=a", None),
        (b"<secret>a</secret>", "application/xml"),
        (b"\xff\x00", None),
        (b"[" * 2000, JSON),
        (b"", JSON),
        (b'payload={"secret":"a"', FORM),
    ],
)
def test_what_is_neither_json_nor_a_form_stays(body: bytes, content_type: str | None) -> None:
    assert redact_body(body, content_type=content_type) == (body, ())


@given(
    body=st.binary() | st.sampled_from([b'{"secret":"a"}', b"a={%22secret%22:%22%"]),
    content_type=st.sampled_from([None, JSON, FORM, ";"]),
    headers=st.lists(st.tuples(st.binary(), st.binary())),
    target=st.text(st.characters(max_codepoint=0xFF)),
)
@settings(derandomize=True, deadline=None)
def test_nothing_that_came_over_the_network_makes_it_raise(
    body: bytes, content_type: str | None, headers: list[tuple[bytes, bytes]], target: str
) -> None:
    redact_body(body, content_type=content_type, fields=["a.b"])
    redacted, _ = redact_headers(tuple(headers), signature_names=["sig"])
    assert [name for name, _ in redacted] == [name for name, _ in headers]
    redact_target(target)
    find_secrets(body)


NAMES = st.sampled_from(["a", "b", 'to"ken', "token", "\\", "api_key", ":", "é"]) | st.text(max_size=3)
DOCUMENTS = st.recursive(
    st.text(max_size=4) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(DOCUMENTS, st.booleans(), st.sampled_from([[], ["a.b"], ["*.a"], ["a.0"]]))
@settings(derandomize=True, deadline=None)
def test_looking_for_names_first_overlooks_no_secret(
    document: object, is_ascii: bool, fields: list[str]
) -> None:
    body = json.dumps(document, ensure_ascii=is_ascii, indent=None if is_ascii else 1).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redact, "_may_hold_secrets", lambda *_: True)
        expected = redact_body(body, content_type=JSON, fields=fields)
    assert redact_body(body, content_type=JSON, fields=fields) == expected


@given(
    st.dictionaries(st.text(max_size=5), st.text() | st.integers() | st.lists(st.text()), max_size=4),
    st.text(min_size=1),
)
@settings(derandomize=True, deadline=None)
def test_a_secret_never_survives_and_its_neighbours_always_do(
    neighbours: dict[str, object], secret: str
) -> None:
    document = {"neighbours": neighbours, "client_secret": secret}
    for body, content_type in (
        (json.dumps(document), JSON),
        ("payload=" + quote_plus(json.dumps(document)), FORM),
    ):
        redacted = redact_body(body.encode(), content_type=content_type, fields=[])[0].decode()
        text = redacted if content_type == JSON else parse_qsl(redacted)[0][1]
        expected = json.loads(redact_body(json.dumps(neighbours).encode(), content_type=JSON)[0])
        assert json.loads(text) == {"neighbours": expected, "client_secret": "{redacted}"}


@pytest.mark.parametrize(
    ("target", "redacted", "names"),
    [
        ("/hooks?token=a%20b&x=1", "/hooks?token={redacted}&x=1", ("token",)),
        ("/hooks?SIG=a&sig=b", "/hooks?SIG={redacted}&sig={redacted}", ("SIG", "sig")),
        ("/hooks?api_key=a?b&mine=c", "/hooks?api_key={redacted}&mine={redacted}", ("api_key", "mine")),
        ("/hooks?token=", "/hooks?token=", ()),
        ("/token=a", "/token=a", ()),
        ("/hooks?key=a&\xe9=\xff", "/hooks?key=a&\xe9=\xff", ()),
        ("/hooks?", "/hooks?", ()),
    ],
)
def test_secret_query_parameters_are_redacted(target: str, redacted: str, names: tuple[str, ...]) -> None:
    assert redact_target(target, fields=["mine"]) == (redacted, names)


@pytest.mark.parametrize(
    ("kind", "pieces"),
    [
        ("webhook secret (whsec_)", ("whsec", "_", "A1" * 16)),
        ("webhook private key (whsk_)", ("whsk", "_", "A1" * 16)),
        ("Stripe live key (sk_live_)", ("sk", "_live_", "a1" * 12)),
        ("Stripe restricted key (rk_live_)", ("rk", "_live_", "a1" * 12)),
        ("GitHub token (ghp_, gho_, ghu_, ghs_, ghr_)", ("gh", "p_", "a1" * 18)),
        ("GitHub token (ghp_, gho_, ghu_, ghs_, ghr_)", ("gh", "o_", "a1" * 18)),
        ("GitHub token (github_pat_)", ("github", "_pat_", "a1" * 20)),
        ("Slack token (xox)", ("xox", "b-", "12345-abcde")),
        ("Slack token (xox)", ("xox", "p-", "12345-abcde")),
        ("Shopify secret (shpss_, shpat_)", ("shp", "ss_", "a1" * 16)),
        ("Shopify secret (shpss_, shpat_)", ("shp", "at_", "a1" * 16)),
        ("AWS access key id (AKIA)", ("AK", "IA", "A1" * 8)),
        ("private key (PEM)", ("-----BEGIN ", "RSA PRIVATE", " KEY-----")),
        ("private key (PEM)", ("-----BEGIN ", "PRIVATE", " KEY-----")),
        ("JSON Web Token", ("ey", "J" + "a" * 12, ".eyJ" + "b" * 12, "." + "c" * 20)),
    ],
)
def test_well_known_keys_are_found_by_kind(kind: str, pieces: tuple[str, ...]) -> None:
    secret = "".join(pieces)
    found = find_secrets(f'{{"a": "{secret}"}}'.encode())
    assert found == [kind]
    assert secret not in found[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_short",
        "whsec" + "_test_" + "a" * 32,
        "sk_test_" + "a" * 24,
        "an eyJ header",
        "AKIAN",
        "ghp_{redacted}",
    ],
)
def test_harmless_text_holds_no_secret(text: str) -> None:
    assert find_secrets(text.encode()) == []
