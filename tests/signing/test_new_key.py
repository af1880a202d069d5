"""Keys for tests: in the provider's own form, and the same for the same randomness."""

from itertools import count
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.signing.keys import key_for
from webhookctl.errors import SignatureError
from webhookctl.signing import load, make_key, new_key, provider_ids
from webhookctl.signing.asymmetric import load_keys


@pytest.mark.parametrize(
    ("provider", "secret", "public"),
    [
        ("stripe", "[0-9a-f]{64}", "same"),
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
        ("plaid", "-----BEGIN PRIVATE KEY-----\n(.|\n)+", "-----BEGIN PUBLIC KEY-----\n(.|\n)+"),
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


def test_a_provider_that_signs_nothing_has_no_key() -> None:
    unsigned = next(provider for provider in provider_ids() if not load(provider).is_signed)
    numbers = count()
    with pytest.raises(SignatureError) as caught:
        make_key(load(unsigned), lambda size: bytes([next(numbers)] * size))
    assert caught.value.code == "keys-not-used"
