"""Keys for tests: in the provider's own form, and the same for the same randomness."""

from itertools import count
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.signing.keys import key_for
from webhookctl.errors import SignatureError, UsageError
from webhookctl.model import Request, Secret
from webhookctl.signing import (
    load,
    make_key,
    new_key,
    provider_ids,
    public_forms,
    sign_request,
    verify,
    with_key_url,
)
from webhookctl.signing.asymmetric import load_keys


@pytest.mark.parametrize(
    ("provider", "secret", "public"),
    [
        ("stripe", "whsec_[0-9a-f]{64}", "same"),
        ("github", "[0-9a-f]{64}", "same"),
        ("whop", "ws_[0-9a-f]{64}", "same"),
        ("standardwebhooks", "whsec_[A-Za-z0-9+/]{43}=", "same"),
        ("supabase", "v1,whsec_[A-Za-z0-9+/]{43}=", "same"),
        ("openai", "whsec_[A-Za-z0-9+/]{43}=", "same"),
        ("loops", "test_[A-Za-z0-9+/]{43}=", "same"),
        ("inngest", "signkey-test-[0-9a-f]{64}", "same"),
        ("adyen_item", "[0-9a-f]{64}", "same"),
        ("braintree", "test_public_key:[0-9a-f]{64}", "same"),
        ("postmark", "webhookctl:[0-9a-f]{64}", "same"),
        ("netlify", "[0-9a-f]{64}", "same"),
        ("discord", "[0-9a-f]{64}", "[0-9a-f]{64}"),
        ("telnyx", "[A-Za-z0-9+/]{43}=", "[A-Za-z0-9+/]{43}="),
        ("standardwebhooks_v1a", "whsk_[A-Za-z0-9+/]{43}=", "whpk_[A-Za-z0-9+/]{43}="),
        ("sendgrid", "MI[A-Za-z0-9+/]+=*", "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE[A-Za-z0-9+/]{86}=="),
        ("circle", "MI[A-Za-z0-9+/]+=*", "MFkw[A-Za-z0-9+/=]+"),
        (
            "plaid",
            "-----BEGIN PRIVATE KEY-----\n(.|\n)+",
            r'\{"keys": \[\{"kid": "webhookctl-test", "use": "sig", "kty": "EC".*\}\]\}',
        ),
    ],
)
def test_a_key_has_the_form_in_which_the_provider_shows_its_own(
    provider: str, secret: str, public: str
) -> None:
    import re

    made = make_key(load(provider), Random(1).randbytes)
    assert re.fullmatch(secret, made.secret)
    assert made.public == made.secret if public == "same" else re.fullmatch(public, made.public)
    assert made == make_key(load(provider), Random(1).randbytes)
    assert made != make_key(load(provider), Random(2).randbytes)


def test_a_base64url_secret_has_that_form() -> None:
    from webhookctl.signing import parse_scheme

    text = (
        'id = "own"\nname = "Own"\n[signature]\ntemplate = "{body}"\nalgorithm = "hmac-sha256"\n'
        'encoding = "hex"\nkeys = ["base64url"]\n[[header]]\nname = "X"\nvalue = "{sig}"'
    )
    made = make_key(parse_scheme(text, "own.toml"), lambda size: b"\xff" * size)
    assert made.secret == "_" * 42 + "8"


def test_an_rsa_key_is_made_of_two_strong_primes() -> None:
    private, public = load_keys(key_for("fireblocks").secret.encode())
    assert isinstance(private[0], RSAPrivateKey)
    numbers = private[0].private_numbers()
    assert numbers.p.bit_length() == numbers.q.bit_length() == 1024
    assert numbers.public_numbers.n.bit_length() == 2048
    assert len(public) == 1


@pytest.mark.parametrize("number", [7919, 104729, 2**127 - 1])
def test_primes_are_told_from_other_numbers(number: int) -> None:
    assert new_key._is_prime(number, Random(1).randbytes)
    assert not new_key._is_prime(number * 7919, Random(1).randbytes)


