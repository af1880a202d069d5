"""From a secret to a key: derivations, prefixes, and secrets in a wrong form."""

import base64
import hmac
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webhookctl.errors import SignatureError
from webhookctl.model import Request, Secret, VerdictKind
from webhookctl.signing import Scheme, load, parse_scheme, sign, verify
from webhookctl.signing.primitive import PRIMITIVES, set_up

BODY = '{"id":"evt_1","type":"demo.created","data":{"n":1,"name":"café"}}'.encode()
NOW_S = 1_700_000_000.0
PLAIN = Secret("topsecret_key")
ENCODED = Secret("whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode())
MESSAGE_ID = "msg_sample_0001"


def signed(scheme: Scheme, secret: Secret = ENCODED, *, body: bytes = BODY, at_s: float = NOW_S) -> Request:
    headers = sign(scheme, secret, body=body, timestamp_s=at_s, message_id=MESSAGE_ID)
    return Request("POST", "/hooks", headers, body)


def with_headers(*headers: tuple[bytes, bytes], body: bytes = BODY) -> Request:
    return Request("POST", "/hooks", headers, body)


def own(**blocks: str) -> Scheme:
    """A scheme as a user would write it: hex HMAC over the body in X-Signature unless `blocks` say otherwise."""
    text = 'id = "own"\nname = "Own"\n[signature]\n'
    text += blocks.get("signature", 'template = "{body}"\nalgorithm = "hmac-sha256"\nencoding = "hex"')
    text += "\n" + blocks.get("header", '[[header]]\nname = "X-Signature"\nvalue = "{sig}"')
    return parse_scheme(text + "\n" + blocks.get("rest", ""), "own.toml")


@pytest.mark.parametrize("algorithm", PRIMITIVES)
@given(key=st.binary(min_size=1, max_size=200), contents=st.lists(st.binary(max_size=3000), max_size=3))
@example(key=b"k" * 64, contents=[b"", b"a"])  # a block of SHA-256, and of SHA-512
@example(key=b"k" * 65, contents=[b"a"])
@example(key=b"k" * 128, contents=[b"a"])
@example(key=b"k" * 129, contents=[b"a", b"a"])
def test_a_primitive_that_is_set_up_makes_the_same(algorithm: str, key: bytes, contents: list[bytes]) -> None:
    make = set_up(algorithm, key)
    assert [make(content) for content in contents] == [
        PRIMITIVES[algorithm](key, content) for content in contents
    ]


def test_an_hmac_is_that_of_the_standard_library() -> None:
    for digest in ("sha256", "sha1", "sha384", "sha512", "md5"):
        assert set_up(f"hmac-{digest}", b"key")(BODY) == hmac.digest(b"key", BODY, digest)


def test_stripes_secret_is_used_whole_and_never_decoded() -> None:
    ((_, value),) = signed(load("stripe"), ENCODED).headers
    canonical = b"1700000000." + BODY
    assert value.endswith(hmac.new(ENCODED.reveal().encode(), canonical, "sha256").hexdigest().encode())


def test_the_prefix_of_a_standard_webhooks_secret_is_optional_and_so_is_padding() -> None:
    bare = Secret(ENCODED.reveal().removeprefix("whsec_"))
    unpadded = Secret(bare.reveal().rstrip("="))
    assert signed(load("standardwebhooks"), bare) == signed(load("standardwebhooks"), ENCODED)
    assert signed(load("standardwebhooks"), unpadded) == signed(load("standardwebhooks"), ENCODED)


@pytest.mark.parametrize("text", ["whsec_not base64!", "whsec_", "", "a", "geheim-ä", "\udc80\ud800"])
def test_a_secret_in_a_wrong_form_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(SignatureError) as caught:
        signed(load("svix"), Secret(text, "env:SVIX_SECRET"))
    error = caught.value
    assert error.code == "secret-malformed"
    assert "env:SVIX_SECRET" in error.message
    assert "24 to 64 bytes" in error.hint
    assert error.__cause__ is None
    assert error.__context__ is None
    if len(text) > 6:
        assert text not in error.message + error.hint
    verdict = verify(load("svix"), [Secret(text)], signed(load("svix")), now_s=NOW_S)
    assert verdict.kind is VerdictKind.WRONG_SECRET
    assert verdict.reason.startswith("the secret is not in the form of Svix")


def test_an_empty_text_secret_is_refused_and_never_believed() -> None:
    with pytest.raises(SignatureError, match="not in the form GitHub uses"):
        signed(load("github"), Secret(""))
    empty = hmac.new(b"", BODY, "sha256").hexdigest().encode()
    request = with_headers((b"X-Hub-Signature-256", b"sha256=" + empty))
    assert verify(load("github"), [Secret("")], request, now_s=NOW_S).kind is VerdictKind.WRONG_SECRET


def test_a_secret_that_fits_without_its_white_space_is_told() -> None:
    verdict = verify(load("stripe"), [Secret("topsecret_key\n")], signed(load("stripe"), PLAIN), now_s=NOW_S)
    assert verdict.kind is VerdictKind.WRONG_SECRET
    assert verdict.reason == "the secret has white space around it; without that it fits"
    wrong = verify(load("stripe"), [Secret("another\n")], signed(load("stripe"), PLAIN), now_s=NOW_S)
    assert wrong.reason.startswith("no known secret makes this signature")


def test_bytes_of_the_environment_that_are_no_utf8_sign_as_they_are() -> None:
    ((_, value),) = signed(load("github"), Secret(b"\xff\x00key".decode("utf-8", "surrogateescape"))).headers
    assert value == b"sha256=" + hmac.new(b"\xff\x00key", BODY, "sha256").hexdigest().encode()


def test_hex_secrets_and_several_derivations() -> None:
    header = '[[header]]\nname = "X-Signature"\nvalue = "{sig}"'
    both = 'template = "{body}"\nalgorithm = "hmac-sha256"\nencoding = "hex"\nkeys = ["hex", "utf8"]'
    scheme = own(signature=both, header=header)
    secret = Secret(b"key".hex())
    decoded = hmac.new(b"key", BODY, "sha256").hexdigest().encode()
    literal = hmac.new(secret.reveal().encode(), BODY, "sha256").hexdigest().encode()
    assert signed(scheme, secret).headers == ((b"X-Signature", decoded),)
    assert verify(scheme, [secret], with_headers((b"X-Signature", decoded)), now_s=NOW_S).reason == "ok"
    assert verify(scheme, [secret], with_headers((b"X-Signature", literal)), now_s=NOW_S).reason == "ok"
    assert verify(scheme, [Secret("zz")], with_headers((b"X-Signature", literal)), now_s=NOW_S).is_bad


@pytest.mark.parametrize("message_id", ["a\r\nX-Evil: 1", "ä", "a\x00"])
def test_a_message_id_that_would_break_a_header_is_refused(message_id: str) -> None:
    with pytest.raises(SignatureError) as caught:
        sign(load("svix"), ENCODED, body=b"", timestamp_s=0, message_id=message_id)
    assert caught.value.code == "message-id-malformed"


@pytest.mark.parametrize("timestamp_s", [math.nan, math.inf, -1.0, 1e12])
def test_a_time_that_is_none_is_refused(timestamp_s: float) -> None:
    with pytest.raises(SignatureError) as caught:
        sign(load("stripe"), ENCODED, body=b"", timestamp_s=timestamp_s, message_id="m")
    assert caught.value.code == "timestamp-malformed"
