"""Turns the model's values into short words for people: sizes, times, verdicts, statuses. All results are safe to show.

Pure; knows styles by name only.
"""

from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from time import localtime, strftime

from webhookctl.formats import safe_line
from webhookctl.model import Attempt, Verdict, VerdictKind
from webhookctl.output.painter import Segments

_STATUS_WORDS = {2: ("ok", "ok"), 3: ("notice", "redirect"), 4: ("warn", "refused"), 5: ("bad", "error")}


def clock(at_s: float) -> str:
    """Local time of day with milliseconds."""
    whole_ms = round(at_s * 1_000_000) // 1_000
    return f"{_clock_second(whole_ms // 1_000)}.{whole_ms % 1_000:03d}"


@lru_cache(maxsize=16)
def _clock_second(at_s: int) -> str:
    return strftime("%H:%M:%S", localtime(at_s))


def moment(at_s: float) -> str:
    """Local date and time to the second."""
    return datetime.fromtimestamp(at_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(count: int) -> str:
    """`850 B`, `1.2 kB`, `25.0 MB`."""
    if count < 1_000:
        return f"{count} B"
    if count < 1_000_000:
        return f"{count / 1_000:.1f} kB"
    return f"{count / 1_000_000:.1f} MB"


def counted(count: int, noun: str, one: str = "", many: str = "s") -> str:
    """`1 fixture`, `2 fixtures`; `one` and `many` are the noun's endings."""
    return f"{count:,} {noun}{one if count == 1 else many}"


def latency(milliseconds: float) -> str:
    """`37 ms`, `4.2 s`."""
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 1_000 else f"{milliseconds / 1_000:.1f} s"


def verdict(value: Verdict) -> Segments:
    """`sig ok`, or what is wrong with it and why, in words."""
    if value.kind is VerdictKind.OK:
        return [("ok", "sig ok" if value.reason == "ok" else f"sig {safe_line(value.reason)}")]
    if value.kind is VerdictKind.UNKNOWN_SCHEME:
        return [("dim", f"sig none: {safe_line(value.reason)}")]
    if value.kind is VerdictKind.NO_SECRET:
        return [("dim", f"sig not checked: {safe_line(value.reason)}")]
    return [("bad", "sig BAD"), ("bad", f" {safe_line(value.reason)}")]


@lru_cache(maxsize=256)
def status(code: int, reason: str = "") -> Segments:
    """`200 ok`, `302 redirect`, `401 refused`, `500 error`; the reason the app gave when it is unusual."""
    style, word = _STATUS_WORDS.get(code // 100, ("warn", "odd"))
    shown = f" ({safe_line(reason)})" if reason and len(reason) <= 40 and _is_unusual(code, reason) else ""
    return ((style, f"{code} {word}{shown}"),)


def _is_unusual(code: int, reason: str) -> bool:
    try:
        return HTTPStatus(code).phrase.casefold() != reason.casefold()
    except ValueError:
        return True


def outcome(attempt: Attempt, limit_s: float | None = None) -> Segments:
    """What came of an attempt: `200 ok  37 ms`, or `no answer: it refuses connections  2 ms`.

    With the provider's time limit the latency is marked from half of it on.
    """
    took_s = attempt.latency_ms / 1_000
    style, note = "dim", ""
    if limit_s is not None and took_s > limit_s / 2:
        style = "bad" if took_s > limit_s * 0.8 else "warn"
        note = f" of the {limit_s:g} s the sender waits"
    time = (style, f"  {latency(attempt.latency_ms)}{note}")
    if attempt.failure is not None:
        message = safe_line(attempt.failure.message)
        return [("bad", message if message.startswith("no ") else f"no answer: {message}"), time]
    assert attempt.response is not None
    return [*status(attempt.response.status, attempt.response.reason), time]


def shortened(text: str, width: int) -> str:
    """`text` cut in the middle to at most `width` characters."""
    if len(text) <= width or width < 5:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"
