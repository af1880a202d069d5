"""What a body looks like as styled lines, ready for any output: the data that every view makes.

Must not know colours or terminals (styles are names), nor how any format is read.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

from webhookctl.formats.escape import safe_line

Style: TypeAlias = Literal["plain", "key", "string", "number", "literal", "punctuation", "dim", "error"]

_WIDEST_INDENTATION = 64


class Segment(NamedTuple):
    """A piece of a line in one style. `text` is safe to show and holds no newline."""

    style: Style
    text: str


Line: TypeAlias = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class BodyView:
    """A body to look at: its `kind` (``json``, ``form`` …), its lines, and a `note` for the reader, often empty."""

    kind: str
    lines: tuple[Line, ...]
    note: str = ""


def fold(view: BodyView, max_lines: int) -> BodyView:
    """`view` with its first `max_lines` lines and, where that hides any, one more that says how many."""
    hidden = len(view.lines) - max(max_lines, 0)
    if hidden <= 0:
        return view
    kept = view.lines[: max(max_lines, 0)]
    rest = Segment("dim", f"… {hidden:,} more line{'s' if hidden > 1 else ''}")
    return replace(view, lines=(*kept, (rest,)))


def line_text(line: Line) -> str:
    """The text of `line` without its styles."""
    return "".join(segment.text for segment in line)


def text_lines(text: str, style: Style = "plain") -> tuple[Line, ...]:
    """`text`, of any origin, made safe and split at its newlines (CR LF counts as one); tabs stay."""
    return tuple(
        (Segment(style, "\t".join(safe_line(piece) for piece in line.split("\t"))),)
        for line in text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    )


def indent(lines: tuple[Line, ...], width: int) -> tuple[Line, ...]:
    """`lines` moved `width` columns to the right, but never further than a reader can follow."""
    margin = Segment("plain", " " * min(width, _WIDEST_INDENTATION))
    return tuple((margin, *line) for line in lines) if width else lines


def join_notes(*notes: str) -> str:
    """The notes that say something, as one."""
    return "; ".join(note for note in notes if note)


def readable_size(size_bytes: int) -> str:
    """``512 B``, ``1.9 kB``, ``3.4 MB``: decimal units, one digit after the point."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    if size_bytes < 999_950:
        return f"{size_bytes / 1000:.1f} kB"
    return f"{size_bytes / 1_000_000:.1f} MB"
