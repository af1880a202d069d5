"""Content-Encoding undone for display only, within a fixed output: gzip, deflate, and br where `brotli` is there.

Must not know what the bytes mean. Signatures are about the encoded body, which nobody changes here.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

from webhookctl.formats.escape import safe_line
from webhookctl.formats.view import join_notes, readable_size

_MAX_LAYERS = 3
_MAX_RATIO = 1_000  # the most deflate reaches is 1,032; br could make a gigabyte out of a packet
_MAX_MEMBERS = 1_000
_INPUT_STEP_BYTES = 4 * 1024
_OUTPUT_STEP_BYTES = 64 * 1024
_GZIP, _ZLIB, _RAW_DEFLATE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Decoded:
    """A body with its Content-Encoding undone as far as it went: `is_cut` when there was more, `note` says what."""

    data: bytes
    note: str = ""
    is_cut: bool = False


class _UndecodableError(Exception):
    """Why a coding cannot be undone, in words."""


def decode_content(body: bytes, content_encoding: str | None, *, max_bytes: int) -> Decoded:
    """`body` with the codings of `content_encoding` undone, last one first, to at most `max_bytes` each.

    What cannot be undone (unknown coding, broken data, no `brotli`) stays as it is, with a note. Never raises.
    """
    codings = [coding.strip().lower() for coding in (content_encoding or "").split(",") if body]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    decoded = Decoded(body)
    for coding in codings[: -_MAX_LAYERS - 1 : -1]:
        step = _undone(decoded.data, coding, max_bytes)
        is_cut = decoded.is_cut or step.is_cut
        decoded = Decoded(step.data, join_notes(decoded.note, step.note), is_cut)
    if len(codings) > _MAX_LAYERS:
        return Decoded(decoded.data, join_notes(decoded.note, "more codings than are undone"), decoded.is_cut)
    return decoded


def _undone(data: bytes, coding: str, max_bytes: int) -> Decoded:
    name = safe_line(coding[:40])
    inflate = _CODINGS.get(coding.removeprefix("x-"))
    limit = min(max_bytes, _MAX_RATIO * len(data))
    try:
        if inflate is None:
            raise _UndecodableError("unknown coding")
        output, is_complete = inflate(data, limit + 1)
    except _UndecodableError as error:
        return Decoded(data, f"{name} not decoded: {error}")
    if len(output) > limit:
        return Decoded(output[:limit], f"{name}, first {readable_size(limit)} decoded", is_cut=True)
    sizes = f"{name}, {readable_size(len(data))} decoded to {readable_size(len(output))}"
    return Decoded(output, sizes if is_complete else f"{sizes}, then broken", is_cut=not is_complete)


def _gunzip(data: bytes, max_bytes: int) -> tuple[bytes, bool]:
    """A gzip file has one or more members, each decoded in turn; zeros after them are padding."""
    output, is_complete, rest = _inflate_once(memoryview(data), max_bytes, _GZIP)
    for _ in range(_MAX_MEMBERS):
        if not is_complete or not rest or rest[0] == 0 or len(output) >= max_bytes:
            return output, is_complete
        try:
            member, is_complete, rest = _inflate_once(rest, max_bytes - len(output), _GZIP)
        except _UndecodableError:
            return output, False
        output += member
    return output, False


def _inflate(data: bytes, max_bytes: int) -> tuple[bytes, bool]:
    """RFC 9110 means zlib by "deflate"; some senders mean the raw stream."""
    try:
        return _inflate_once(memoryview(data), max_bytes, _ZLIB)[:2]
    except _UndecodableError:
        return _inflate_once(memoryview(data), max_bytes, _RAW_DEFLATE)[:2]


def _inflate_once(data: memoryview, max_bytes: int, window_bits: int) -> tuple[bytes, bool, memoryview]:
    """One stream of deflate: its output, whether its end was reached, and the input after it."""
    stream = zlib.decompressobj(window_bits)
    output = bytearray()
    try:
        # In small steps, so that what was good before a fault is not lost with it.
        while data and not stream.eof and len(output) < max_bytes:
            step = data[:_INPUT_STEP_BYTES]
            output += stream.decompress(step, max_bytes - len(output))
            data = data[len(step) - len(stream.unconsumed_tail) - len(stream.unused_data) :]
    except zlib.error:
        pass  # told by what there is: some output, or none
    if not output and not stream.eof:
        raise _UndecodableError("the data is broken, or in another format")
    return bytes(output), stream.eof, data


def _unbrotli(data: bytes, max_bytes: int) -> tuple[bytes, bool]:
    try:
        import brotli
    except ImportError as error:
        raise _UndecodableError("the brotli package is not installed") from error
    stream = brotli.Decompressor()
    output = bytearray()
    try:
        # The input goes in whole: the limit is on what comes out of each step.
        output += stream.process(data, output_buffer_limit=min(max_bytes, _OUTPUT_STEP_BYTES))
        while len(output) < max_bytes and not stream.is_finished():
            part = stream.process(b"", output_buffer_limit=_OUTPUT_STEP_BYTES)
            if not part:
                break
            output += part
    except TypeError as error:
        raise _UndecodableError("the installed brotli cannot bound its output (1.2 or newer can)") from error
    except brotli.error as error:
        if not output:
            raise _UndecodableError("the data is broken, or in another format") from error
    return bytes(output[:max_bytes]), stream.is_finished()


_CODINGS: dict[str, Callable[[bytes, int], tuple[bytes, bool]]] = {
    "gzip": _gunzip,
    "deflate": _inflate,
    "br": _unbrotli,
}
