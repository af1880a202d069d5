import gzip
import sys
import zlib
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.formats import line_text, render
from webhookctl.formats.decoding import Decoded, decode_content

stable = settings(derandomize=True, deadline=None)
TEXT = b'{"amount": 1.0}'


def _raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


@stable
@given(st.binary(min_size=1))
def test_what_was_encoded_is_decoded(data: bytes) -> None:
    for encoded, coding in (
        (gzip.compress(data, mtime=0), "gzip"),
        (gzip.compress(data, mtime=0), " X-GZIP "),
        (zlib.compress(data), "deflate"),
        (_raw_deflate(data), "deflate"),
        (gzip.compress(zlib.compress(data), mtime=0), "deflate, identity, gzip"),
        (data, "identity"),
        (data, ""),
    ):
        decoded = decode_content(encoded, coding, max_bytes=10_000)
        assert (decoded.data, decoded.is_cut) == (data, False)


@stable
@given(st.binary(), st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip,gzip"]), st.integers(1, 50))
def test_no_data_makes_decoding_fail(data: bytes, coding: str, max_bytes: int) -> None:
    decode_content(data, coding, max_bytes=max_bytes)


def test_the_note_tells_the_coding_and_both_sizes() -> None:
    encoded = gzip.compress(TEXT * 200, mtime=0)
    view = render(encoded, content_type="text/plain", content_encoding="gzip")
    assert view.note == f"gzip, {len(encoded)} B decoded to 3.0 kB"
    assert line_text(view.lines[0]) == (TEXT * 200).decode()


def test_a_bomb_is_stopped_at_the_limit() -> None:
    bomb = gzip.compress(b"0" * 20_000_000, mtime=0)
    decoded = decode_content(bomb, "gzip", max_bytes=5_000)
    assert decoded == Decoded(b"0" * 5_000, "gzip, first 5.0 kB decoded", is_cut=True)


def test_a_bomb_of_bombs_is_bounded_at_every_layer() -> None:
    bomb = gzip.compress(gzip.compress(b"0" * 20_000_000, mtime=0), mtime=0)
    decoded = decode_content(bomb, "gzip, gzip", max_bytes=5_000)
    assert len(decoded.data) == 5_000
    assert decoded.is_cut


def test_more_than_a_thousand_times_the_input_is_not_waited_for() -> None:
    bomb = zlib.compress(b"0" * 20_000_000)
    decoded = decode_content(bomb, "deflate", max_bytes=50_000_000)
    assert len(decoded.data) == 1_000 * len(bomb)
    assert decoded.is_cut


def test_several_gzip_members_are_one_body_and_zeros_after_them_are_padding() -> None:
    members = gzip.compress(b"one ", mtime=0) + gzip.compress(b"two", mtime=0)
    assert decode_content(members + b"\0" * 10, "gzip", max_bytes=100).data == b"one two"
    assert decode_content(members, "gzip", max_bytes=4).data == b"one "
    assert decode_content(members, "gzip", max_bytes=5).data == b"one t"


def test_members_without_end_are_given_up() -> None:
    decoded = decode_content(gzip.compress(b"", mtime=0) * 3_000, "gzip", max_bytes=100)
    assert decoded.is_cut


@pytest.mark.parametrize("tail", [b"garbage", gzip.compress(b"two", mtime=0)[:-4]])
def test_what_was_good_before_a_fault_is_shown(tail: bytes) -> None:
    decoded = decode_content(gzip.compress(b"one", mtime=0) + tail, "gzip", max_bytes=100)
    assert decoded.data.startswith(b"one")
    assert decoded.is_cut
    assert decoded.note.endswith("then broken")


def test_a_body_cut_short_shows_what_came() -> None:
    encoded = gzip.compress(bytes(range(256)) * 100, mtime=0)[:-30]
    decoded = decode_content(encoded, "gzip", max_bytes=100_000)
    assert decoded.data
    assert (bytes(range(256)) * 100).startswith(decoded.data)
    assert decoded.note.endswith("then broken")


def test_a_body_that_only_claims_to_be_encoded_is_shown_as_it_is() -> None:
    view = render(TEXT, content_type="application/json", content_encoding="gzip")
    assert view.kind == "json"
    assert view.note == "gzip not decoded: the data is broken, or in another format"


def test_an_empty_body_needs_no_decoding() -> None:
    assert render(b"", content_type=None, content_encoding="gzip").note == ""
    view = render(gzip.compress(b"", mtime=0), content_type=None, content_encoding="gzip")
    assert (view.kind, view.note) == ("empty", "gzip, 20 B decoded to 0 B")


def test_an_unknown_coding_is_named_and_too_many_are_not_undone() -> None:
    assert decode_content(TEXT, "zst\x1bd", max_bytes=9).note == "zst␛d not decoded: unknown coding"
    many = decode_content(TEXT, "gzip, gzip, identity, gzip, gzip", max_bytes=99)
    assert many.data == TEXT
    assert many.note.endswith("more codings than are undone")


class _Decompressor:
    """Stands in for brotli 1.2: the same interface over deflate."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj()

    def process(self, data: bytes, output_buffer_limit: int) -> bytes:
        try:
            return self._stream.decompress(self._stream.unconsumed_tail + data, output_buffer_limit)
        except zlib.error as error:
            raise _BrotliError from error

    def is_finished(self) -> bool:
        return self._stream.eof


class _OldDecompressor:
    def process(self, data: bytes) -> bytes:
        raise AssertionError("called without a limit")


class _BrotliError(Exception):
    pass


def _install(monkeypatch: pytest.MonkeyPatch, decompressor: type) -> None:
    module = ModuleType("brotli")
    vars(module).update(Decompressor=decompressor, error=_BrotliError)
    monkeypatch.setitem(sys.modules, "brotli", module)


def test_br_is_decoded_within_the_limit_where_brotli_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, _Decompressor)
    encoded = zlib.compress(b"0" * 200_000)
    assert decode_content(encoded, "br", max_bytes=200_000).data == b"0" * 200_000
    assert decode_content(encoded, "br", max_bytes=100) == Decoded(
        b"0" * 100, "br, first 100 B decoded", True
    )
    cut = decode_content(zlib.compress(bytes(range(256)) * 9)[:-9], "br", max_bytes=10_000)
    assert cut.note.endswith("then broken")


def test_br_that_is_something_else_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, _Decompressor)
    assert decode_content(TEXT, "br", max_bytes=99).data == TEXT
    broken = bytearray(zlib.compress(bytes(range(256)) * 1_000))
    broken[-4:] = b"\0\0\0\0"
    decoded = decode_content(bytes(broken), "br", max_bytes=500_000)
    assert decoded.data
    assert decoded.note.endswith("then broken")


def test_a_brotli_that_cannot_bound_its_output_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, _OldDecompressor)
    assert "1.2 or newer" in decode_content(TEXT, "br", max_bytes=99).note


def test_without_brotli_the_body_stays_and_the_note_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brotli", None)
    decoded = decode_content(TEXT, "br", max_bytes=99)
    assert decoded == Decoded(TEXT, "br not decoded: the brotli package is not installed")
