"""Makes the requests that open a handshake ready to send: signed as the provider does, or wrongly on purpose.

Pure: time, seed and token come in. Must not know sockets, nor what a right answer is.
"""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from webhookctl import handshake as handshakes
from webhookctl import signing
from webhookctl.delivery.prepare import Mode, Prepared
from webhookctl.errors import UsageError
from webhookctl.handshake import Handshake
from webhookctl.model import Detection, Headers, Request, Secret, with_headers
from webhookctl.signing import Scheme


class Variant(StrEnum):
    """How a challenge is sent. The values are API."""

    RIGHT = "right"
    WRONG_TOKEN = "wrong-token"  # noqa: S105  (a name, not a password)
    WRONG_SIGNATURE = "wrong-signature"


def variants(handshake: Handshake, *, is_token_wrong: bool, is_signature_wrong: bool) -> tuple[Variant, ...]:
    """The variants to send: those asked for, else what the provider sends; the wrong signature where it tests that.

    Raises UsageError `variant-unavailable` where the handshake has no such part.
    """
    if is_token_wrong and handshake.token is None:
        raise _unavailable(handshake, "no verify token")
    if is_signature_wrong and not handshake.is_signed:
        raise _unavailable(handshake, "no signature")
    asked = [Variant.WRONG_TOKEN] * is_token_wrong + [Variant.WRONG_SIGNATURE] * is_signature_wrong
    return tuple(asked) or ((Variant.RIGHT, Variant.WRONG_SIGNATURE)[: 1 + handshake.is_tested])


def forge_challenge(
    handshake: Handshake,
    variant: Variant,
    *,
    scheme: Scheme | None,
    secrets: Sequence[Secret],
    token: str,
    seed: int,
    now_s: float,
    url: str,
    added: Headers = (),
) -> Prepared:
    """The challenge of `handshake`, drawn from `seed`, signed with the first of `secrets` where it is signed.

    `scheme` is None for a provider that signs nothing. Raises UsageError `variant-unavailable`, SignatureError.
    """
    sent_token = f"{token}-wrong" if variant is Variant.WRONG_TOKEN else token
    request = handshakes.challenge(handshake, seed=seed, token=sent_token)
    if handshake.is_signed and scheme is not None and secrets:
        is_wrong = variant is Variant.WRONG_SIGNATURE
        request = _signed(handshake, request, scheme, secrets[0], now_s=now_s, url=url, is_wrong=is_wrong)
    detection = Detection(handshake.provider, "handshake", None, "forged")
    label = f"handshake:{handshake.id}" + ("" if variant is Variant.RIGHT else f" ({variant.value})")
    return Prepared(request, Mode.FORGED, detection, label, scheme, tuple(secrets), added=added)


def _signed(
    handshake: Handshake,
    request: Request,
    scheme: Scheme,
    secret: Secret,
    *,
    now_s: float,
    url: str,
    is_wrong: bool,
) -> Request:
    """`request` with its signature. A wrong one is well formed: it is that of another body."""
    if is_wrong and (scheme.fields or not scheme.covers_body):
        raise _unavailable(handshake, "no signature of its own over the body")
    signed = signing.sign_request(
        scheme,
        secret,
        body=request.body + (b" " if is_wrong else b""),
        timestamp_s=now_s,
        message_id="00000000-0000-4000-a000-000000000000",
        url=url,
        method=request.method,
    )
    body = request.body if is_wrong else signed.body
    return replace(request, headers=with_headers(request.headers, signed.headers), body=body)


def _unavailable(handshake: Handshake, what: str) -> UsageError:
    return UsageError(
        "variant-unavailable", f"the handshake of {handshake.name} has {what}", "send it without that option"
    )
