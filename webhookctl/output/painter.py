"""Puts styled lines on a stream: as plain text, or in colour through rich. Everything shown is made safe before.

A line is a list of (style, text); styles are names, so that only this file knows colours.
"""

import sys
from collections.abc import Sequence
from typing import IO, Protocol, TypeAlias

Segments: TypeAlias = Sequence[tuple[str, str]]

_COLOURS = {
    "plain": "",
    "dim": "dim",
    "strong": "bold",
    "ok": "green",
    "notice": "cyan",
    "warn": "yellow",
    "bad": "bold red",
    "provider": "magenta",
    "event": "bold",
    "id": "cyan",
    "hint": "yellow",
    "key": "blue",
    "string": "green",
    "number": "cyan",
    "literal": "magenta",
    "punctuation": "dim",
    "error": "red",
}


class Painter(Protocol):
    """Where lines go. `width` is None when lines are never cut; `is_live` when a person is watching a terminal."""

    @property
    def width(self) -> int | None: ...

    @property
    def is_live(self) -> bool: ...

    def line(self, segments: Segments) -> None:
        """Write one line. The texts must be safe already."""
        ...


class PlainPainter:
    """Complete lines of text, flushed one by one; no colour, no cursor movement, nothing cut."""

    is_live = False
    width = None

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def line(self, segments: Segments) -> None:
        self._stream.write("".join([text for _, text in segments]).rstrip() + "\n")
        self._stream.flush()


class RichPainter:
    """Lines in colour on a terminal (NO_COLOR is honoured by rich)."""

    is_live = True

    def __init__(self, stream: IO[str]) -> None:
        from rich.console import Console

        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)

    @property
    def width(self) -> int | None:
        return self._console.width if self._console.is_terminal else None

    def line(self, segments: Segments) -> None:
        from rich.text import Text

        text = Text.assemble(*[(part, _COLOURS[style]) for style, part in segments])
        self._console.print(text, soft_wrap=True)


def painter(
    stream: IO[str] | None = None, *, is_plain: bool = False, is_colour_forced: bool = False
) -> Painter:
    """The painter for `stream` (stdout by default): colour on a terminal or when forced, else plain text."""
    target = sys.stdout if stream is None else stream
    if not is_plain and (is_colour_forced or target.isatty()):
        return RichPainter(target)
    return PlainPainter(target)


def text_of(segments: Segments) -> str:
    """The text of a line without its styles."""
    return "".join([text for _, text in segments])
