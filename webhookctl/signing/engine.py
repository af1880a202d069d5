"""Signs requests and judges signatures by a scheme.

Must not know any provider, where secrets come from, or what time it is: all of that is passed in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from webhookctl.errors import SignatureError
from webhookctl.model import Headers, Request, Secret, Verdict, VerdictKind, header_value
from webhookctl.signing.computed import EXACT, MEANING, is_computed
from webhookctl.signing.content import Unsignable, with_form_field, written
from webhookctl.signing.moment import MAX_TIMESTAMP_S, expiry_text, signed_at_s, timestamp_text, untimely
from webhookctl.signing.presented import (
    Claim,
    Key,
    Presented,
    contradiction,
    filled,
    fitting_key,
    keys_of,
    read,
    read_claims,
    read_fields,
    signature_of,
)
from webhookctl.signing.scheme import HeaderTemplate, Scheme

if TYPE_CHECKING:
    from webhookctl.signing.xray.search import Search

COVERING = EXACT | MEANING


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed request's parts: the scheme's `headers`, and the `body` and `url` as they must be sent."""

    headers: Headers
    body: bytes
    url: str


def sign(
    scheme: Scheme,
    secret: Secret,
    *,
    body: bytes,
    timestamp_s: float,
    message_id: str,
    url: str = "",
    method: str = "POST",
) -> Headers:
    """All headers of `scheme` for `body` as it is, in the scheme's order, as latin-1 bytes.

    `timestamp_s` is Unix time; `message_id` fills ``{id}`` and ``{nonce}``; `url` is the whole URL of the receiver,
    for the schemes that sign it. Raises SignatureError: `secret-malformed` (never showing it), `url-missing`,
    `message-id-malformed`, `timestamp-malformed`, `body-malformed`, and `signature-in-body` for schemes that only
    `sign_request` can serve.
    """
    if scheme.fields:
        raise SignatureError(
            "signature-in-body", f"{scheme.name} signs in the body or the URL, not in headers alone"
        )
    values = _values(scheme, message_id, timestamp_s, url)
    key = _signing_key(scheme, secret)
    values.update(key.parts)
    values["body"] = body
    if scheme.needs_line:
        _add_line(values, method=method, url=url, path=_path(url))
    return _sign(scheme, key, values, secret)


def sign_request(
    scheme: Scheme,
    secret: Secret,
    *,
    body: bytes,
    timestamp_s: float,
    message_id: str,
    url: str = "",
    method: str = "POST",
) -> Signed:
    """As `sign`, for every scheme: the time, ids and signatures that stand in the body or the URL are put there.

    What is put into the body is all that changes in it. Raises SignatureError as `sign` does.
    """
    values = _values(scheme, message_id, timestamp_s, url)
    key = _signing_key(scheme, secret)
    values.update(key.parts)
    try:
        body, url = _stamped(scheme, values, body, url, method)
    except Unsignable as error:
        raise _body_malformed(scheme, error) from None
    values["body"] = body
    _add_line(values, method=method, url=url, path=_path(url))
    headers = _sign(scheme, key, values, secret)
    try:
        for field in scheme.fields:
            if field.has_signature and not field.is_optional:
                body, url = _put(field, field.value.render(values), body, url)
    except Unsignable as error:
        raise _body_malformed(scheme, error) from None
    return Signed(headers, body, url)


def _values(scheme: Scheme, message_id: str, timestamp_s: float, url: str) -> dict[str, bytes]:
    """The values that the engine makes, and the scheme's own."""
    if not (message_id.isascii() and message_id.isprintable()):
        raise SignatureError("message-id-malformed", "a message id is printable ASCII")
    if not 0 <= timestamp_s < MAX_TIMESTAMP_S:
        raise SignatureError("timestamp-malformed", f"{timestamp_s} is not a Unix time in seconds")
    if not url and scheme.needs_target:
        raise SignatureError(
            "url-missing", f"{scheme.name} signs the URL of the receiver", "say where it is sent to"
        )
    name = message_id.encode("ascii")
    values = {**scheme.values, "id": name, "nonce": name, "ts": timestamp_text(scheme.timestamp, timestamp_s)}
    if scheme.is_web_token:
        values["expires"] = expiry_text(scheme.timestamp, timestamp_s)
    return values


def _sign(scheme: Scheme, key: Key, values: dict[str, bytes], secret: Secret) -> Headers:
    """The headers of `scheme`; their signature is left in `values`."""
    make = key.make
    if make is not None and not scheme.shown_computed:
        values["sig"] = make(values)
        return tuple([(name, render(values)) for name, render in scheme.sent])
    try:
        slots = [slot for slot in scheme.shown_computed if slot not in values]
        if slots:
            values.update(filled(values, (), slots))
        if scheme.is_web_token:
            values["sig"] = _web_token(scheme, key.key, values)
        elif scheme.is_signed:
            shown = _unsigned(scheme, values) if scheme.computed else ()
            values["sig"] = signature_of(scheme, key, values, shown)
    except Unsignable as error:
        raise _body_malformed(scheme, error) from None
    except ValueError:
        raise _secret_malformed(scheme, secret) from None
    return tuple([(name, render(values)) for name, render in scheme.sent])


