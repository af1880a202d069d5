"""Makes requests ready to send, and exchanges ready to keep: forged, re-signed or exact; redacted.

Pure: time, seeds and fresh ids come in. Must not know sockets, files or terminals.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from webhookctl import catalogue, fixture, jsontext, redact, signing
from webhookctl.errors import FixtureError, UsageError
from webhookctl.fixture import Fixture, Redaction
from webhookctl.model import Detection, Exchange, Headers, Request, Secret, header_value, with_headers
from webhookctl.signing import Scheme

_FORM = b"application/x-www-form-urlencoded"
_ALPHABETS = {
    character: alphabet
    for alphabet in ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    for character in alphabet
}
_PLACEHOLDERS = (b"{resign}", b"{redacted}")


class Mode(StrEnum):
    """How a request came about. The values are API."""

    FORGED = "forged"
    EXACT = "exact"
    RESIGNED = "resigned"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request ready to be sent, with what it is: `label` for people, its scheme and secrets for a verdict."""

    request: Request
    mode: Mode
    detection: Detection
    label: str
    scheme: Scheme | None = None
    secrets: tuple[Secret, ...] = ()
    remarks: tuple[str, ...] = ()
    added: Headers = ()  # from -H: they take the place of the request's own

    @property
    def keeps_host(self) -> bool:
        """A Host given by hand is sent as given; else it names the endpoint."""
        return any(name.lower() == b"host" for name, _ in self.added)


@dataclass(frozen=True, slots=True)
class Edits:
    """Changes to a body and to headers: `assignments` are (path, JSON text)."""

    assignments: tuple[tuple[str, bytes], ...] = ()
    removals: tuple[str, ...] = ()
    is_creating: bool = False
    headers: Headers = ()

    @property
    def changes_body(self) -> bool:
        return bool(self.assignments or self.removals)

    def body(self, body: bytes) -> bytes:
        """`body` with the changes made at token level. Raises UsageError `path-unknown` or `body-not-json`."""
        if not self.changes_body:
            return body
        return jsontext.edit(
            body, assignments=self.assignments, removals=self.removals, create=self.is_creating
        )


def parse_edits(
    assignments: Sequence[str], removals: Sequence[str], headers: Sequence[str], *, is_creating: bool
) -> Edits:
    """Edits from `--set PATH=VALUE`, `--unset PATH` and `-H 'Name: value'`. Raises UsageError `set-invalid`."""
    parsed = []
    for text in assignments:
        path, equals, value = text.partition("=")
        if not equals or not path:
            raise UsageError(
                "set-invalid",
                f"--set {text!r} is not PATH=VALUE",
                "for example --set data.object.amount=4200",
            )
        parsed.append((path.strip(), jsontext.parse_value(value)))
    return Edits(tuple(parsed), tuple(removals), is_creating, parse_headers(headers))


def parse_headers(texts: Sequence[str]) -> Headers:
    """Header fields from `Name: value` texts. Raises UsageError `header-invalid`."""
    fields = []
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", name.strip()):
            raise UsageError("header-invalid", f"{text!r} is not a header", "write it as 'X-Name: value'")
        if re.search(r"[\r\n\0]", value):
            raise UsageError("header-invalid", f"the value of {name} holds CR, LF or NUL", "remove it")
        fields.append((name.strip().encode("ascii"), _wire(value.strip())))
    return tuple(fields)


