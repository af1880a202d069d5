"""Multipart bodies taken apart (RFC 2046, 7578): for each part its name, file name, type, size, hash, small texts.

Must not decode part bodies (no transfer encodings) nor descend into nested multiparts: it shows what was sent.
"""

import hashlib
import re
from dataclasses import dataclass
from itertools import islice

from webhookctl.formats.content import Content, MediaType, parse_media_type
from webhookctl.formats.escape import decode_text, safe_line
from webhookctl.formats.json_view import expanded
from webhookctl.formats.text_view import is_text
from webhookctl.formats.view import BodyView, Line, Segment, indent, join_notes, readable_size, text_lines

_MAX_PARTS = 100
_MAX_BOUNDARY_CHARACTERS = 200  # RFC 2046 has 70
_MAX_HEAD_BYTES = 16 * 1024
_MAX_TEXT_BYTES = 2 * 1024
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_LINE_BREAK = re.compile(rb"\r?\n")


@dataclass(frozen=True, slots=True)
class _Part:
    disposition: MediaType
    media: MediaType
    body: bytes
    is_whole: bool


def multipart_view(content: Content) -> BodyView | None:
    """One block a part; None when the type is another one, names no boundary, or the boundary never comes."""
    boundary = (content.media.parameter("boundary") or "")[:_MAX_BOUNDARY_CHARACTERS]
    if not content.media.name.startswith("multipart/") or not boundary:
        return None
    parts, fault = _split(content.data, boundary.encode("latin-1", "replace"))
    if not parts:
        return None
    shown = tuple(line for number, part in enumerate(parts, 1) for line in _part_lines(number, part))
    count = f"{len(parts)} part{'' if len(parts) == 1 else 's'}"
    return BodyView("multipart", shown, join_notes(count, fault))


def _split(data: bytes, boundary: bytes) -> tuple[list[_Part], str]:
    """The parts, at most 100, and what is wrong or left out after them (empty when they are all)."""
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*+(?=\r?\n|\Z)")
    parts: list[_Part] = []
    start: int | None = None
    for match in islice(delimiter.finditer(data), _MAX_PARTS + 1):
        if start is not None:
            parts.append(_part(data[start : match.start()], is_whole=True))
        start = match.end()
        if match[1]:
            return parts, ""
    if len(parts) == _MAX_PARTS:
        return parts, "more are not shown"
    if start is not None:
        parts.append(_part(data[start:], is_whole=False))
    return parts, "the closing boundary is missing"


def _part(raw: bytes, *, is_whole: bool) -> _Part:
    """`raw` begins with the line break after the boundary; without headers the blank line follows at once."""
    separator = _BLANK_LINE.search(raw, 0, _MAX_HEAD_BYTES)
    head, body = (
        (raw[: separator.start()], raw[separator.end() :]) if separator else (raw[:_MAX_HEAD_BYTES], b"")
    )
    disposition = media = None
    for line in _LINE_BREAK.split(head):
        name, _, value = line.decode("utf-8", "replace").partition(":")
        if name.strip().lower() == "content-disposition":
            disposition = value
        elif name.strip().lower() == "content-type":
            media = value
    return _Part(parse_media_type(disposition), parse_media_type(media), body, is_whole and bool(separator))


def _part_lines(number: int, part: _Part) -> tuple[Line, ...]:
    title = [Segment("punctuation", f"part {number}")]
    for key in ("name", "filename", "filename*"):
        value = part.disposition.parameter(key)
        if value is not None:
            title += [Segment("plain", f"  {key}="), Segment("key", f'"{safe_line(value)}"')]
    media = f"{safe_line(part.media.name)}  " if part.media.name else ""
    title.append(Segment("plain", f"  {media}{readable_size(len(part.body))}"))
    # What identifies a file to its reader; nothing is decided by it.
    title.append(Segment("dim", f"  sha256 {hashlib.sha256(part.body).hexdigest()}"))
    if not part.is_whole:
        title.append(Segment("error", "  incomplete"))
    return (tuple(title), *indent(_content_lines(part), 2))


def _content_lines(part: _Part) -> tuple[Line, ...]:
    if not part.body or len(part.body) > _MAX_TEXT_BYTES or not is_text(part.body, part.media):
        return ()
    return expanded(part.body) or text_lines(decode_text(part.body, part.media.charset), "string")
