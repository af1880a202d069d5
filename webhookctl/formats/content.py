"""A body on its way to a view: the decoded bytes, what they are said to be, and how much of them to show.

Must not know any format's own syntax.
"""

import re
from dataclasses import dataclass

_PARAMETER = re.compile(r';\s*+([^\s=;]++)\s*+=\s*+("(?:[^"\\]|\\.)*+"|[^;]*+)')
_ESCAPED = re.compile(r"\\(.)")
_MAX_HEADER_CHARACTERS = 4_096  # no honest header is longer, and a dishonest one costs no time


@dataclass(frozen=True, slots=True)
class MediaType:
    """A Content-Type (or Content-Disposition): `name` in lower case, parameters in order, names in lower case."""

    name: str
    parameters: tuple[tuple[str, str], ...] = ()

    def parameter(self, name: str) -> str | None:
        """The first parameter called `name`, or None."""
        return next((value for key, value in self.parameters if key == name), None)

    @property
    def charset(self) -> str | None:
        return self.parameter("charset")

    def is_a(self, *names: str, suffix: str = "") -> bool:
        """True for one of `names`, or a type with this structured suffix (``+json``)."""
        return self.name in names or (bool(suffix) and self.name.endswith(suffix))


@dataclass(frozen=True, slots=True)
class Content:
    """What a view gets: `data` after content decoding, at most `max_bytes` of which are worth reading.

    `is_cut` says that `data` itself is only the beginning (decoding was stopped).
    """

    data: bytes
    media: MediaType
    max_bytes: int
    is_cut: bool = False

    @property
    def head(self) -> bytes:
        return self.data[: self.max_bytes]

    @property
    def is_head_cut(self) -> bool:
        """True when `head` is not the whole body."""
        return self.is_cut or len(self.data) > self.max_bytes

    @property
    def cut_note(self) -> str:
        """``first 256 of 1,204,331 bytes``, or nothing when `head` is all there is."""
        return (
            f"first {self.max_bytes:,} of {len(self.data):,} bytes" if len(self.data) > self.max_bytes else ""
        )


def parse_media_type(header: str | None) -> MediaType:
    """A Content-Type header taken apart, tolerantly: what cannot be read is left out. Never raises."""
    text = (header or "")[:_MAX_HEADER_CHARACTERS]
    name, semicolon, rest = text.partition(";")
    return MediaType(
        name.strip().lower(),
        tuple(
            (match[1].lower(), _unquoted(match[2].strip())) for match in _PARAMETER.finditer(semicolon + rest)
        ),
    )


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return _ESCAPED.sub(r"\1", value[1:-1])
    return value
