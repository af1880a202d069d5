"""What the sender may have signed when not the body that came: line ends, JSON, forms, charsets, compression.

Must not know signatures: bytes in, bytes with their description out, the usual causes first.
"""

import re
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from webhookctl.signing.content import Unsignable, form_fields
from webhookctl.signing.xray.causes import Deviation
from webhookctl.signing.xray.json_forms import json_forms
from webhookctl.signing.xray.search import MAX_BODY_BYTES

_MARK = b"\xef\xbb\xbf"
_REPLACEMENT = "\ufffd".encode()
_FORM = re.compile(rb"[^=&\s{\[]+=[^\s]*\Z")


class BodyForm(NamedTuple):
    """One body that may have been signed: how it differs from the one that came, and its bytes."""

    deviations: tuple[Deviation, ...]
    body: bytes


def body_forms(body: bytes) -> Iterator[BodyForm]:
    """Each body that `body` may have been; some of them twice. Nothing for one over `MAX_BODY_BYTES`."""
    if len(body) > MAX_BODY_BYTES:
        return
    yield from _line_forms(body)
    yield BodyForm((Deviation("body-empty"),), b"")
    for form in json_forms(body):
        yield BodyForm(tuple(Deviation(cause, form.words) for cause in form.causes), form.body)
    yield from _form_forms(body)
    yield from _charset_forms(body)
    yield from _compression_forms(body)


def _form(cause: str, words: str, body: bytes) -> BodyForm:
    return BodyForm((Deviation(cause, words),), body)


def _line_forms(body: bytes) -> Iterator[BodyForm]:
    yield _form("body-newline", "without its trailing newline", body.removesuffix(b"\n").removesuffix(b"\r"))
    yield _form("body-newline", "with a trailing newline", body + b"\n")
    yield _form("body-newline", "with a trailing CRLF", body + b"\r\n")
    yield _form("body-white-space", "without the white space round it", body.strip())
    lines = body.replace(b"\r\n", b"\n")
    for words, form in (("LF", lines), ("CRLF", lines.replace(b"\n", b"\r\n"))):
        yield _form("body-line-ends", f"with {words} line ends", form)
        if not form.endswith(b"\n"):
            end = b"\n" if words == "LF" else b"\r\n"
            causes = ("body-line-ends", "body-newline")
            description = f"with {words} line ends and one at the end"
            yield BodyForm(tuple(Deviation(cause, description) for cause in causes), form + end)
    if body.startswith(_MARK):
        yield _form("body-byte-order-mark", "without its byte order mark", body.removeprefix(_MARK))
    else:
        yield _form("body-byte-order-mark", "with a byte order mark", _MARK + body)


_SAFE: Mapping[str, str] = {"as Python": "", "as browsers": "*", "as JavaScript": "!'()*"}
"""What each writer of forms leaves as it is, besides letters, digits and ``-._``."""


def _form_forms(body: bytes) -> Iterator[BodyForm]:
    from urllib.parse import quote_from_bytes, unquote_to_bytes  # most bodies are JSON

    if body[:1] in (b"{", b"["):
        for words, spaces in (("the form field payload= of it", b"+"), ("the same, with %20", b"%20")):
            quoted = quote_from_bytes(body, "").encode("ascii").replace(b"%20", spaces)
            yield _form("form-payload", words, b"payload=" + quoted)
        return
    if not _FORM.match(body):
        return
    for segment in body.split(b"&"):
        if segment.startswith(b"payload="):
            value = unquote_to_bytes(segment[8:].replace(b"+", b" "))
            yield _form("form-payload", "the field payload alone", value)
    yield from _form_writings(body)


def _form_writings(body: bytes) -> Iterator[BodyForm]:
    from urllib.parse import quote_from_bytes

    try:
        fields = form_fields(body)
    except Unsignable:
        return
    for is_sorted in (False, True):
        pairs = sorted(fields) if is_sorted else fields
        for writer, safe in _SAFE.items():
            for space in ("+", "%20"):
                for is_upper in (True, False):
                    text = "&".join(
                        "=".join(quote_from_bytes(part, safe).replace("%20", space) for part in pair)
                        for pair in pairs
                    )
                    if safe == "*":
                        text = text.replace("~", "%7E")
                    if not is_upper:
                        text = re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), text)
                    words = f"as a form encoded {writer} does, with {space} for a blank"
                    words += ", escapes in lower case" * (not is_upper) + ", sorted" * is_sorted
                    yield _form("form-order" if is_sorted else "form-encoding", words, text.encode("ascii"))


def _charset_forms(body: bytes) -> Iterator[BodyForm]:
    if body.isascii():
        return
    for charset, words in (("latin-1", "in Latin-1"), ("cp1252", "in Windows-1252")):
        for source, target, how in (("utf-8", charset, words), (charset, "utf-8", "in UTF-8")):
            try:
                form = body.decode(source).encode(target)
            except UnicodeError:
                continue
            yield _form("body-charset", how, form)
    yield _form(
        "body-charset", "with U+FFFD for what is no UTF-8", body.decode("utf-8", "replace").encode("utf-8")
    )
    if body.count(_REPLACEMENT) == 1:
        for byte in range(0x80, 0x100):
            form = body.replace(_REPLACEMENT, bytes((byte,)))
            yield _form("body-charset", "with the byte that became U+FFFD", form)


def _compression_forms(body: bytes) -> Iterator[BodyForm]:
    for words, plain in _decompressed(body):
        yield _form("body-compression", f"decompressed ({words})", plain)
    if len(body) > 64 << 10:
        return
    for level in (6, 9, 1):
        stream = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        raw = stream.compress(body) + stream.flush()
        tail = zlib.crc32(body).to_bytes(4, "little") + (len(body) & 0xFFFFFFFF).to_bytes(4, "little")
        for effort in (b"\x00", b"\x02", b"\x04"):
            for system in (b"\x03", b"\xff", b"\x00", b"\x13"):
                head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00" + effort + system
                yield _form("body-compression", "compressed (gzip)", head + raw + tail)
        yield _form("body-compression", "compressed (deflate)", zlib.compress(body, level))
        yield _form("body-compression", "compressed (raw deflate)", raw)
    try:
        import brotli
    except ImportError:
        return
    quality = 11 if len(body) <= 1 << 10 else 5  # the default, slow for more; what servers use
    yield _form("body-compression", "compressed (br)", brotli.compress(body, quality=quality))


def _decompressed(body: bytes) -> Iterator[tuple[str, bytes]]:
    """`body` decompressed, bounded: what is longer than a body may be is no candidate."""
    for words, bits in (
        ("gzip", 16 + zlib.MAX_WBITS),
        ("deflate", zlib.MAX_WBITS),
        ("deflate", -zlib.MAX_WBITS),
    ):
        stream = zlib.decompressobj(bits)
        try:
            plain = stream.decompress(body, MAX_BODY_BYTES)
        except zlib.error:
            continue
        if stream.eof:
            yield words, plain
    if body[:1] in (b"{", b"["):
        return
    try:
        import brotli
    except ImportError:
        return
    try:
        stream_ = brotli.Decompressor()
        plain = stream_.process(body, output_buffer_limit=MAX_BODY_BYTES)
        if stream_.is_finished():
            yield "br", plain
    except (TypeError, brotli.error):  # a brotli that cannot bound its output is not used
        return