def _wire(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8")


def forge(
    template: catalogue.Template,
    edits: Edits,
    *,
    scheme: Scheme,
    secrets: Sequence[Secret],
    seed: int,
    payload_time_s: float,
    now_s: float,
    url: str,
    is_rotating: bool = False,
) -> Prepared:
    """A delivery of the catalogue's event, edited, then signed at `now_s` with the first of `secrets`, or with each.

    `payload_time_s` is the time the payload tells of. `is_rotating`: each secret signs. Raises UsageError
    `path-unknown`, `secret-missing`, `rotation-unsupported`.
    """
    forged = catalogue.build(template, seed=seed, now_s=payload_time_s)
    body = edits.body(forged.body)
    request = Request(forged.method, forged.target, forged.headers, body)
    signature, request = _signed(
        request,
        scheme,
        _signing(secrets, scheme, is_rotating=is_rotating),
        now_s=now_s,
        message_id=forged.delivery_id,
        url=url,
    )
    request = replace(request, headers=with_headers(request.headers, signature))
    detection = Detection(forged.provider, forged.event, forged.delivery_id, "forged")
    return Prepared(
        request, Mode.FORGED, detection, forged.event, scheme, tuple(secrets), added=edits.headers
    )


def resign(
    saved: Fixture,
    edits: Edits,
    *,
    scheme: Scheme,
    secrets: Sequence[Secret],
    now_s: float,
    url: str,
    fresh_id: Callable[[str], str] | None,
    is_rotating: bool = False,
) -> Prepared:
    """A saved delivery with a signature made now. `fresh_id` makes a new delivery id of the same shape, or None.

    `is_rotating`: each of `secrets` signs, not the first alone. Raises UsageError `secret-missing`, `path-unknown`,
    `rotation-unsupported`.
    """
    was = saved.request
    # `replace` takes three times as long.
    request = Request(was.method, was.target, was.headers, edits.body(was.body))
    message_id = saved.delivery_id or "msg_replayed"
    if fresh_id is not None:
        message_id, request = _with_new_id(request, scheme, message_id, fresh_id)
    signing_secrets = _signing(secrets, scheme, is_rotating=is_rotating)
    signature, request = _signed(
        request, scheme, signing_secrets, now_s=now_s, message_id=message_id, url=url
    )
    headers = with_headers(_without_old_signature(request.headers, scheme, signature), signature)
    remarks = [f"{saved.name}: the body was edited since it was saved"] if saved.is_edited else []
    remarks += [f"the redacted {path} is sent as {{redacted}}" for path in saved.redaction.body]
    is_sent = saved.delivery_id or fresh_id or any("id" in header.value.slots for header in scheme.headers)
    detection = Detection(saved.provider, saved.event, message_id if is_sent else None, "fixture")
    return Prepared(
        Request(request.method, request.target, headers, request.body),
        Mode.RESIGNED,
        detection,
        saved.name,
        scheme,
        tuple(secrets),
        tuple(remarks),
        edits.headers,
    )


def exact(saved: Fixture, edits: Edits, *, scheme: Scheme | None, secrets: Sequence[Secret]) -> Prepared:
    """A saved delivery byte for byte as it came, old signature and all.

    Raises FixtureError `fixture-redacted` when what was redacted is needed, UsageError `exact-edited` on edits.
    """
    if edits.changes_body:
        raise UsageError("exact-edited", "--exact and --set or --unset contradict each other", "use --resign")
    missing = [name.decode("latin-1") for name, value in saved.request.headers if value in _PLACEHOLDERS]
    missing += [*saved.redaction.body, *saved.redaction.query]
    if missing:
        raise FixtureError(
            "fixture-redacted",
            f"{saved.name} cannot be sent exactly: {', '.join(dict.fromkeys(missing))} was redacted when it was saved "
            "and this project's history no longer has the original",
            "use --resign, or capture with `listen --keep-secrets`",
        )
    remarks = (f"{saved.name}: the body was edited since it was saved",) if saved.is_edited else ()
    detection = Detection(saved.provider, saved.event, saved.delivery_id, "fixture")
    return Prepared(
        saved.request, Mode.EXACT, detection, saved.name, scheme, tuple(secrets), remarks, edits.headers
    )


def _signed(
    request: Request,
    scheme: Scheme,
    secrets: Sequence[Secret],
    *,
    now_s: float,
    message_id: str,
    url: str,
) -> tuple[Headers, Request]:
    """The signature headers, and `request` with what the scheme puts into its body or query."""
    signed = signing.sign_with_each(
        scheme,
        secrets,
        body=request.body,
        timestamp_s=now_s,
        message_id=message_id,
        url=url,
        method=request.method,
    )
    target = request.target
    if signed.url != url:
        # Of the signed query, what the endpoint brings along itself is added again when it is addressed.
        path, _, own = target.partition("?")
        endpoints = url.partition("?")[2].removesuffix(own)
        target = f"{path}?{signed.url.partition('?')[2].removeprefix(endpoints).lstrip('&')}"
    return signed.headers, Request(request.method, target, request.headers, signed.body)


def _signing(secrets: Sequence[Secret], scheme: Scheme, *, is_rotating: bool) -> Sequence[Secret]:
    """Those of `secrets` that sign: all of them in a rotation, else the first."""
    if not secrets:
        variable = scheme.secret_variables[0] if scheme.secret_variables else "NAME"
        raise UsageError(
            "secret-missing",
            f"no secret to sign for {scheme.name}",
            f"export {variable}=…, or --secret env:NAME",
        )
    return secrets if is_rotating else secrets[:1]


def _without_old_signature(headers: Headers, scheme: Scheme, signature: Headers) -> Headers:
    """What is signed anew stays to be replaced in its place; older signatures and redacted values are left out."""
    made = {name.lower() for name, _ in signature}
    old = _written(tuple(scheme.signature_names))
    return tuple(
        (name, value)
        for name, value in headers
        if name.lower() in made or (name.lower() not in old and value not in _PLACEHOLDERS)
    )


@lru_cache(maxsize=64)
def _written(names: tuple[str, ...]) -> frozenset[bytes]:
    """Names of header fields as they may stand in a request: lower case, numbered ones from 1 to 9."""
    return frozenset(
        name.lower().replace("{n}", str(number)).encode("latin-1")
        for name in names
        for number in range(1, 10)
    )


def _with_new_id(
    request: Request, scheme: Scheme, old_id: str, fresh_id: Callable[[str], str]
) -> tuple[str, Request]:
    """A new delivery id, put wherever the old one stands: in the header or the body field the scheme names."""
    new_id = fresh_id(old_id)
    for rule in scheme.detection.delivery_id:
        for _, place in rule.pieces:
            if place is None:
                continue
            if place.source == "header" and header_value(request.headers, place.header.decode("latin-1")):
                fields = tuple(
                    (name, new_id.encode("latin-1") if name.lower() == place.header else value)
                    for name, value in request.headers
                )
                return new_id, replace(request, headers=fields)
            if place.source == "body" and jsontext.is_json(request.body):
                path = ".".join(place.path)
                if (jsontext.value_at(request.body, path) or b"").startswith(b'"'):
                    text = json.dumps(new_id).encode("ascii")
                    return new_id, replace(
                        request, body=jsontext.edit(request.body, assignments=[(path, text)])
                    )
    return new_id, request


def keep(
    exchange: Exchange,
    *,
    scheme: Scheme | None,
    name: str | None = None,
    headers: Collection[str] = (),
    fields: Collection[str] = (),
    is_keeping_secrets: bool = False,
) -> Fixture:
    """The fixture of an exchange, redacted unless `is_keeping_secrets`; named after its event.

    `headers` and `fields` are the user's own names to redact, on top of the known ones and the scheme's.
    """
    request = exchange.capture.request
    chosen = fixture.slug(name) if name else None
    saved = fixture.from_exchange(
        exchange,
        name=chosen or fixture.fixture_name(exchange.detection.event, request.method, request.target),
    )
    if is_keeping_secrets:
        return saved
    signatures = scheme.signature_names if scheme else ()
    secret_fields = [*(scheme.secret_fields if scheme else ()), *fields]
    kept_headers, header_names = redact.redact_headers(
        request.headers, signature_names=signatures, extra_names=headers
    )
    content_type = (header_value(request.headers, "content-type") or b"").decode("latin-1")
    body, body_paths = redact.redact_body(request.body, content_type=content_type, fields=secret_fields)
    target, query = redact.redact_target(request.target, fields=secret_fields)
    response = saved.response
    if response is not None:
        answered, _ = redact.redact_headers(response.headers, signature_names=(), extra_names=headers)
        response = replace(response, headers=answered)
    return replace(
        saved,
        request=Request(request.method, target, kept_headers, body),
        redaction=Redaction(header_names, body_paths, query),
        response=response,
    )


def renewed(text: str, draw: Callable[[str], str]) -> str:
    """An id of the same shape as `text`: its prefix and punctuation stay, letters and digits are drawn anew.

    `draw(alphabet)` returns one character of the alphabet. ``evt_1Ab2`` keeps ``evt_``, a UUID its version.
    """
    return "".join([draw(alphabet) if alphabet else character for character, alphabet in id_shape(text)])


@lru_cache(maxsize=1024)  # the ids of one kind of delivery have one shape
def id_shape(text: str) -> tuple[tuple[str, str], ...]:
    """Each character of an id with the alphabet it is drawn from, "" where it stays."""
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        return tuple(
            (character, "" if character == "-" or position in (14, 19) else "0123456789abcdef")
            for position, character in enumerate(text)
        )
    kept = len(text) - len(text.rpartition("_")[2])
    return tuple(
        (character, "" if position < kept else _alphabet(character))
        for position, character in enumerate(text)
    )


def _alphabet(character: str) -> str:
    return _ALPHABETS.get(character) or ("0123456789" if character.isdecimal() else "")
