"""Signs requests and judges signatures by a scheme.

Must not know any provider, where secrets come from, or what time it is: all of that is passed in.
"""

from collections.abc import Sequence
from math import ceil, floor

from webhookctl.errors import SignatureError
from webhookctl.model import Headers, Request, Secret, Verdict, VerdictKind
from webhookctl.signing.diagnosis import explain_mismatch
from webhookctl.signing.place import look_up
from webhookctl.signing.presented import Presented, fitting_secret, keys_of, read, signature_of
from webhookctl.signing.primitive import derive_key
from webhookctl.signing.scheme import Scheme, TimestampPolicy

MAX_TIMESTAMP_S = 253_402_300_800.0  # the year 10000, where ISO 8601 dates and datetime end
MAX_TIMESTAMP_DIGITS = 18  # seconds have 10, milliseconds 13; a float holds the rest well enough


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
    """All headers of `scheme` for `body`, in the scheme's order, as latin-1 bytes.

    `timestamp_s` is Unix time; `message_id` fills ``{id}`` and ``{nonce}``; `url` is the whole URL of the receiver,
    for the schemes that sign it. Raises SignatureError: `secret-malformed` (never showing it), `url-missing`,
    `message-id-malformed`, `timestamp-malformed`.
    """
    if not (message_id.isascii() and message_id.isprintable()):
        raise SignatureError("message-id-malformed", "a message id is printable ASCII")
    if not 0 <= timestamp_s < MAX_TIMESTAMP_S:
        raise SignatureError("timestamp-malformed", f"{timestamp_s} is not a Unix time in seconds")
    if not url and not {"url", "path"}.isdisjoint(scheme.template.slots):
        raise SignatureError(
            "url-missing", f"{scheme.name} signs the URL of the receiver", "say where it is sent to"
        )
    key = _signing_key(scheme, secret)
    values = dict(scheme.values)
    values["id"] = values["nonce"] = message_id.encode("ascii")
    values["ts"] = _timestamp_text(scheme.timestamp, timestamp_s)
    _add_request(values, body=body, method=method, url=url, path=_path(url))
    values["sig"] = signature_of(scheme, key, values)
    return tuple(
        (header.name.replace("{n}", "1").encode("latin-1"), header.value.render(values))
        for header in scheme.headers
        if not header.is_optional
    )


def verify(
    scheme: Scheme,
    secrets: Sequence[Secret],
    request: Request,
    *,
    now_s: float,
    url: str = "",
    tolerance_s: float | None = None,
) -> Verdict:
    """The verdict on `request`: whether one of `secrets` made one of its signatures, and in time. Never raises.

    `now_s` is Unix time; `tolerance_s` replaces the scheme's own tolerance; `url` is the URL the sender sent to, for
    the schemes that sign it (UNKNOWN_SCHEME when they need it and it is empty). Of a header that occurs several
    times the first counts. A wrong signature is judged as wrong before its age is looked at.
    """
    if not secrets:
        variable = f" (set {scheme.secret_variables[0]})" if scheme.secret_variables else ""
        return Verdict(VerdictKind.NO_SECRET, scheme.id, f"no secret to check with{variable}")
    if not url and "url" in scheme.template.slots:
        return Verdict(
            VerdictKind.UNKNOWN_SCHEME, scheme.id, f"{scheme.name} signs the public URL: not known here"
        )
    presented = read(scheme, request.headers)
    absence = _absence(scheme, presented)
    if absence is not None:
        return absence
    signed_at_s = _signed_at_s(scheme.timestamp, presented, request.body)
    if isinstance(signed_at_s, str):
        return Verdict(VerdictKind.MALFORMED, scheme.id, signed_at_s)
    _add_request(presented.values, body=request.body, method=request.method, url=url, path=request.target)
    keys = keys_of(scheme, secrets)
    number = fitting_secret(scheme, keys, presented)
    if number is None:
        return explain_mismatch(scheme, secrets, keys, presented)
    lateness = _untimely(scheme, signed_at_s, now_s=now_s, tolerance_s=tolerance_s)
    if lateness is not None:
        return lateness
    reason = "ok" if len(secrets) == 1 else f"ok (secret {number} of {len(secrets)})"
    return Verdict(VerdictKind.OK, scheme.id, reason)


