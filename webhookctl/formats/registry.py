"""The views of a body in the order they are asked, and `render`, which asks them.

Must not know any format: a new one is a function in the list.
"""

from collections.abc import Callable
from dataclasses import replace

from webhookctl.formats.binary_view import binary_view, magic_view
from webhookctl.formats.content import Content, parse_media_type
from webhookctl.formats.decoding import decode_content
from webhookctl.formats.form_view import form_view
from webhookctl.formats.json_view import json_view, ndjson_view
from webhookctl.formats.multipart_view import multipart_view
from webhookctl.formats.text_view import text_view
from webhookctl.formats.view import BodyView, join_notes
from webhookctl.formats.xml_view import xml_view

DEFAULT_MAX_BYTES = 256 * 1024

_VIEWS: tuple[Callable[[Content], BodyView | None], ...] = (
    multipart_view,
    ndjson_view,
    json_view,
    magic_view,
    form_view,
    xml_view,
    text_view,
)


def render(
    body: bytes,
    *,
    content_type: str | None,
    content_encoding: str | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> BodyView:
    """`body` as lines for a reader: every text in them is safe to show, whatever the sender wrote.

    `content_type` and `content_encoding` are the header values, or None; the body is shown as what it is where
    they are wrong. At most `max_bytes` are laid out, of the body and of what is decoded from it. `kind` is one
    of json, ndjson, form, multipart, xml, html, text, binary, empty. Never raises.
    """
    max_bytes = max(max_bytes, 1)
    decoded = decode_content(body, content_encoding, max_bytes=max_bytes)
    if not decoded.data:
        return BodyView("empty", (), decoded.note)
    content = Content(decoded.data, parse_media_type(content_type), max_bytes, decoded.is_cut)
    answers = (view(content) for view in _VIEWS)
    chosen = next((answer for answer in answers if answer), None) or binary_view(content)
    return replace(chosen, note=join_notes(decoded.note, chosen.note))
