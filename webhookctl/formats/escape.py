"""Text from the network made safe to show: what steers a terminal or deceives a reader becomes visible.

Must not know terminals, colours or markup: plain text in, plain text out.
"""

import codecs
import re

# Bidirectional controls, invisible and format characters, tags, line separators, surrogates without a partner.
_DECEIVING = (
    "\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff"
)
_UNSAFE_IN_TEXT = re.compile(f"[\x00-\x08\x0b-\x1f{_DECEIVING}]")
_UNSAFE_IN_LINE = re.compile(f"[\x00-\x1f{_DECEIVING}]")
_CONTROL_PICTURES = 0x2400
_DELETE, _DELETE_PICTURE = "\x7f", "\u2421"

# Names as `codecs` has them. A list of what is let in: other codecs are slow on purpose-made input, or no text.
_CHARSETS = frozenset(
    [
        "utf-8",
        "utf-16",
        "utf-16-be",
        "utf-16-le",
        "utf-32",
        "utf-32-be",
        "utf-32-le",
        "ascii",
        "koi8-r",
        "koi8-u",
    ]
    + ["big5", "euc_jp", "euc_kr", "gb18030", "gb2312", "gbk", "iso2022_jp", "shift_jis", "cp932", "cp949"]
    + [f"iso8859-{part}" for part in range(1, 17)]
    + [f"cp{page}" for page in (437, 850, 866, 874, *range(1250, 1259))]
)
_CHARSET_NAME = re.compile(r"[A-Za-z0-9_:-]{1,40}")


def safe_text(text: str) -> str:
    """`text` with every character that steers a terminal or hides made visible; newlines and tabs stay.

    C0 controls and DEL become their pictures (ESC is shown as ``␛``), C1, bidirectional and invisible
    characters and lone surrogates ``<U+202E>``. Unchanged text is returned as it is.
    """
    return _UNSAFE_IN_TEXT.sub(_visible, text) if _UNSAFE_IN_TEXT.search(text) else text


def safe_line(text: str) -> str:
    """As `safe_text`, with newlines and tabs made visible too: for what has one line, such as a header."""
    return _UNSAFE_IN_LINE.sub(_visible, text) if _UNSAFE_IN_LINE.search(text) else text


def decode_text(data: bytes, charset: str | None) -> str:
    """`data` as text in `charset`, or in UTF-8 when it is None or unknown; what cannot be decoded is U+FFFD.

    Never raises. The text is not safe to show yet.
    """
    return data.decode(known_charset(charset) or "utf-8", "replace")


def known_charset(charset: str | None) -> str | None:
    """The codec for a charset name, or None when there is none fit for text from strangers."""
    if charset is None or not _CHARSET_NAME.fullmatch(charset):
        return None
    try:
        name = codecs.lookup(charset).name
    except LookupError:
        return None
    return name if name in _CHARSETS else None


def _visible(match: re.Match[str]) -> str:
    character = match[0]
    if character == _DELETE:
        return _DELETE_PICTURE
    if character < " ":
        return chr(_CONTROL_PICTURES + ord(character))
    return f"<U+{ord(character):04X}>"
