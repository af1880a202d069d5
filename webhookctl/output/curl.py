"""A request as a curl command line to copy: exact to the byte, and safe to show.

Pure. For bash and zsh where a body needs escapes.
"""

import re
import shlex

from webhookctl.errors import UsageError
from webhookctl.model import Headers


def curl_command(
    url: str, headers: Headers, *, method: str = "POST", body: bytes = b"", body_file: str | None = None
) -> str:
    """The command that sends `body` (or the file that holds it) to `url`, an option a line, no line end after it.

    Raises UsageError `body-unquotable` for a NUL outside a file: no shell can hold one.
    """
    options = [f"curl -X {shlex.quote(method)} {quoted(url.encode('utf-8'))}"]
    options += [f"-H {quoted(name + b': ' + value)}" for name, value in headers]
    if body_file is not None:
        options.append(f"--data-binary {quoted(b'@' + body_file.encode('utf-8', 'surrogateescape'))}")
    elif body:
        options.append(f"--data-raw {quoted(body)}")
    return " \\\n  ".join(options)


def quoted(text: bytes) -> str:
    """`text` as one word of a shell; what is not printable is escaped, so that it is safe on a terminal too."""
    if b"\0" in text:
        raise UsageError(
            "body-unquotable", "the body holds a NUL, which no shell can pass on", "sign a FILE instead"
        )
    try:
        plain = text.decode("utf-8")
    except UnicodeDecodeError:
        plain = ""
    if plain and all(character.isprintable() for character in plain):
        return shlex.quote(plain)
    return "$'" + "".join(_escaped(byte) for byte in text) + "'"


def _escaped(byte: int) -> str:
    character = chr(byte)
    if character in "\\'":
        return "\\" + character
    return character if " " <= character <= "~" else f"\\x{byte:02x}"


def with_content_type(headers: Headers, body: bytes) -> Headers:
    """`headers` after a Content-Type that fits `body`; without it curl would call everything a form."""
    kind = b"application/octet-stream"
    if body.lstrip()[:1] in (b"{", b"["):
        kind = b"application/json"
    elif re.fullmatch(rb"[\w.~*+-]+=[^\s{}]*", body):
        kind = b"application/x-www-form-urlencoded"
    return ((b"Content-Type", kind), *headers)
