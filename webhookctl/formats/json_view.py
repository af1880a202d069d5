"""JSON and NDJSON bodies re-indented with styles, token by token; JSON that is broken shown with the place.

Must not parse values: what stands in the body is what is shown.
"""

import re
import unicodedata

from webhookctl.formats.content import Content
from webhookctl.formats.escape import decode_text, safe_line
from webhookctl.formats.view import BodyView, Line, Segment, Style, indent, join_notes, text_lines
from webhookctl.jsontext import JsonTextError, Token, is_json, iter_tokens, lines

_JSON_NAMES = ("application/json", "text/json", "application/csp-report")
_NDJSON_NAMES = (
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
    "application/json-lines",
    "application/jsonlines",
)
_BEGINS_LIKE_JSON = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+[{\[]")
_INDENTATION = 2
_STYLE_OF_KIND: dict[str, Style] = {"string": "string", "number": "number", "literal": "literal"}
# A token cut in two is reported where it begins, at most this far from the end (strings: at the end).
_LONGEST_CUT_BYTES = 8
_LONG_LINE, _EXCERPT = 160, 60


def json_view(content: Content) -> BodyView | None:
    """JSON by its type, or an object or array that is JSON whatever the type says (or does not say)."""
    is_declared = content.media.is_a(*_JSON_NAMES, suffix="+json")
    if not is_declared and not _BEGINS_LIKE_JSON.match(content.head):
        return None
    sequence, fault = _scan(content)
    if fault is None:
        note = "" if is_declared or not content.media.name else f"JSON, not {safe_line(content.media.name)}"
        return BodyView("json", _styled_lines(content.head, sequence), join_notes(note, content.cut_note))
    return _broken(content, fault) if is_declared and b"\0" not in content.head else None


def ndjson_view(content: Content) -> BodyView | None:
    """One JSON value a line, by its type; lines that are none are shown as errors."""
    if not content.media.is_a(*_NDJSON_NAMES):
        return None
    records = [record for record in content.head.split(b"\n") if record.strip()]
    shown = tuple(_record_line(record) for record in records)
    count = f"{len(records):,} record{'' if len(records) == 1 else 's'}"
    return BodyView("ndjson", shown, join_notes(count, content.cut_note))


def expanded(body: bytes) -> tuple[Line, ...] | None:
    """The styled lines of an object or array that is JSON, or None: for a value inside another format."""
    if not _BEGINS_LIKE_JSON.match(body) or not is_json(body):
        return None
    return _styled_lines(body, list(iter_tokens(body)))


def _scan(content: Content) -> tuple[list[Token], JsonTextError | None]:
    """The tokens of the head, and the fault after them, unless cutting the body is what made it."""
    sequence: list[Token] = []
    try:
        sequence.extend(iter_tokens(content.head))
    except JsonTextError as error:
        is_from_cut = content.is_head_cut and error.offset >= len(content.head) - _LONGEST_CUT_BYTES
        return sequence, None if is_from_cut else error
    return sequence, None


def _styled_lines(body: bytes, sequence: list[Token]) -> tuple[Line, ...]:
    return tuple(indent((_styled(body, line),), level * _INDENTATION)[0] for level, line in lines(sequence))


def _styled(body: bytes, line: list[Token]) -> Line:
    segments: list[Segment] = []
    for kind, start, end in line:
        if kind == ":":
            segments[-1] = Segment("key", segments[-1].text)
            segments.append(Segment("punctuation", ": "))
        else:
            text = safe_line(body[start:end].decode("utf-8", "replace"))
            segments.append(Segment(_STYLE_OF_KIND.get(kind, "punctuation"), text))
    return tuple(segments)


def _record_line(record: bytes) -> Line:
    try:
        line = _styled(record, list(iter_tokens(record)))
    except JsonTextError as error:
        return (Segment("error", safe_line(decode_text(record, None))), Segment("dim", f"  {error.message}"))
    return tuple(Segment(style, ", " if text == "," else text) for style, text in line)


def _broken(content: Content, error: JsonTextError) -> BodyView:
    """The text as it is, and under the line with the fault a caret that points at it."""
    shown = list(text_lines(decode_text(content.head, None)))
    at = min(error.line, len(shown))
    line_start = content.head.rfind(b"\n", 0, error.offset) + 1
    before = decode_text(content.head[line_start : error.offset], None)
    line = decode_text(content.head[line_start:].split(b"\n", 1)[0], None)
    pointer: list[Line] = []
    if len(line) > _LONG_LINE:
        after = line[len(before) : len(before) + _EXCERPT]
        before = before[-_EXCERPT:]
        pointer.append((Segment("dim", safe_line(before + after)),))
        before = safe_line(before)
    caret = f"{_blank(before)}^ {error.message}"
    pointer.append((Segment("error", caret),))
    shown[at:at] = pointer
    return BodyView("json", tuple(shown), join_notes(f"invalid {error_place(error)}", content.cut_note))


def error_place(error: JsonTextError) -> str:
    """``JSON at 3:14``."""
    return f"JSON at {error.line}:{error.column}"


def _blank(text: str) -> str:
    """As much blank space as `text` takes on a screen once it is safe; tabs stay tabs."""
    return "".join(
        character
        if character == "\t"
        else " "
        * sum(2 if unicodedata.east_asian_width(part) in "WF" else 1 for part in safe_line(character))
        for character in text
    )
