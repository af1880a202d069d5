"""Which cases `-k` means: names joined by and, or, not and brackets.

Must not know cases: it reads texts.
"""

import re
from collections.abc import Callable

from webhookctl.errors import UsageError

_TOKEN = re.compile(r"\s*(\(|\)|\"[^\"]*\"|'[^']*'|[^\s()]+)")
_DEEPEST = 100
Fits = Callable[[str], bool]


def expression(text: str) -> Fits:
    """What says of an id whether `text` means it: ``paid and not (stale or tampered)``, parts in any case.

    Raises UsageError `keyword-invalid`.
    """
    words = [match[1] for match in _TOKEN.finditer(text)]
    if words.count("(") + words.count("not") > _DEEPEST:
        raise _invalid(text[:60], "it is nested too deeply")
    fits, rest = _either(words, text)
    if rest:
        raise _invalid(text, f"{rest[0]!r} is one too many")
    return fits


def _either(words: list[str], text: str) -> tuple[Fits, list[str]]:
    left, words = _both(words, text)
    while words[:1] == ["or"]:
        right, words = _both(words[1:], text)
        left = _or(left, right)
    return left, words


def _both(words: list[str], text: str) -> tuple[Fits, list[str]]:
    left, words = _one(words, text)
    while words[:1] == ["and"]:
        right, words = _one(words[1:], text)
        left = _and(left, right)
    return left, words


def _one(words: list[str], text: str) -> tuple[Fits, list[str]]:
    if not words or words[0] in (")", "and", "or"):
        raise _invalid(text, "a name is missing")
    if words[0] == "not":
        inner, rest = _one(words[1:], text)
        return _not(inner), rest
    if words[0] == "(":
        inner, rest = _either(words[1:], text)
        if rest[:1] != [")"]:
            raise _invalid(text, "a bracket is not closed")
        return inner, rest[1:]
    part = words[0].strip("\"'").casefold()
    return lambda name: part in name.casefold(), words[1:]


def _or(left: Fits, right: Fits) -> Fits:
    return lambda name: left(name) or right(name)


def _and(left: Fits, right: Fits) -> Fits:
    return lambda name: left(name) and right(name)


def _not(inner: Fits) -> Fits:
    return lambda name: not inner(name)


def _invalid(text: str, why: str) -> UsageError:
    return UsageError("keyword-invalid", f"-k {text!r}: {why}", "for example -k 'paid and not tampered'")
