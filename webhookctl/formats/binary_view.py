"""Bodies that are no text: what the first bytes tell, and a hex dump of the beginning.

Must not decode any of it.
"""

from webhookctl.formats.content import Content
from webhookctl.formats.escape import safe_line
from webhookctl.formats.view import BodyView, Line, Segment, join_notes

_DUMPED_BYTES = 256
_ROW_BYTES = 16
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF87a", "GIF image"),
    (b"GIF89a", "GIF image"),
    (b"%PDF-", "PDF document"),
    (b"PK\x03\x04", "ZIP archive"),
    (b"PK\x05\x06", "empty ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"BZh91AY&SY", "bzip2 data"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"OggS\x00", "Ogg media"),
    (b"ID3\x03", "MP3 audio"),
    (b"ID3\x04", "MP3 audio"),
    (b"SQLite format 3\x00", "SQLite database"),
)


def magic_view(content: Content) -> BodyView | None:
    """A file of a known kind, by its first bytes, whatever its type says."""
    name = sniffed(content.data)
    return _dump(content, name) if name else None


def binary_view(content: Content) -> BodyView:
    """Any bytes at all."""
    is_protobuf = "protobuf" in content.media.name or content.media.name.startswith("application/grpc")
    name = "protobuf" if is_protobuf else safe_line(content.media.name) or "unknown binary"
    return _dump(content, name)


def sniffed(data: bytes) -> str:
    """What a file that begins like `data` is, or an empty text."""
    if data[:4] == b"RIFF" and data[8:12] in (b"WEBP", b"WAVE"):
        return "WebP image" if data[8:12] == b"WEBP" else "WAV audio"
    if data[:1] == b"\0" and data[4:8] == b"ftyp":
        return "MP4 media"
    return next((name for signature, name in _SIGNATURES if data.startswith(signature)), "")


def _dump(content: Content, name: str) -> BodyView:
    head = content.head[:_DUMPED_BYTES]
    total = len(content.data)
    amount = f"first {len(head)} of {total:,} bytes" if len(head) < total else f"{total} bytes"
    rows = tuple(
        _row(offset, head[offset : offset + _ROW_BYTES]) for offset in range(0, len(head), _ROW_BYTES)
    )
    return BodyView("binary", rows, join_notes(name, amount))


def _row(offset: int, row: bytes) -> Line:
    half = _ROW_BYTES // 2
    columns = f"{row[:half].hex(' '):<{half * 3}} {row[half:].hex(' '):<{half * 3}}"
    letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
    return (Segment("dim", f"{offset:08x}  "), Segment("number", columns), Segment("string", f" |{letters}|"))
