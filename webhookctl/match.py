"""Which deliveries a pattern means: event names (`payment_intent.*`), paths (`/github/**`), routes to endpoints.

Must not know providers, requests or endpoints: it compares texts.
"""

import fnmatch
import re
from functools import lru_cache

from webhookctl.errors import UsageError

_SEPARATORS = re.compile(r"[,\s]+")
_ANY_DEPTH = "**"
# What before the first "=" of `3000/hook?a=1` or `example.com/hook?a=1` tells that no pattern stands there.
_BARE_TARGET = re.compile(
    r"""
    (?: [0-9]{1,5} | localhost | \[[0-9A-Fa-f:.]+\] | [0-9]{1,3}(?:\.[0-9]{1,3}){3} | [^/?*\s]+:[0-9]{1,5} )
    (?: [/?].* )?
    | [^/?*\s]+ \. [^/?*\s]+ / [^*]* \? .*
    """,
    re.VERBOSE | re.DOTALL,
)


def event_matches(pattern: str, *, provider: str | None, event: str | None) -> bool:
    """Whether `pattern` means this event: ``*`` is any run of characters, ``?`` one; case matters.

    It is compared with the event and with ``provider/event`` (an unknown event counts as empty there, so that
    ``stripe/*`` and ``*`` mean it too). Without wildcards it also means what it is the beginning of before a
    dot: ``issues`` is also ``issues.opened``.
    """
    name = event or ""
    names = [name] if provider is None else [name, f"{provider}/{name}"]
    expressions = _event_expressions(pattern)
    return any(expression.match(name) for expression in expressions for name in names)


def path_matches(pattern: str, target: str) -> bool:
    """Whether the path of the raw request target `target` (before ``?``) fits `pattern`, which begins with ``/``.

    ``*`` is any run of characters within a segment and ``?`` one, ``**`` as a whole segment is any number of
    segments, none included: ``/github/**`` is ``/github`` too. Nothing is decoded or folded; case matters.
    """
    expected = _path_expressions(pattern)
    segments = target.partition("?")[0].split("/")
    at = position = 0
    # Where the last ** stands and how many segments it has swallowed: only that one can need more.
    retry_at, retry_position = -1, 0
    while position < len(segments):
        expression = expected[at] if at < len(expected) else None
        if at < len(expected) and expression is None:
            retry_at, retry_position = at, position
            at += 1
        elif expression is not None and expression.match(segments[position]):
            at += 1
            position += 1
        elif retry_at >= 0:
            retry_position += 1
            at, position = retry_at + 1, retry_position
        else:
            return False
    return all(expression is None for expression in expected[at:])


def split_patterns(text: str) -> tuple[str, ...]:
    """The patterns of a list separated by commas or blanks; none for an empty list."""
    return tuple(pattern for pattern in _SEPARATORS.split(text) if pattern)


def parse_route(text: str) -> tuple[str | None, str]:
    """``PATTERN=URL`` as pattern and URL; the pattern is None for a URL alone, which takes everything.

    The first ``=`` parts them, unless what is before it is the beginning of a URL or of a bare endpoint
    (``3000/hook?a=1``, ``localhost:3000/?a=1``). Raises UsageError `route-invalid` when a side is empty.
    """
    pattern, equals, url = (part.strip() for part in text.partition("="))
    if not equals or "://" in pattern or _BARE_TARGET.fullmatch(pattern):
        pattern, url = "", text.strip()
    elif not pattern:
        url = ""
    if not url:
        raise UsageError(
            "route-invalid",
            f"{text!r} is neither a URL nor PATTERN=URL",
            "for example --forward-to 'stripe/*=http://localhost:3000/hooks' or --forward-to 3000",
        )
    return pattern or None, url


def route_matches(pattern: str | None, *, provider: str | None, event: str | None, target: str) -> bool:
    """Whether a route's pattern means this delivery: a path (it begins with ``/``), an event, or all (None)."""
    if pattern is None:
        return True
    if pattern.startswith("/"):
        return path_matches(pattern, target)
    return event_matches(pattern, provider=provider, event=event)


@lru_cache(maxsize=256)
def _event_expressions(pattern: str) -> tuple[re.Pattern[str], ...]:
    has_wildcard = "*" in pattern or "?" in pattern
    return (_glob(pattern),) if has_wildcard else (_glob(pattern), _glob(pattern + ".*"))


@lru_cache(maxsize=256)
def _path_expressions(pattern: str) -> tuple[re.Pattern[str] | None, ...]:
    """One expression a segment, None for ``**``."""
    return tuple(None if segment == _ANY_DEPTH else _glob(segment) for segment in pattern.split("/"))


def _glob(pattern: str) -> re.Pattern[str]:
    # fnmatch's own expressions do not backtrack from one * to the one before; brackets mean themselves here.
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")))
