"""A body as JSON or as a form (urlencoded or multipart): values read at places, and written there.

Knows bytes and places only: no scheme, no signature. Nothing but the value written is changed.
"""

import json
import re
from functools import cached_property

from webhookctl.errors import UsageError
from webhookctl.signing.place import Place, look_up

MAX_FIELDS = 1000  # of a form; a larger one is an attempt to keep us busy

Fields = list[tuple[bytes, bytes]]

_PART_NAME = re.compile(rb'(?i)content-disposition:[^\r\n]*[;\s]name="([^"\r\n]*)"')


class Unsignable(ValueError):  # noqa: N818  (it says what the body is, in words for the verdict)
    """The body is not of the form that the scheme signs; the text says so in words."""


class Content:
    """`body`, parsed when first asked for and once. Of a field that occurs several times the first counts."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    @cached_property
    def document(self) -> object:
        """The body as JSON, numbers as the text they were written in. Raises Unsignable."""
        return _parsed(self.body)

    @cached_property
    def fields(self) -> Fields:
        """The body as a form: (name, value) in order, as bytes, percent-decoded. Raises Unsignable."""
        if self.body.startswith(b"--"):
            return [(name, self.body[start:end]) for name, start, end in _parts(self.body)]
        return form_fields(self.body)

    def at(self, place: Place) -> bytes | None:
        """The value at a `place` in the body, as text; None when there is none, or it is no text or number."""
        if not place.path:
            return self.body
        try:
            if place.source == "body":
                return _text(look_up(self.document, place.path))
            name = place.path[0].encode("utf-8")
            value = next((value for key, value in self.fields if key == name), None)
            if value is None or len(place.path) == 1:
                return value
            return _text(look_up(_parsed(value), place.path[1:]))
        except Unsignable:
            return None


def _parsed(text: bytes) -> object:
    try:
        return json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        raise Unsignable("the body is not JSON") from None


def _text(value: object) -> bytes | None:
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else None


def form_fields(text: bytes) -> Fields:
    """The fields of urlencoded `text` (a body, a query) as bytes. Raises Unsignable when there are too many."""
    from urllib.parse import parse_qsl  # most bodies are JSON

    try:
        pairs = parse_qsl(
            text.decode("latin-1"), keep_blank_values=True, encoding="latin-1", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise Unsignable(f"the form has more than {MAX_FIELDS} fields") from None
    return [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in pairs]


def _parts(body: bytes) -> list[tuple[bytes, int, int]]:
    """The parts of a multipart body: name, and where the content begins and ends."""
    delimiter = body[: body.find(b"\r\n")]
    found: list[tuple[bytes, int, int]] = []
    start = body.find(b"\r\n")
    while start >= 0 and len(found) < MAX_FIELDS:
        end = body.find(b"\r\n" + delimiter, start)
        head_end = body.find(b"\r\n\r\n", start, end)
        if end < 0 or head_end < 0:
            break
        name = _PART_NAME.search(body, start, head_end)
        if name:
            found.append((name.group(1), head_end + 4, end))
        start = body.find(b"\r\n", end + 2)
    return found


def written(body: bytes, place: Place, text: bytes, *, is_number: bool = False) -> bytes:
    """`body` with `text` at `place`. Raises Unsignable when the body cannot hold it.

    What was a number in JSON stays one, what was text stays text; what was not there is as `is_number` says.
    """
    if not place.path:
        return text
    if place.source == "body":
        return _with_member(body, place.path, text, is_number)
    name = place.path[0].encode("utf-8")
    current = Content(body).at(Place("form", place.path[:1]))
    if len(place.path) > 1:
        if current is None:
            raise Unsignable(f"the body is not a form with the field {place.path[0]}")
        text = _with_member(current, place.path[1:], text, is_number)
    if body.startswith(b"--"):
        for part, start, end in _parts(body):
            if part == name:
                return body[:start] + text + body[end:]
        raise Unsignable(f"the form has no field {place.path[0]}")
    if body.lstrip()[:1] in (b"{", b"["):
        raise Unsignable("the body is not a form")
    return with_form_field(body, name, text)


def with_form_field(form: bytes, name: bytes, value: bytes) -> bytes:
    """Urlencoded `form` with the first field `name` set to `value`, or with that field appended."""
    from urllib.parse import quote_plus, unquote_to_bytes

    field = quote_plus(name) + "=" + quote_plus(value)
    segments = form.split(b"&") if form else []
    for number, segment in enumerate(segments):
        if unquote_to_bytes(segment.partition(b"=")[0].replace(b"+", b" ")) == name:
            segments[number] = field.encode("ascii")
            break
    else:
        segments.append(field.encode("ascii"))
    return b"&".join(segments)


def _with_member(body: bytes, path: tuple[str, ...], text: bytes, is_number: bool) -> bytes:
    from webhookctl import jsontext  # few schemes write into the body

    where = ".".join(json.dumps(step) if re.search(r'[."\[\]]', step) else step for step in path)
    try:
        old = jsontext.value_at(body, where)
        is_plain = text.isdigit() and (is_number if old is None else not old.startswith(b'"'))
        value = text if is_plain else json.dumps(text.decode("utf-8", "surrogateescape")).encode("ascii")
        return jsontext.edit(body, assignments=[(where, value)], create=True)
    except UsageError as error:
        raise Unsignable(f"the body cannot hold {'.'.join(path)}: {error.message}") from None


def escaped(text: bytes, safe: str) -> bytes:
    """`text` percent-encoded but for letters, digits, ``-._~`` and `safe`."""
    from urllib.parse import quote_from_bytes

    return quote_from_bytes(text, safe).encode("ascii")