def _unsigned(scheme: Scheme, values: Mapping[str, bytes]) -> Headers:
    unsigned = [one for one in scheme.headers if not (one.is_optional or one.has_signature)]
    return tuple([(header.wire_name, header.value.render(values)) for header in unsigned])


def _web_token(scheme: Scheme, key: bytes, values: Mapping[str, bytes]) -> bytes:
    """The web token of the scheme's claims; the first algorithm that the key is fit for makes it."""
    from webhookctl.signing import asymmetric, web_token

    slots = [slot for _, claim in scheme.claims for slot in claim.slots if is_computed(slot)]
    values = filled(values, (), slots)
    claims = [(name, claim.render(values)) for name, claim in scheme.claims]
    algorithms = (scheme.algorithm, *scheme.other_algorithms)
    is_half = not web_token.is_shared_only(algorithms) and asymmetric.is_written_key(key)
    for algorithm in algorithms:
        if is_half and web_token.is_shared_only((algorithm,)):
            continue
        try:
            return web_token.make(algorithm, key, claims, key_id=values.get("kid", b""))
        except UnicodeDecodeError:
            raise Unsignable("the body is not UTF-8") from None
        except ValueError:
            continue
    raise ValueError("no key for a web token")


def _stamped(
    scheme: Scheme, values: Mapping[str, bytes], body: bytes, url: str, method: str
) -> tuple[bytes, str]:
    """`body` and `url` with the time and every field in its place that holds no signature."""
    policy = scheme.timestamp
    if policy is not None and policy.place is not None:
        body = written(body, policy.place, values["ts"], is_number=policy.unit != "iso8601")
    known = dict(values)
    for field in scheme.fields:
        if field.is_optional or field.has_signature:
            continue
        known["body"] = body
        _add_line(known, method=method, url=url, path=_path(url))
        slots = [slot for slot in field.value.slots if is_computed(slot)]
        body, url = _put(field, field.value.render(filled(known, (), slots)), body, url)
    return body, url


def _put(field: HeaderTemplate, text: bytes, body: bytes, url: str) -> tuple[bytes, str]:
    assert field.place is not None
    if field.place.source != "query":
        return written(body, field.place, text, is_number=field.is_number), url
    base, _, query = url.partition("?")
    new = with_form_field(query.encode("utf-8", "surrogatepass"), field.place.path[0].encode("utf-8"), text)
    return body, f"{base}?{new.decode('utf-8', 'surrogatepass')}"


def _body_malformed(scheme: Scheme, error: Unsignable) -> SignatureError:
    return SignatureError(
        "body-malformed", f"{scheme.name} cannot sign this body: {error}", "give one of its own form"
    )


def verify(
    scheme: Scheme,
    secrets: Sequence[Secret],
    request: Request,
    *,
    now_s: float,
    url: str = "",
    tolerance_s: float | None = None,
    search: Callable[[], "Search"] | None = None,
) -> Verdict:
    """The verdict on `request`: whether one of `secrets` made one of its signatures, and in time. Never raises.

    `now_s` is Unix time; `tolerance_s` replaces the scheme's own tolerance; `url` is the URL the sender sent to, for
    the schemes that sign it (UNKNOWN_SCHEME when they need it and it is empty). Of a header that occurs several
    times the first counts. A wrong signature is judged as wrong before its age is looked at. What was refused has a
    finding: its cause by trying; `search` is asked then what else is known, and what trying may cost.
    """
    if not (scheme.is_signed and secrets and (url or not scheme.needs_url)):
        return _unjudged(scheme, secrets)
    presented = judged(scheme, secrets, request, url)
    if isinstance(presented, Verdict):
        from webhookctl.signing.diagnosis import diagnosed
        from webhookctl.signing.xray.search import ALONE

        known = search() if search else ALONE
        verdict, _ = diagnosed(scheme, secrets, request, presented, url=url, search=known)
        return verdict
    lateness = untimely(scheme, presented, now_s, tolerance_s)
    if lateness is not None:
        from webhookctl.signing.diagnosis import timed

        return timed(scheme, presented, lateness, now_s)
    assert presented.key is not None  # it is right
    return _accepted(scheme.id, presented.key.number, len(secrets))


@lru_cache(maxsize=64)  # the same few again and again
def _accepted(scheme_id: str, number: int, count: int) -> Verdict:
    reason = "ok" if count == 1 else f"ok (secret {number} of {count})"
    return Verdict(VerdictKind.OK, scheme_id, reason)


