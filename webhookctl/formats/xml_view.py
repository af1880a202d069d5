"""XML bodies re-indented: the markup as it was written, no entity resolved, no DTD read or loaded.

Must not know any vocabulary (SOAP, Atom); what cannot be laid out safely is left to the text view.
"""

import re
from typing import NamedTuple
from xml.parsers import expat

from webhookctl.formats.content import Content
from webhookctl.formats.escape import decode_text
from webhookctl.formats.view import BodyView, Line, Style, indent, join_notes, text_lines

_XML_NAMES = ("application/xml", "text/xml")
_BEGINS_LIKE_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*+<\?xml\s")
_DECLARED_CHARSET = re.compile(rb"""<\?xml\s[^>]*?encoding=["']([A-Za-z0-9_-]{1,40})["']""")
_INDENTATION = 2
_STYLES: dict[str, Style] = {"open": "key", "close": "key", "text": "plain"}  # all else is dim


class _Piece(NamedTuple):
    kind: str  # open, close, text, other
    text: str


class _SubsetError(Exception):
    """An internal DTD subset, the place where entities are declared."""


def xml_view(content: Content) -> BodyView | None:
    """XML by its type or its declaration; None, with the text view to follow, when it is not well-formed.

    Entity declarations are refused before any is read, so that none can be expanded.
    """
    is_declared = (
        content.media.is_a(*_XML_NAMES, suffix="+xml") and content.media.name != "application/xhtml+xml"
    )
    if not is_declared and not _BEGINS_LIKE_XML.match(content.head):
        return None
    declared = _DECLARED_CHARSET.match(content.head.lstrip())
    charset = content.media.charset or (declared[1].decode() if declared else None)
    text = decode_text(content.head, charset).removeprefix("\ufeff").lstrip()
    try:
        pieces = _pieces(text.encode("utf-8", "replace"), is_cut=content.is_head_cut)
    except _SubsetError:
        return _as_text(text, "XML with a DTD, shown as it is", content)
    except expat.ExpatError as error:
        place = f"{error.lineno}:{error.offset + 1}"
        return _as_text(
            text, f"invalid XML at {place}: {expat.errors.messages.get(error.code, 'error')}", content
        )
    return BodyView("xml", _layout(pieces), content.cut_note)


def _as_text(text: str, note: str, content: Content) -> BodyView:
    return BodyView("xml", text_lines(text), join_notes(note, content.cut_note))


def _pieces(document: bytes, *, is_cut: bool) -> list[_Piece]:
    """`document` cut at the places where the parser saw something begin; their texts joined are the document."""
    parser = expat.ParserCreate("utf-8")
    marks: list[tuple[str, int]] = []

    def mark(kind: str) -> None:
        marks.append((kind, parser.CurrentByteIndex))

    def refuse_subset(_name: str, _system: str | None, _public: str | None, has_subset: int) -> None:
        if has_subset:
            raise _SubsetError
        # The parser is at the end of the declaration by now.
        marks.append(("other", document.rfind(b"<!DOCTYPE", 0, parser.CurrentByteIndex)))

    parser.StartDoctypeDeclHandler = refuse_subset
    parser.XmlDeclHandler = lambda _version, _encoding, _standalone: mark("other")
    parser.StartElementHandler = lambda _name, _attributes: mark("open")
    parser.EndElementHandler = lambda _name: mark("close")
    parser.CharacterDataHandler = lambda _data: mark("text")
    parser.SkippedEntityHandler = lambda _name, _is_parameter: mark("text")
    parser.StartCdataSectionHandler = lambda: mark("text")
    parser.CommentHandler = lambda _data: mark("other")
    parser.ProcessingInstructionHandler = lambda _target, _data: mark("other")
    parser.Parse(document, not is_cut)
    if not marks or marks[0][1] > 0:
        marks.insert(0, ("other", 0))  # cut before anything was whole
    # The parser parts text at every line end and reference; it is one text.
    starts = [
        (kind, start)
        for place, (kind, start) in enumerate(marks)
        if (kind, marks[place - 1][0]) != ("text", "text")
    ]
    ends = [start for _, start in starts[1:]] + [len(document)]
    pieces: list[_Piece] = []
    for (kind, start), end in zip(starts, ends, strict=True):
        text = document[start:end].decode("utf-8", "replace")
        # White space around the outermost element is nobody's text to the parser, so it ends up after markup.
        pieces.append(_Piece(kind, text if kind == "text" else text.strip()))
    return pieces


def _layout(pieces: list[_Piece]) -> tuple[Line, ...]:
    """One element a line, on one line with its text where it holds nothing else."""
    shown: list[Line] = []
    level = 0
    held: list[_Piece] = []  # an open tag and the text after it, until it is known what follows
    for kind, text in [*pieces, _Piece("end", "")]:
        if kind == "text":
            held.append(_Piece(kind, text))
            continue
        if kind == "close" and held and held[0].kind == "open":
            shown += _lines([*held, _Piece(kind, text)], level)
            held = []
            continue
        for piece in _parted(held):
            shown += _lines([piece], level)
            level += piece.kind == "open"
        held = []
        if kind == "open":
            held = [_Piece(kind, text)]
            continue
        level -= kind == "close"
        shown += _lines([_Piece(kind, text)], level)
    return tuple(shown)


def _parted(held: list[_Piece]) -> list[_Piece]:
    """The open tag, if there is one, and the text after it without the white space around it."""
    tags = [piece for piece in held if piece.kind == "open"]
    text = "".join(piece.text for piece in held if piece.kind == "text").strip()
    return tags + ([_Piece("text", text)] if text else [])


def _lines(pieces: list[_Piece], level: int) -> tuple[Line, ...]:
    """`pieces` one after the other, broken where their text breaks."""
    rows: list[Line] = [()]
    for kind, text in pieces:
        if text.strip() or (text and "\n" not in text):
            first, *others = text_lines(text, _STYLES.get(kind, "dim"))
            rows[-1] += first
            rows.extend(others)
    return indent(tuple(rows), level * _INDENTATION) if any(rows) else ()
