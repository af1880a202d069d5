"""What answers a handshake: the challenge returned in the provider's form, or a refusal and why.

An echoed challenge is a stranger's text: it goes back as plain text or JSON, never as a page. No I/O, no clock.
"""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import TypeAlias

from webhookctl.handshake.place import Place, Reader, parse_place
from webhookctl.handshake.sns import is_sns_url
from webhookctl.handshake.table import Form, Handshake, Keyed, SignaturePolicy
from webhookctl.model import Headers, Request, Response, Secret, Verdict

DEVELOPMENT = "development"  # the origin of a secret that no provider knows
REASONS = {200: "OK", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden"}
_SLOT = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.\-]*)\}")
_SPLITTING = re.compile(r"[\r\n\0]")
_GUARDS: Headers = (
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Content-Security-Policy", b"sandbox"),
    (b"Cache-Control", b"no-store"),
)

Slots: TypeAlias = dict[str, str]


@dataclass(frozen=True, slots=True)
class Known:
    """What this project knows for answering: `secrets` (the first answers), verify `tokens`, the signature's `verdict`.

    `accepts_any_token`: with no tokens known, any is let pass. `secret_variable` is where the secret belongs.
    """

    secrets: tuple[Secret, ...] = ()
    tokens: tuple[Secret, ...] = ()
    verdict: Verdict | None = None
    accepts_any_token: bool = False
    secret_variable: str = ""

    @property
    def has_own_secret(self) -> bool:
        """False where the provider cannot know the secret: then nobody here can tell its right answer."""
        return bool(self.secrets) and self.secrets[0].origin != DEVELOPMENT


@dataclass(frozen=True, slots=True)
class Answer:
    """The `response` to a handshake. `refusal` says why it is refused; "" when it is granted.

    `is_sure` is False where a right answer depends on what is not known here. `notes` are for people. `learnt` is a
    secret that the handshake brought; `visit` a URL that has to be opened, safe to open.
    """

    response: Response
    refusal: str = ""
    is_sure: bool = True
    notes: tuple[str, ...] = ()
    learnt: Secret | None = None
    visit: str = ""


def answer(handshake: Handshake, request: Request, known: Known) -> Answer:
    """The answer to `request`, which `find` took for `handshake`. Never raises."""
    reader = Reader(request)
    value = reader.read(handshake.challenge) if handshake.challenge is not None else ""
    malformed = _malformed(value, handshake.max_length)
    if malformed:
        return _refused(handshake, 400, malformed)
    refusal = _signature_refusal(handshake, known) or _token_refusal(handshake, reader, known)
    if refusal is not None:
        return refusal
    slots = _slots(handshake, value or "", known)
    if slots is None:
        hint = f"no secret of {handshake.provider} is known here in the form that answers {handshake.name}"
        return _refused(handshake, 403, hint, is_sure=False)
    return Answer(
        respond(handshake, handshake.answer, slots, reader),
        is_sure=_is_sure(handshake, known),
        notes=_notes(handshake, known),
        learnt=Secret(value, "learnt") if handshake.is_learnt and value else None,
        visit=_visit(handshake, reader),
    )


def acknowledge(handshake: Handshake, request: Request, known: Known) -> Response | None:
    """What a delivery wants to be answered with; None when a verify token for it is not known here."""
    slots = _slots(handshake, "", known)
    if slots is None or ("{token}" in str(handshake.answer) and "token" not in slots):
        return None
    return respond(handshake, handshake.answer, slots, Reader(request))


def expected_slots(handshake: Handshake, request: Request, known: Known) -> Slots | None:
    """The values that right answers are made of; None when no secret is known for them."""
    reader = Reader(request)
    value = reader.read(handshake.challenge) if handshake.challenge is not None else ""
    return _slots(handshake, value or "", known)


def respond(handshake: Handshake, form: Form, slots: Slots, reader: Reader) -> Response:
    """The response of that form. A header whose slot holds nothing is left out."""
    body = rendered_body(form, slots)
    headers: list[tuple[bytes, bytes]] = []
    if form.media_type:
        headers.append((b"Content-Type", form.media_type.encode("ascii")))
    for name, text in rendered_headers(form, slots, reader):
        headers.append((name.encode("ascii"), text.encode("utf-8")))
    headers += [(name.encode("ascii"), text.encode("ascii")) for name, text in handshake.adds]
    return Response(handshake.status, REASONS[handshake.status], (*headers, *_GUARDS), body)


def rendered_body(form: Form, slots: Slots) -> bytes:
    if form.json is not None:
        return json.dumps(rendered(form.json, slots), separators=(",", ":")).encode("ascii")
    return _fill(form.text or "", slots).encode("utf-8")


def rendered(template: object, slots: Slots) -> object:
    """A JSON template with the slots of its texts filled."""
    if isinstance(template, dict):
        return {name: rendered(value, slots) for name, value in template.items()}
    return _fill(template, slots) if isinstance(template, str) else template