def _signing_key(scheme: Scheme, secret: Secret) -> bytes:
    try:
        return derive_key(secret.reveal(), derivation=scheme.keys[0], prefixes=scheme.key_prefixes)
    except ValueError:
        message = f"the secret ({secret.origin}) is not in the form {scheme.name} uses ({scheme.keys[0]})"
        # The decoder's own words may quote the secret: `from None`.
        raise SignatureError("secret-malformed", message, scheme.secret_form) from None


def _add_request(values: dict[str, bytes], *, body: bytes, method: str, url: str, path: str) -> None:
    # surrogatepass: text from outside must not make a verdict raise.
    values["body"] = body
    values["method"] = method.encode("utf-8", "surrogatepass")
    values["url"] = url.encode("utf-8", "surrogatepass")
    values["path"] = path.encode("latin-1", "replace")


def _path(url: str) -> str:
    """Path and query of `url`, as they stand in a request line."""
    _, _, rest = url.partition("://")
    _, slash, path = rest.partition("/")
    return slash + path if slash else "/"


def _absence(scheme: Scheme, presented: Presented) -> Verdict | None:
    """The verdict when the signature, or a slot of the canonical template, is not in the headers."""
    if not presented.signatures:
        return _missing(scheme, presented, "sig")
    for slot in scheme.header_slots:
        if slot not in presented.values:
            return _missing(scheme, presented, slot)
    return None


def _missing(scheme: Scheme, presented: Presented, slot: str) -> Verdict:
    sources = [header for header in scheme.headers if slot in header.value.slots]
    for header in sources:
        if header.name.lower().encode("latin-1") in presented.names:
            reason = f"header {header.name} is not of the form {header.value.text}"
            return Verdict(VerdictKind.MALFORMED, scheme.id, reason)
    return Verdict(VerdictKind.NO_HEADER, scheme.id, f"no header {sources[0].name.replace('{n}', '1')}")


def _signed_at_s(policy: TimestampPolicy | None, presented: Presented, body: bytes) -> float | str | None:
    """When the request says it was signed (Unix time), None when it does not say, or what is wrong in words."""
    if policy is None:
        return None
    text = presented.values.get("ts") if policy.place is None else _body_timestamp(policy.place.path, body)
    if text is None:
        return None
    if policy.unit == "iso8601":
        from datetime import UTC, datetime  # few schemes need it

        try:
            moment = datetime.fromisoformat(text.decode("ascii"))
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except ValueError:
            return "the timestamp is not an ISO 8601 date and time"
    if not text.isdigit() or len(text) > MAX_TIMESTAMP_DIGITS:
        return f"the timestamp is not a whole number of {'seconds' if policy.unit == 's' else 'milliseconds'}"
    return int(text) if policy.unit == "s" else int(text) / 1000


def _body_timestamp(path: tuple[str, ...], body: bytes) -> bytes | None:
    import json  # few schemes need it

    try:
        value = look_up(json.loads(body), path)
    except (ValueError, RecursionError):
        return None
    return str(value).encode("utf-8", "replace") if isinstance(value, int | str) else None


def _timestamp_text(policy: TimestampPolicy | None, timestamp_s: float) -> bytes:
    if policy is not None and policy.unit == "iso8601":
        from datetime import UTC, datetime

        return datetime.fromtimestamp(floor(timestamp_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode("ascii")
    is_milliseconds = policy is not None and policy.unit == "ms"
    return str(floor(timestamp_s * 1000 if is_milliseconds else timestamp_s)).encode("ascii")


def _untimely(
    scheme: Scheme, signed_at_s: float | None, *, now_s: float, tolerance_s: float | None
) -> Verdict | None:
    policy = scheme.timestamp
    if policy is None or signed_at_s is None:
        return None
    limit_s = policy.tolerance_s if tolerance_s is None else tolerance_s
    if limit_s is None:
        return None
    age_s = now_s - signed_at_s
    if age_s > limit_s:
        reason = f"expired: signed {_duration(age_s)} ago, the limit is {_duration(limit_s)}"
        return Verdict(VerdictKind.EXPIRED, scheme.id, reason)
    if -age_s > limit_s and policy.is_future_refused:
        return Verdict(
            VerdictKind.FUTURE, scheme.id, f"future: signed {_duration(-age_s)} ahead of this clock"
        )
    return None


def _duration(seconds: float) -> str:
    """Seconds in words: ``42s``, ``6m12s``, ``3h05m``, ``2d04h``; begun seconds count."""
    whole = ceil(seconds)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d{hour:02}h"
    if hours:
        return f"{hours}h{minute:02}m"
    return f"{minutes}m{second:02}s" if minutes else f"{second}s"