@pytest.mark.parametrize("number", [561, 3215031751, 3825123056546413051])
def test_numbers_that_look_like_primes_are_not_taken_for_some(number: int) -> None:
    assert not new_key._is_prime(number, Random(1).randbytes)


@pytest.mark.parametrize("provider", ["discord", "plaid", "fireblocks"])
def test_a_public_key_is_read_back_from_every_form_it_is_shown_in(provider: str) -> None:
    scheme, key = load(provider), key_for(provider)
    forms = public_forms(scheme, Secret(key.secret))
    expected = load_keys(forms["spki"].encode())[1][0]
    is_ed25519 = provider == "discord"
    assert set(forms) == {"pem", "spki", "jwks", "certificate"} | ({"hex", "base64"} if is_ed25519 else set())
    for text in forms.values():
        private, public = load_keys(text.encode())
        assert expected in public
        assert len(private) <= is_ed25519  # 32 raw bytes may be either half
    assert forms[scheme.public_key] == key.public or provider == "fireblocks"


def test_the_certificate_of_an_rsa_key_is_always_the_same_and_valid_for_long() -> None:
    from cryptography import x509

    first = public_forms(load("aws_sns"), Secret(key_for("fireblocks").secret))["certificate"]
    assert first == public_forms(load("aws_sns"), Secret(key_for("fireblocks").secret))["certificate"]
    certificate = x509.load_pem_x509_certificate(first.encode())
    assert certificate.subject.rfc4514_string() == "CN=webhookctl webhookctl-aws_sns"
    assert (certificate.not_valid_before_utc.year, certificate.not_valid_after_utc.year) == (2000, 2049)
    certificate.verify_directly_issued_by(certificate)


@pytest.mark.parametrize("provider", ["aws_sns", "paypal"])
def test_a_request_names_the_url_of_the_key_that_it_is_given(provider: str) -> None:
    from tests.signing.test_every_scheme import example_body

    url = "http://localhost:4400/cert.pem"
    scheme, key = with_key_url(load(provider), url), key_for(provider)
    body = example_body(provider)
    signed = sign_request(scheme, Secret(key.secret), body=body, timestamp_s=1.0, message_id="m")
    assert url.encode() in signed.body + repr(signed.headers).encode()
    request = Request("POST", "/", signed.headers, signed.body)
    assert verify(load(provider), [Secret(key.public)], request, now_s=1.0).is_ok


@pytest.mark.parametrize(
    ("provider", "url"), [("stripe", "http://localhost/"), ("aws_sns", "http://\u00e9/")]
)
def test_a_url_that_cannot_be_named_is_refused(provider: str, url: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_key_url(load(provider), url)
    assert caught.value.code == "key-url-unused"


def test_a_shared_secret_has_no_public_half() -> None:
    assert not public_forms(load("stripe"), Secret("whsec_x"))
    assert not public_forms(load("discord"), Secret("not a key"))


def test_a_scheme_with_a_choice_makes_a_key_for_any_of_its_algorithms() -> None:
    scheme = load("fusionauth")
    shared = make_key(scheme, Random(1).randbytes)
    assert not shared.is_pair
    pair = make_key(scheme, Random(1).randbytes, algorithm="jwt-es256")
    assert pair.is_pair
    signed = sign_request(scheme, Secret(pair.secret), body=b"{}", timestamp_s=1.0, message_id="m")
    request = Request("POST", "/", signed.headers, b"{}")
    assert verify(scheme, [Secret(pair.public)], request, now_s=1.0).is_ok
    with pytest.raises(SignatureError) as caught:
        make_key(scheme, Random(1).randbytes, algorithm="ed25519")
    assert caught.value.code == "algorithm-unknown"


def test_a_provider_that_signs_nothing_has_no_key() -> None:
    unsigned = next(provider for provider in provider_ids() if not load(provider).is_signed)
    numbers = count()
    with pytest.raises(SignatureError) as caught:
        make_key(load(unsigned), lambda size: bytes([next(numbers)] * size))
    assert caught.value.code == "keys-not-used"
