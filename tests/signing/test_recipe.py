"""Recipes: numbered steps that follow from the scheme, and its traps."""

import pytest

from webhookctl.signing import load, provider_ids, recipe
from webhookctl.signing.computed import COMPUTATIONS
from webhookctl.signing.recipe import _SLOTS


@pytest.mark.parametrize("provider", provider_ids())
def test_every_scheme_has_a_recipe_of_single_lines(provider: str) -> None:
    scheme = load(provider)
    found = recipe(scheme)
    assert bool(found.steps) is scheme.is_signed
    for text in (*(how for _, how in found.steps), *found.traps):
        assert text
        assert "\n" not in text
    for slot in scheme.computed:
        assert slot not in COMPUTATIONS or any(f"{{{slot}}} is" in how for _, how in found.steps)


def test_every_computed_slot_is_explained() -> None:
    assert set(_SLOTS) == set(COMPUTATIONS)


@pytest.mark.parametrize(
    ("provider", "step"),
    [
        ("stripe", ("time", "in s, at most 300 s old; the future is accepted")),
        ("box", ("rotation", "a second signature in a header of its own")),
        ("svix", ("rotation", "several signatures in one header")),
        ("svix", ("key", "the secret decoded from base64, without whsec_")),
        ("github", ("time", "no timestamp: a replay is not refused for its age")),
        ("zoom", ("time", "in s; no age is checked")),
        ("discord", ("key", "the provider's public key, raw bytes in hex")),
        ("gitlab", ("key", "the secret itself is sent")),
        (
            "paypal",
            (
                "key",
                "the public key of the provider's certificate; before it stand webhook_id, each with a colon",
            ),
        ),
        ("box", ("read", "BOX-SIGNATURE-SECONDARY: {sig} (may be missing)")),
        ("mailgun", ("read", "body.signature.token = {nonce}")),
    ],
)
def test_a_step_says_what_the_scheme_says(provider: str, step: tuple[str, str]) -> None:
    assert step in recipe(load(provider)).steps


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("stripe", "not decoded"),
        ("github", "raw bytes"),
        ("mailgun", "does not cover the body"),
        ("aws_sns", "parts of the body"),
        ("twilio_form", "public URL"),
        ("github", "Remember delivery ids"),
        ("strava", "does not sign"),
    ],
)
def test_traps_are_named(provider: str, words: str) -> None:
    assert any(words in trap for trap in recipe(load(provider)).traps)
