"""Paths into a JSON document (`data.object.amount`, `items.0.id`, `items[0].id`, `"a.b".c`) and what they name.

Must not change a document, nor know how one is laid out.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self, TypeAlias

from webhookctl.errors import UsageError
from webhookctl.jsontext.scanner import JsonTextError, Token, tokens

Steps: TypeAlias = tuple[str | int, ...]
"""A parsed path: names, and numbers for what was written in brackets."""

_STEP = re.compile(r"""(?:^|\.)(?:("(?:[^"\\]|\\.)*")|([^."\[\]]+))|\[([0-9]{1,9})\]""")
_NEEDS_QUOTES = re.compile(r'[."\[\]]')


class Member(NamedTuple):
    """A member of an object or an element of an array, as indexes of tokens.

    `first` is its name (its value, in an array), `value` and `last` the first and the last token of its value.
    """

    name: str
    first: int
    value: int
    last: int


@dataclass(frozen=True, slots=True)
class Document:
    """A valid JSON document and its tokens."""

    body: bytes
    tokens: list[Token]

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Raises JsonTextError."""
        return cls(body, tokens(body))

    def text(self, member: Member) -> bytes:
        """The value of `member`, byte for byte."""
        return self.body[self.tokens[member.value].start : self.tokens[member.last].end]

    def trail(self, steps: Steps) -> list[Member]:
        """What is met on the way down `steps`, from the whole document on, as far as the path exists."""
        met = [Member("", 0, 0, len(self.tokens) - 1)]
        for step in steps:
            # With a name twice the last one is meant, as parsers take it.
            for member in reversed(self.members(met[-1])):
                if member.name == str(step):
                    met.append(member)
                    break
            else:
                break
        return met

    def members(self, parent: Member) -> list[Member]:
        """The members or elements of `parent` in order; none when it is not a container."""
        found: list[Member] = []
        kind = self.tokens[parent.value].kind
        if kind not in "{[":
            return found
        at = parent.value + 1
        while at < parent.last:
            value = at + 2 if kind == "{" else at
            last = self._end_of_value(value)
            name = self.name(at) if kind == "{" else str(len(found))
            found.append(Member(name, at, value, last))
            at = last + 2
        return found

    def name(self, index: int) -> str:
        """The name that the string token at `index` spells."""
        _, start, end = self.tokens[index]
        return str(json.loads(self.body[start:end].decode()))

    def _end_of_value(self, index: int) -> int:
        depth = 0
        while True:
            kind = self.tokens[index].kind
            depth += (kind in "{[") - (kind in "}]")
            if depth == 0:
                return index
            index += 1


def parse_path(path: str) -> Steps:
    """The steps of `path`. Raises UsageError `path-invalid` when it cannot be read."""
    steps: list[str | int] = []
    position = 0
    while match := _STEP.match(path, position):
        quoted, plain, index = match.groups()
        try:
            steps.append(json.loads(quoted) if quoted else plain or int(index))
        except ValueError:
            break
        position = match.end()
    if position < len(path) or not steps:
        raise UsageError(
            "path-invalid",
            f"{path!r} is not a path into a JSON body (character {position + 1})",
            'write it like data.object.amount or items.0.id; a name with a dot goes in quotes: "a.b".c',
        )
    return tuple(steps)


def value_at(body: bytes, path: str) -> bytes | None:
    """The value at `path` as it stands in `body`, byte for byte.

    None when there is no such value or `body` is not JSON. With a name twice the last one is meant. Raises
    UsageError `path-invalid`.
    """
    steps = parse_path(path)
    try:
        document = Document.parse(body)
    except JsonTextError:
        return None
    trail = document.trail(steps)
    return document.text(trail[-1]) if len(trail) > len(steps) else None


def paths(body: bytes) -> list[str]:
    """The path of every value in `body` but the whole, containers before what they hold, each path once.

    Raises JsonTextError.
    """
    return list(dict.fromkeys(iter_paths(Document.parse(body))))


def iter_paths(document: Document) -> Iterator[str]:
    """As `paths`, one by one, and twice where a name is there twice."""
    prefixes: list[str] = []
    next_indexes: list[int] = []  # -1 in an object
    path = ""
    for index, (kind, _, _) in enumerate(document.tokens):
        if kind in ":,":
            continue
        if kind in "}]":
            prefixes.pop()
            next_indexes.pop()
        elif document.tokens[index + 1 : index + 2] and document.tokens[index + 1].kind == ":":
            path = prefixes[-1] + _step_text(document.name(index))
        else:
            if next_indexes and next_indexes[-1] >= 0:
                path = f"{prefixes[-1]}{next_indexes[-1]}"
                next_indexes[-1] += 1
            if path:
                yield path
            if kind in "{[":
                prefixes.append(path + "." if path else "")
                next_indexes.append(0 if kind == "[" else -1)


def _step_text(name: str) -> str:
    """`name` as a step of a path, in quotes where it would be misread or could not be shown."""
    if name and name.isprintable() and not _NEEDS_QUOTES.search(name):
        return name
    return json.dumps(name, ensure_ascii=not name.isprintable())
