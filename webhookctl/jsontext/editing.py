"""JSON changed at single places: a value replaced, a member added or removed, every other byte as it was.

Must not know where the changes come from, nor sign or send what it makes.
"""

import json
import re
from collections.abc import Sequence
from itertools import islice

from webhookctl.errors import UsageError
from webhookctl.jsontext.path import Document, Member, Steps, iter_paths, parse_path
from webhookctl.jsontext.scanner import JsonTextError, is_json, leading_mark

_SUGGESTIONS_FROM = 2_000  # paths compared for a suggestion; more would only be slow
_LAST_LINE_BREAK = re.compile(rb"\r?\n[ \t]*\Z")


def parse_value(text: str) -> bytes:
    """The JSON text meant by the VALUE of ``--set PATH=VALUE``.

    Valid JSON is taken as it is (``5``, ``true``, ``"5"``, ``{"a": 1}``); anything else becomes a JSON string.
    """
    # A lone surrogate (a command line that is not UTF-8) has no bytes, but an escape in a JSON string.
    value = text.encode("utf-8", "backslashreplace")
    if _is_value(value):
        return value
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "backslashreplace")


def edit(
    body: bytes,
    *,
    assignments: Sequence[tuple[str, bytes]],
    removals: Sequence[str] = (),
    create: bool = False,
) -> bytes:
    """`body` with the value at each path of `assignments` replaced, then what is at `removals` taken out.

    Values are JSON text (`parse_value`). Assignments see those before them; removals are all meant in the
    document as it is after the assignments, so that ``items.0`` and ``items.1`` are its first two elements.
    With a name twice the last one is meant. `create` adds what is missing to the innermost object or array that
    exists, in the document's own style; an array grows by its next index only.

    Raises UsageError: `body-not-json`, `path-invalid`, `path-unknown` (with the nearest path as the hint),
    `value-not-json`.
    """
    document = _document(body)
    for path, value in assignments:
        document = _assign(document, path, value, create=create)
    places: dict[int, Steps] = {}
    for path in removals:
        steps = parse_path(path)
        trail = document.trail(steps)
        if len(trail) <= len(steps):
            raise _path_unknown(document, path)
        places[trail[-1].first] = steps
    # From the end of the document backwards: what is removed then moves no path still to come.
    for first in sorted(places, reverse=True):
        document = _remove(document, places[first])
    return document.body


def _document(body: bytes) -> Document:
    try:
        return Document.parse(body)
    except JsonTextError as error:
        raise UsageError(
            "body-not-json",
            f"the body is not JSON: {error}",
            "single values can be changed in a JSON body only; give the whole body instead",
        ) from error


def _is_value(text: bytes) -> bool:
    """True for a JSON text that can stand inside another one."""
    return not leading_mark(text) and is_json(text)


def _assign(document: Document, path: str, value: bytes, *, create: bool) -> Document:
    if not _is_value(value):
        raise UsageError(
            "value-not-json",
            f"the value for {path} is not JSON: {value[:80].decode('utf-8', 'backslashreplace')!r}",
            'a string needs its quotes here: "text"',
        )
    steps = parse_path(path)
    trail = document.trail(steps)
    while len(trail) <= len(steps):
        missing = steps[len(trail) - 1 :]
        if not create or not _is_open_to(document, trail[-1], missing[0]):
            raise _path_unknown(document, path, adding=not create)
        following = missing[1] if len(missing) > 1 else ""
        empty = b"[]" if isinstance(following, int) else b"{}"
        document = _append(document, trail, missing[0], empty if len(missing) > 1 else value)
        trail = document.trail(steps)
    start, end = document.tokens[trail[-1].value].start, document.tokens[trail[-1].last].end
    return _replace(document, start, end, value)


def _replace(document: Document, start: int, end: int, text: bytes) -> Document:
    return Document.parse(document.body[:start] + text + document.body[end:])


def _path_unknown(document: Document, path: str, *, adding: bool = False) -> UsageError:
    import difflib  # needed for this error alone

    known = list(islice(iter_paths(document), _SUGGESTIONS_FROM))
    nearest = [candidate for candidate in known if candidate.endswith("." + path)]
    nearest = nearest or difflib.get_close_matches(path, known, n=1, cutoff=0.5)
    hints = [f"did you mean {nearest[0]}?"] if nearest else []
    if adding:
        hints.append("--set-new adds a value that is not there yet")
    return UsageError("path-unknown", f"the body has no {path}", " ".join(hints))


def _is_open_to(document: Document, parent: Member, step: str | int) -> bool:
    """Whether `step`, which `parent` does not have yet, can be added to it."""
    kind = document.tokens[parent.value].kind
    return kind == "{" or (kind == "[" and str(step) == str(len(document.members(parent))))


def _remove(document: Document, steps: Steps) -> Document:
    *_, parent, member = document.trail(steps)
    places = document.tokens
    siblings = document.members(parent)
    position = siblings.index(member)
    if len(siblings) == 1:
        start, end = places[parent.value].end, places[parent.last].start
    elif position == len(siblings) - 1:
        start, end = places[siblings[position - 1].last].end, places[member.last].end
    else:
        start, end = places[member.first].start, places[siblings[position + 1].first].start
    return _replace(document, start, end, b"")


def _append(document: Document, trail: Sequence[Member], step: str | int, value: bytes) -> Document:
    """`step` added as the last member or element of the end of `trail`, written as its siblings are."""
    parent = trail[-1]
    places = document.tokens
    text = value
    if places[parent.value].kind == "{":
        text = json.dumps(str(step), ensure_ascii=False).encode() + _colon(document) + value
    siblings = document.members(parent)
    if siblings:
        end = places[siblings[-1].last].end
        return _replace(document, end, end, _separator(document, parent, siblings) + text)
    before, after = _inside_breaks(document, trail)
    return _replace(document, places[parent.value].end, places[parent.last].start, before + text + after)


def _colon(document: Document) -> bytes:
    """The first colon of the document with the white space around it."""
    places = document.tokens
    for index, (kind, _, _) in enumerate(places):
        if kind == ":":
            return document.body[places[index - 1].end : places[index + 1].start]
    return b":"


def _separator(document: Document, parent: Member, siblings: Sequence[Member]) -> bytes:
    """The comma with the white space around it, as it stands or would stand between `siblings`."""
    places = document.tokens
    if len(siblings) > 1:
        return document.body[places[siblings[-2].last].end : places[siblings[-1].first].start]
    before = document.body[places[parent.value].end : places[siblings[0].first].start]
    if b"\n" in before:
        return b"," + before
    return b", " if _colon(document)[-1:].isspace() else b","


def _inside_breaks(document: Document, trail: Sequence[Member]) -> tuple[bytes, bytes]:
    """The white space before and after the first member of an empty container."""
    if len(trail) == 1:
        return b"", b""
    places = document.tokens
    own = _LAST_LINE_BREAK.search(document.body[: places[trail[-1].first].start])
    top = _LAST_LINE_BREAK.search(document.body[: places[1].start])
    if not own or not top:
        return b"", b""
    return own[0] + top[0].lstrip(b"\r\n"), own[0]