def rendered_headers(form: Form, slots: Slots, reader: Reader) -> list[tuple[str, str]]:
    """The header fields of that form; those left out whose slot stands in the request and is not there."""
    fields = []
    for name, template in form.headers:
        known = dict(slots)
        for slot in _SLOT.findall(template):
            if "." in slot and (value := reader.read(parse_place(slot))) is not None:
                known[slot] = _SPLITTING.sub("", value)
        if all(slot in known for slot in _SLOT.findall(template)):
            fields.append((name, _fill(template, known)))
    return fields


def _fill(template: str, slots: Slots) -> str:
    return _SLOT.sub(lambda found: slots.get(found[1], found[0]), template)


def _malformed(value: str | None, max_length: int) -> str:
    if value is None:
        return "the challenge is missing"
    if len(value.encode("utf-8", "surrogatepass")) > max_length:
        return f"the challenge is longer than {max_length} bytes"
    if _SPLITTING.search(value):
        return "the challenge holds CR, LF or NUL"
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return "the challenge is not Unicode text"
    return ""


def _signature_refusal(handshake: Handshake, known: Known) -> Answer | None:
    verdict = known.verdict
    if handshake.signature is SignaturePolicy.NONE or verdict is None or verdict.is_ok:
        return None
    if verdict.is_bad:
        return _refused(handshake, handshake.refusal_status, f"the signature is wrong: {verdict.reason}")
    if handshake.signature is SignaturePolicy.CHECKED:
        return None
    reason = f"its signature has to be right, and was not checked: {verdict.reason}"
    return _refused(handshake, handshake.refusal_status, reason, is_sure=False)


def _token_refusal(handshake: Handshake, reader: Reader, known: Known) -> Answer | None:
    if handshake.token is None:
        return None
    given = (reader.read(handshake.token) or "").encode("utf-8", "surrogatepass")
    if known.tokens:
        matches = [
            hmac.compare_digest(given, token.reveal().encode("utf-8", "surrogatepass"))
            for token in known.tokens
        ]
        return (
            None
            if any(matches)
            else _refused(handshake, 403, f"the verify token ({_name(handshake.token)}) is wrong")
        )
    if known.accepts_any_token:
        return None
    reason = "no verify token is known here, and this listener is open to others: --verify-token"
    return _refused(handshake, 403, reason, is_sure=False)


def _name(place: Place) -> str:
    return place.name


def _is_sure(handshake: Handshake, known: Known) -> bool:
    if handshake.keyed is not None and not known.has_own_secret:
        return False
    if handshake.token is not None and not known.tokens:
        return False
    verdict = known.verdict
    return not handshake.is_signed or verdict is None or verdict.is_ok


def _notes(handshake: Handshake, known: Known) -> tuple[str, ...]:
    notes = []
    if handshake.keyed is not None and not known.has_own_secret:
        notes.append(
            f"made with the development secret: for {handshake.name} itself set {known.secret_variable}"
        )
    if handshake.token is not None and not known.tokens:
        notes.append("any verify token is accepted: give --verify-token to check it")
    verdict = known.verdict
    if handshake.is_signed and verdict is not None and not verdict.is_ok and not verdict.is_bad:
        notes.append(f"its signature was not checked: {verdict.reason}")
    return tuple(notes)


def _visit(handshake: Handshake, reader: Reader) -> str:
    url = reader.read(handshake.visit) if handshake.visit is not None else None
    return url if url is not None and is_sns_url(url) else ""


def _slots(handshake: Handshake, value: str, known: Known) -> Slots | None:
    slots = {"challenge": value}
    if known.tokens:
        slots["token"] = known.tokens[0].reveal()
    if handshake.keyed is None:
        return slots
    keyed = _keyed(handshake.keyed, value, known.secrets)
    return None if keyed is None else {**slots, **keyed}


def _keyed(keyed: Keyed, value: str, secrets: tuple[Secret, ...]) -> Slots | None:
    """The HMAC of `value` under the first secret, and the parts that stand before the key; None without a secret."""
    if not secrets:
        return None
    pieces = secrets[0].reveal().split(":", len(keyed.parts))
    if len(pieces) <= len(keyed.parts):
        return None
    key = pieces[-1].encode("utf-8", "surrogatepass")
    if keyed.key == "sha1":
        key = hashlib.sha1(key, usedforsecurity=False).digest()
    digest = hmac.digest(key, value.encode("utf-8"), keyed.algorithm)
    text = digest.hex() if keyed.encoding == "hex" else base64.b64encode(digest).decode("ascii")
    return {**dict(zip(keyed.parts, pieces, strict=False)), "keyed": text}


def _refused(handshake: Handshake, status: int, reason: str, *, is_sure: bool = True) -> Answer:
    """A refusal in plain words of our own; nothing of the request is in it. Xero wants an empty body."""
    body = b"" if handshake.answer.text == "" else b"webhookctl: this handshake is refused\n"
    kind: Headers = ((b"Content-Type", b"text/plain; charset=utf-8"),) if body else ()
    return Answer(Response(status, REASONS[status], (*kind, *_GUARDS), body), reason, is_sure)
