"""Form bodies (application/x-www-form-urlencoded) as a list of names and values, in order, duplicates kept.

Must not know what the fields mean.
"""

from urllib.parse import unquote_to_bytes

from webhookctl.formats.content import Content
from webhookctl.formats.escape import decode_text, safe_line
from webhookctl.formats.json_view import expanded
from webhookctl.formats.view import BodyView, Line, Segment, indent, join_notes

_WIDEST_NAME = 32


def form_view(content: Content) -> BodyView | None:
    """Two columns, percent-decoded; a value that is JSON is expanded below its name."""
    if not content.media.is_a("application/x-www-form-urlencoded"):
        return None
    fields = [_field(pair, content.media.charset) for pair in content.head.split(b"&") if pair]
    width = min(max((len(name) for name, _, _ in fields), default=0), _WIDEST_NAME)
    shown = tuple(line for name, value, text in fields for line in _field_lines(name, value, text, width))
    count = f"{len(fields):,} field{'' if len(fields) == 1 else 's'}"
    return BodyView("form", shown, join_notes(count, content.cut_note))


def _field(pair: bytes, charset: str | None) -> tuple[str, bytes | None, str]:
    """The name, the value as bytes (None without ``=``) and as text, all decoded."""
    name, equals, value = (unquote_to_bytes(part) for part in pair.replace(b"+", b" ").partition(b"="))
    return safe_line(decode_text(name, charset)), value if equals else None, decode_text(value, charset)


def _field_lines(name: str, value: bytes | None, text: str, width: int) -> tuple[Line, ...]:
    key = Segment("key", name)
    if value is None:
        return ((key, Segment("dim", "  (no =)")),)
    tree = expanded(value)
    if tree is not None:
        return ((key,), *indent(tree, 2))
    padding = Segment("plain", " " * (max(width - len(name), 0) + 2))
    return ((key, padding, Segment("string", safe_line(text))),)
