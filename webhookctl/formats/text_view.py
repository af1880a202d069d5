"""Text and HTML bodies as the text they are, and the decision whether a body is text at all.

Must not interpret the text: HTML is never rendered.
"""

import re

from webhookctl.formats.content import Content, MediaType
from webhookctl.formats.escape import decode_text, known_charset
from webhookctl.formats.view import BodyView, join_notes, text_lines

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_LONGEST_CHARACTER_BYTES = 4


def text_view(content: Content) -> BodyView | None:
    """Text by its bytes or its charset, with a note on its line ends; None for anything else."""
    if not is_text(content.head, content.media, is_cut=content.is_head_cut):
        return None
    kind = "html" if content.media.is_a("text/html", "application/xhtml+xml") else "text"
    line_ends = "CRLF line ends" if b"\r\n" in content.head else ""
    text = decode_text(content.head, content.media.charset)
    return BodyView(kind, text_lines(text), join_notes(line_ends, content.cut_note))


def is_text(data: bytes, media: MediaType, *, is_cut: bool = False) -> bool:
    """Whether `data` can be read as text: its charset is a known one, or it is UTF-8 without control bytes.

    ``text/*`` needs only to be free of NUL: somebody forgot the charset. `is_cut` allows for half a character
    at the end.
    """
    charset = known_charset(media.charset)
    if charset and charset != "utf-8":
        return True
    if media.name.startswith("text/"):
        return b"\0" not in data
    if _CONTROL.search(data):
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return is_cut and error.start > len(data) - _LONGEST_CHARACTER_BYTES
    return True
