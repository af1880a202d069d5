"""Why a signature that fits no secret does not fit: malformed, a body re-encoded on its way, or a wrong secret.

Runs after a failure only. Must not know the clock.
"""

import json
from collections.abc import Iterator, Sequence

from webhookctl.model import Secret, Verdict, VerdictKind
from webhookctl.signing.presented import Key, Presented, fitting_secret, keys_of, signature_of
from webhookctl.signing.primitive import DECODINGS, PRIMITIVES
from webhookctl.signing.scheme import Coverage, Scheme

MAX_BODY_BYTES = 1 << 20  # a longer body is not re-encoded: it would cost more than the answer is worth

_WRONG = "no known secret makes this signature: wrong secret"


def explain_mismatch(
    scheme: Scheme, secrets: Sequence[Secret], keys: Sequence[Key], presented: Presented
) -> Verdict:
    """The verdict on a request none of whose signatures was made by one of `keys`. Never raises."""
    if not keys:
        return _wrong(
            scheme, f"the secret is not in the form of {scheme.name}: {scheme.secret_form or scheme.keys[0]}"
        )
    malformed = _malformed(scheme, keys[0], presented)
    if malformed:
        return Verdict(VerdictKind.MALFORMED, scheme.id, malformed)
    stripped = [Secret(secret.reveal().strip(), secret.origin) for secret in secrets]
    if stripped != list(secrets) and fitting_secret(scheme, keys_of(scheme, stripped), presented) is not None:
        return _wrong(scheme, "the secret has white space around it; without that it fits")
    if scheme.coverage is Coverage.BYTES and not scheme.is_web_token:
        for form, body in _other_forms(presented.values["body"]):
            presented.values["body"] = body
            if fitting_secret(scheme, keys, presented) is not None:
                return Verdict(VerdictKind.BODY_CHANGED, scheme.id, f"the signature fits the body {form}")
        return _wrong(scheme, _WRONG + ", another URL" * scheme.needs_url + ", or the body was changed")
    return _wrong(scheme, _WRONG)


def _malformed(scheme: Scheme, key: Key, presented: Presented) -> str:
    """What is wrong with the form of the signatures, in words; "" when one of them could be right."""
    form = f"{scheme.algorithm} in {scheme.encoding}"
    if scheme.is_web_token or scheme.algorithm == "token" or scheme.other_algorithms:
        return ""
    if scheme.algorithm in PRIMITIVES:
        _, content, parts = key
        made = signature_of(scheme, content, presented.values, own=parts, headers=presented.headers)
        lengths = [len(signature) for signature in presented.signatures]
        if len(made) in lengths:
            return ""
        return f"the signature has {lengths[0]} characters, {form} has {len(made)}"
    for signature in presented.signatures:
        try:
            DECODINGS[scheme.encoding](signature)
        except ValueError:
            continue
        return ""
    return f"the signature is not {form}"


def _wrong(scheme: Scheme, reason: str) -> Verdict:
    return Verdict(VerdictKind.WRONG_SECRET, scheme.id, reason)


def _other_forms(body: bytes) -> Iterator[tuple[str, bytes]]:
    """What the sender may have signed if `body` was re-encoded on its way: (its form in words, bytes), each once."""
    if len(body) > MAX_BODY_BYTES:
        return
    seen = {body}
    for form, other in _line_forms(body):
        if other not in seen:
            seen.add(other)
            yield f"{form}: a tool or proxy changed it", other
    try:
        document = json.loads(body)
        for form, other in _json_forms(document):
            if other not in seen:
                seen.add(other)
                yield f"as {form}: a proxy or framework re-encoded it", other
    except (ValueError, RecursionError):
        return


def _line_forms(body: bytes) -> Iterator[tuple[str, bytes]]:
    yield "without its trailing newline", body.removesuffix(b"\n").removesuffix(b"\r")
    yield "with a trailing newline", body + b"\n"
    lines = body.replace(b"\r\n", b"\n")
    yield "with LF line ends", lines
    yield "with CRLF line ends", lines.replace(b"\n", b"\r\n")


def _json_forms(document: object) -> Iterator[tuple[str, bytes]]:
    for is_sorted in (False, True):
        for is_ascii in (False, True):
            for name, separators, indent in (
                ("compact", (",", ":"), None),
                ("spaced", (", ", ": "), None),
                ("indented", (",", ": "), 2),
            ):
                text = json.dumps(
                    document, separators=separators, indent=indent, sort_keys=is_sorted, ensure_ascii=is_ascii
                )
                words = f"{name} JSON" + " with sorted keys" * is_sorted + ", non-ASCII escaped" * is_ascii
                yield words, text.encode("utf-8", "surrogatepass")
                if is_ascii and name == "compact":
                    yield f"{words}, slashes escaped", text.replace("/", "\\/").encode("ascii")
