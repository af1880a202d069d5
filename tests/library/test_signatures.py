"""`sign` and `verify`: they agree with each other for every provider that signs in headers."""

from collections.abc import Callable
from email.message import Message
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.signing.keys import URL, bodies_for, key_for
from webhookctl import VerdictKind, sign, signing, verify
from webhookctl.errors import SignatureError, UsageError

NOW_S = 1_700_000_000.0
repeatable = settings(
    derandomize=True, deadline=None, max_examples=5, suppress_health_check=list(HealthCheck)
)


def signs_in_headers(provider: str) -> bool:
    if not signing.load(provider).is_signed:
        return False
    try:
        sign(provider, b"{}", secret=key_for(provider).secret, at_s=NOW_S, url=URL)
    except SignatureError as error:
        return error.code != "signature-in-body"
    return True


PROVIDERS = tuple(provider for provider in signing.provider_ids() if signs_in_headers(provider))


def test_most_providers_sign_in_headers() -> None:
    assert {"stripe", "github", "shopify", "slack", "standardwebhooks"} <= set(PROVIDERS)
    assert len(PROVIDERS) > 100


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_signed_verifies(provider: str) -> None:
    key = key_for(provider)

    @repeatable
    @given(bodies_for(signing.load(provider)))
    def check(body: bytes) -> None:
        try:
            headers = sign(provider, body, secret=key.secret, at_s=NOW_S, url=URL)
        except SignatureError:  # a body that this scheme cannot sign
            return
        verdict = verify(provider, headers, body, secret=key.public or key.secret, at_s=NOW_S, url=URL)
        assert verdict.is_ok, verdict.reason

    check()


@given(st.text())
@repeatable
def test_text_is_signed_as_utf8(text: str) -> None:
    headers = sign("github", text, secret="s3cret")
    assert headers == sign("github", text.encode(), secret="s3cret")
    assert verify("github", headers, text.encode(), secret="s3cret").is_ok


def test_a_signature_is_made_now_and_judged_now() -> None:
    assert verify("stripe", sign("stripe", b"{}", secret="s"), b"{}", secret="s").is_ok
    old = sign("stripe", b"{}", secret="s", at_s=NOW_S)
    assert verify("stripe", old, b"{}", secret="s").kind is VerdictKind.EXPIRED
    assert verify("stripe", old, b"{}", secret="s", at_s=NOW_S + 600, tolerance_s=900.0).is_ok


def test_any_of_several_secrets_will_do() -> None:
    headers = sign("github", b"{}", secret="new")
    assert verify("github", headers, b"{}", secret=["old", "new"]).is_ok
    assert verify("github", headers, b"{}", secret=iter(["old"])).kind is VerdictKind.WRONG_SECRET


def test_headers_are_taken_in_every_form_that_frameworks_have() -> None:
    fields = sign("github", b"{}", secret="s")
    message = Message()
    for name, value in fields.items():
        message[name] = value
    pairs = list(fields.items())
    for headers in (fields, pairs, [(n.encode(), v.encode()) for n, v in pairs], iter(pairs)):
        assert verify("github", headers, b"{}", secret="s").is_ok
    assert verify("github", message, b"{}", secret="s").is_ok  # type: ignore[arg-type]  # no Mapping, yet at hand


def test_header_names_are_of_any_case() -> None:
    fields = {name.lower(): value for name, value in sign("stripe", b"{}", secret="s").items()}
    assert verify("stripe", fields, b"{}", secret="s").is_ok


def test_no_header_that_came_in_makes_it_raise() -> None:
    verdict = verify("stripe", {"Stripe-Signature": "t=1,v1=\u20ac\udcff"}, b"{}", secret="s")
    assert verdict.is_bad


@pytest.mark.parametrize("body", ["{}", {"a": 1}, None])
def test_a_body_that_is_no_bytes_is_an_error_that_says_where_to_get_it(body: object) -> None:
    with pytest.raises(UsageError, match="a signature covers the bytes") as caught:
        verify("github", {}, body, secret="s")  # type: ignore[arg-type]  # that is the mistake
    assert caught.value.code == "body-not-bytes"
    assert "request.get_data()" in caught.value.hint


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_a_bytearray_and_a_memoryview_are_bytes(kind: Callable[[bytes], bytes]) -> None:
    assert verify("github", sign("github", b"{}", secret="s"), kind(b"{}"), secret="s").is_ok


@pytest.mark.parametrize(
    "call",
    [lambda: sign("strpe", b"", secret="s"), lambda: verify("strpe", {}, b"", secret="s")],
    ids=["sign", "verify"],
)
def test_an_unknown_provider_comes_with_a_suggestion(call: Callable[[], object]) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert caught.value.code == "provider-unknown"
    assert "did you mean stripe" in "".join(caught.value.__notes__)


_ACME = """
id = "acme"
name = "Acme"
[signature]
template = "{body}"
algorithm = "hmac-sha256"
encoding = "hex"
[[header]]
name = "Acme-Signature"
value = "{sig}"
"""


def test_a_provider_of_the_project_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme.toml").write_text(_ACME)
    (tmp_path / "webhookctl.toml").write_text('providers = ["acme.toml"]\n')
    monkeypatch.chdir(tmp_path)
    headers = sign("acme", b"{}", secret="s")
    assert list(headers) == ["Acme-Signature"]
    assert verify("acme", headers, b"{}", secret="s").is_ok
