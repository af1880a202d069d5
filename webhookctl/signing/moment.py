"""When a request says it was signed, by a scheme's timestamp policy, and whether that is in time.

Must not know keys or signatures, nor what time it is: that is passed in.
"""

from math import ceil, floor

from webhookctl.model import Verdict, VerdictKind
from webhookctl.signing.content import Content
from webhookctl.signing.presented import Presented
from webhookctl.signing.scheme import Scheme, TimestampPolicy

MAX_TIMESTAMP_S = 253_402_300_800.0  # the year 10000, where ISO 8601 dates and datetime end
MAX_TIMESTAMP_DIGITS = 18  # seconds have 10, milliseconds 13; a float holds the rest well enough
LIFETIME_S = 300  # of a web token where the scheme names no tolerance


def signed_at_s(policy: TimestampPolicy | None, presented: Presented, body: bytes) -> float | str | None:
    """When the request says it was signed (Unix time), None when it does not say, or what is wrong in words."""
    if policy is None:
        return None
    text = presented.values.get("ts") if policy.place is None else Content(body).at(policy.place)
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


def timestamp_text(policy: TimestampPolicy | None, timestamp_s: float) -> bytes:
    """`timestamp_s` (Unix time) as the policy writes it: seconds where there is none."""
    if policy is None or policy.unit == "s":
        return b"%d" % floor(timestamp_s)
    if policy.unit == "ms":
        return b"%d" % floor(timestamp_s * 1000)
    from datetime import UTC, datetime

    return datetime.fromtimestamp(floor(timestamp_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode("ascii")


def expiry_text(policy: TimestampPolicy | None, timestamp_s: float) -> bytes:
    """When a web token made at `timestamp_s` expires, in Unix seconds."""
    lifetime_s = policy.tolerance_s if policy is not None and policy.tolerance_s else LIFETIME_S
    return str(floor(timestamp_s + lifetime_s)).encode("ascii")


def untimely(scheme: Scheme, presented: Presented, now_s: float, tolerance_s: float | None) -> Verdict | None:
    """The verdict on a request that is too old or too new, else None; `tolerance_s` replaces the scheme's own."""
    policy = scheme.timestamp
    if policy is None:
        return None
    if scheme.is_web_token and tolerance_s is None:
        expires = presented.values.get("expires", b"")
        over_s = now_s - int(expires[:MAX_TIMESTAMP_DIGITS]) if expires.isdigit() else 0
        if over_s > 0:
            reason = f"expired: its time was over {duration(over_s)} ago"
            return Verdict(VerdictKind.EXPIRED, scheme.id, reason)
    limit_s = policy.tolerance_s if tolerance_s is None else tolerance_s
    if limit_s is None or presented.at_s is None:
        return None
    age_s = now_s - presented.at_s
    if age_s > limit_s:
        reason = f"expired: signed {duration(age_s)} ago, the limit is {duration(limit_s)}"
        return Verdict(VerdictKind.EXPIRED, scheme.id, reason)
    if -age_s > limit_s and policy.is_future_refused:
        return Verdict(
            VerdictKind.FUTURE, scheme.id, f"future: signed {duration(-age_s)} ahead of this clock"
        )
    return None


def duration(seconds: float) -> str:
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
