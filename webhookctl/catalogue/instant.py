"""A moment in the forms that providers write: Unix seconds or milliseconds, ISO 8601 / RFC 3339 with a zone.

Knows no clock: the moment is passed in.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

_ZONE = re.compile(r"([+-])(\d\d):(\d\d)")


def written(moment_us: int, *, form: str) -> int | str | None:
    """The moment (microseconds since 1970, UTC) in the form named; None when there is no such form.

    ``unix`` and ``ms`` are integers. Texts: ``iso`` 2026-01-31T09:05:07Z, ``iso-ms`` with milliseconds,
    ``plain`` without a zone, ``date`` 2026-01-31, and a zone itself, ``-05:00``: 2026-01-31T04:05:07-05:00.
    """
    if form == "unix":
        return moment_us // 1_000_000
    if form == "ms":
        return moment_us // 1000
    moment = datetime.fromtimestamp(moment_us // 1_000_000, UTC)
    if form == "iso":
        return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    if form == "iso-ms":
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment_us // 1000 % 1000:03}Z"
    if form == "plain":
        return f"{moment:%Y-%m-%dT%H:%M:%S}"
    if form == "date":
        return f"{moment:%Y-%m-%d}"
    zone = _ZONE.fullmatch(form)
    if not zone:
        return None
    offset = timedelta(hours=int(zone[2]), minutes=int(zone[3])) * (-1 if zone[1] == "-" else 1)
    return moment.astimezone(timezone(offset)).isoformat()
