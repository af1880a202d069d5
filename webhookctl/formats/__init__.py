"""Bodies made readable: views for JSON, forms, multipart, XML, text and binary, and text made safe to show.

Must not know requests, providers or terminals; the outputs give the styles their colours.
"""

from webhookctl.formats.escape import decode_text, safe_line, safe_text
from webhookctl.formats.registry import render
from webhookctl.formats.view import BodyView, Line, Segment, Style, fold, line_text

__all__ = [
    "BodyView",
    "Line",
    "Segment",
    "Style",
    "decode_text",
    "fold",
    "line_text",
    "render",
    "safe_line",
    "safe_text",
]
