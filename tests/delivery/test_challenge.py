"""Challenges are signed as deliveries are; a wrong signature is well formed and wrong in nothing else."""

import pytest

from webhookctl import handshake, signing
from webhookctl.delivery.challenge import Variant, forge_challenge, variants
from webhookctl.delivery.prepare import Prepared
from webhookctl.errors import UsageError
from webhookctl.handshake import Handshake
from webhookctl.model import Secret, VerdictKind

NOW_S = 1_790_000_000.0
URL = "http://localhost:3000/hook"
SIGNED = [row for row in handshake.load_all() if row.is_signed]


def secret_for(row: Handshake) -> Secret:
    """A key of the provider's form, always the same."""
    made = signing.make_key(signing.load(row.provider), lambda count: bytes(range(1, count + 1)))
    return Secret(made.secret, "made")


def forged(row: Handshake, variant: Variant) -> Prepared:
    return forge_challenge(
        row,
        variant,
        scheme=signing.load(row.provider),
        secrets=(secret_for(row),),
        token="token",
        seed=3,
        now_s=NOW_S,
        url=URL,
    )


def verdict(row: Handshake, variant: Variant) -> VerdictKind:
    made = forged(row, variant)
    scheme = signing.load(row.provider)
    return signing.verify(scheme, (secret_for(row),), made.request, now_s=NOW_S, url=URL).kind


@pytest.mark.parametrize("row", [row for row in SIGNED if row.id != "aws_sns"], ids=lambda row: row.id)
def test_a_challenge_is_signed_and_still_the_handshake(row: Handshake) -> None:
    assert verdict(row, Variant.RIGHT) is VerdictKind.OK
    assert handshake.find(forged(row, Variant.RIGHT).request, row.provider) is row


@pytest.mark.parametrize(
    "row", [row for row in SIGNED if row.id not in ("aws_sns", "figma")], ids=lambda row: row.id
)
def test_a_wrong_signature_is_refused_and_the_body_is_the_same(row: Handshake) -> None:
    assert verdict(row, Variant.WRONG_SIGNATURE) in (VerdictKind.WRONG_SECRET, VerdictKind.BODY_CHANGED)
    right, wrong = forged(row, Variant.RIGHT).request, forged(row, Variant.WRONG_SIGNATURE).request
    assert wrong.body == right.body
    assert [name for name, _ in wrong.headers] == [name for name, _ in right.headers]


def test_a_wrong_token_differs_from_the_right_one() -> None:
    row = handshake.resolve("meta")
    assert "hub.verify_token=token-wrong" in forged(row, Variant.WRONG_TOKEN).request.target
    assert forged(row, Variant.WRONG_TOKEN).label == "handshake:meta (wrong-token)"


def test_without_a_scheme_a_challenge_goes_unsigned() -> None:
    made = forge_challenge(
        handshake.resolve("websub"),
        Variant.RIGHT,
        scheme=None,
        secrets=(),
        token="",
        seed=3,
        now_s=NOW_S,
        url=URL,
    )
    assert made.request.headers == ()
    assert made.label == "handshake:websub"


@pytest.mark.parametrize(
    ("name", "token", "signature", "expected"),
    [
        ("slack", False, False, (Variant.RIGHT,)),
        ("discord", False, False, (Variant.RIGHT, Variant.WRONG_SIGNATURE)),
        ("discord", False, True, (Variant.WRONG_SIGNATURE,)),
        ("meta", True, False, (Variant.WRONG_TOKEN,)),
    ],
)
def test_what_is_sent_is_what_was_asked_for_else_what_the_provider_sends(
    name: str, token: bool, signature: bool, expected: tuple[Variant, ...]
) -> None:
    row = handshake.resolve(name)
    assert variants(row, is_token_wrong=token, is_signature_wrong=signature) == expected


@pytest.mark.parametrize(("name", "token", "signature"), [("slack", True, False), ("meta", False, True)])
def test_a_variant_that_a_handshake_does_not_have_is_refused(name: str, token: bool, signature: bool) -> None:
    with pytest.raises(UsageError) as raised:
        variants(handshake.resolve(name), is_token_wrong=token, is_signature_wrong=signature)
    assert raised.value.code == "variant-unavailable"


def test_a_signature_in_the_body_cannot_be_made_wrong() -> None:
    with pytest.raises(UsageError) as raised:
        forged(handshake.resolve("figma"), Variant.WRONG_SIGNATURE)
    assert raised.value.code == "variant-unavailable"