def judged(scheme: Scheme, secrets: Sequence[Secret], request: Request, url: str) -> Presented | Verdict:
    """What is presented when a signature is right, of any age, or what is wrong as far as is seen without trying."""
    presented = read(scheme, request.headers)
    if scheme.fields:
        read_fields(scheme, presented, body=request.body, url=url or request.target)
    absence = _absence(scheme, presented)
    if absence is not None:
        return absence
    if scheme.is_web_token:
        try:
            read_claims(scheme, presented, body=request.body)
        except ValueError:
            return Verdict(VerdictKind.MALFORMED, scheme.id, "the signature is not a JSON Web Token")
    at_s = signed_at_s(scheme.timestamp, presented, request.body)
    if isinstance(at_s, str):
        return Verdict(VerdictKind.MALFORMED, scheme.id, at_s)
    presented.at_s = at_s
    presented.values["body"] = request.body
    if scheme.needs_line:
        _add_line(presented.values, method=request.method, url=url, path=request.target)
    try:
        key = presented.key = fitting_key(scheme, keys_of(scheme, tuple(secrets)), presented)
        claim = contradiction(presented, key.parts) if key is not None and presented.claimed else None
    except Unsignable as error:
        return Verdict(VerdictKind.MALFORMED, scheme.id, str(error))
    if key is None:
        return Verdict(VerdictKind.WRONG_SECRET, scheme.id, "no known secret makes this signature")
    return _contradicted(scheme, claim) if claim is not None else presented


def _contradicted(scheme: Scheme, claim: Claim) -> Verdict:
    is_of_body = not COVERING.isdisjoint(claim.template.slots)
    kind = VerdictKind.BODY_CHANGED if is_of_body else VerdictKind.MALFORMED
    return Verdict(kind, scheme.id, f"{claim.origin} is not {claim.template.text} of this request")


def _unjudged(scheme: Scheme, secrets: Sequence[Secret]) -> Verdict:
    """The verdict when there is nothing to judge, or nothing to judge by."""
    if not scheme.is_signed:
        reason = f"{scheme.name} does not sign its requests"
    elif not secrets:
        variable = f" (set {scheme.secret_variables[0]})" if scheme.secret_variables else ""
        return Verdict(VerdictKind.NO_SECRET, scheme.id, f"no secret to check with{variable}")
    else:
        reason = f"{scheme.name} signs the public URL: not known here"
    return Verdict(VerdictKind.UNKNOWN_SCHEME, scheme.id, reason)


def _signing_key(scheme: Scheme, secret: Secret) -> Key:
    """The key by the first derivation that `secret` is in the form of."""
    keys = keys_of(scheme, (secret,))
    if not keys:
        raise _secret_malformed(scheme, secret)
    return keys[0]


def _secret_malformed(scheme: Scheme, secret: Secret) -> SignatureError:
    form = scheme.keys[0] if scheme.keys[0] != "utf8" else f"a key for {scheme.algorithm}"
    message = f"the secret ({secret.origin}) is not in the form {scheme.name} uses ({form})"
    return SignatureError("secret-malformed", message, scheme.secret_form)


def _add_line(values: dict[str, bytes], *, method: str, url: str, path: str) -> None:
    # surrogatepass: text from outside must not make a verdict raise.
    values["method"] = method.encode("utf-8", "surrogatepass")
    values["url"] = url.encode("utf-8", "surrogatepass")
    values["path"] = path.encode("latin-1", "replace")


def _path(url: str) -> str:
    """Path and query of `url`, as they stand in a request line."""
    _, _, rest = url.partition("://")
    _, slash, path = rest.partition("/")
    return slash + path if slash else "/"


def _absence(scheme: Scheme, presented: Presented) -> Verdict | None:
    """The verdict when the signature, or a slot of the canonical template, is not in the request."""
    if not presented.signatures:
        return _missing(scheme, presented, "sig")
    for slot in scheme.header_slots:
        if slot not in presented.values:
            return _missing(scheme, presented, slot)
    return None


def _missing(scheme: Scheme, presented: Presented, slot: str) -> Verdict:
    sources = [source for source in (*scheme.headers, *scheme.fields) if slot in source.value.slots]
    for source in sources:
        if source.place is not None:
            is_there = source.name in presented.fields
        else:
            is_there = header_value(presented.headers, source.name) is not None
        if is_there:
            kind = "header" if source.place is None else "field"
            reason = f"{kind} {source.name} is not of the form {source.value.text}"
            return Verdict(VerdictKind.MALFORMED, scheme.id, reason)
    kind = "header" if sources[0].place is None else "field"
    return Verdict(VerdictKind.NO_HEADER, scheme.id, f"no {kind} {sources[0].name.replace('{n}', '1')}")
