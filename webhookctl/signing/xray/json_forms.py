"""A JSON body as other writers would write it: layouts, escapes, numbers, order of keys. Token by token, lossless.

Must not know signatures: bytes in, bytes with their description out.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, combinations, zip_longest
from typing import NamedTuple

from webhookctl import jsontext
from webhookctl.signing.computed import COMPUTATIONS, Offer
from webhookctl.signing.content import Content

MAX_NUMBERS = 8  # that are tried one by one
MAX_FIELDS = 40  # whose numbers are tried with .0, and of these the first few by twos
MAX_PAIRED_FIELDS = 6
MIN_SORTED = 8  # names in order, in a document: fewer say nothing
MAX_ORIGINALS = 600  # of a big integer that lost precision
_EXACT = 2**53
_KEPT = "as it is"
_SPECIAL = re.compile(rb"[\\/<>&'+`\x7f-\xff]")  # what one writer of strings or another escapes
_DECIMAL = re.compile(
    rb"percent|rate|ratio|price|amount|total|cost|tax|weight|score|lat|lng|lon", re.IGNORECASE
)
_OPENING = ("{", "[", ",")
_BREAKS = str.maketrans({"\u2028": "\\u2028", "\u2029": "\\u2029"})


class JsonForm(NamedTuple):
    """One way to write the document: the causes it stands for, in words, and the bytes."""

    causes: tuple[str, ...]
    words: str
    body: bytes


class _Tokens:
    """A sequence of tokens: their kinds, their texts, and how they are laid out, each layout made once.

    `kept` is the white space before each and after the last; None when they were put into another order.
    `layout` is the name of the layout that counts as unchanged.
    """

    def __init__(self, kinds: list[str], texts: list[bytes], kept: list[bytes] | None, layout: str) -> None:
        self.kinds = kinds
        self.texts = texts
        self.layout = layout
        self._gaps = {_KEPT: kept} if kept is not None else {}

    def names(self) -> Iterator[str]:
        """The layouts there are, the one it has first."""
        if _KEPT in self._gaps:
            yield _KEPT
        yield from _LAYOUTS

    def written(self, texts: Sequence[bytes], name: str) -> bytes:
        """`texts`, one for each token, in the layout `name`."""
        if name == "compact":
            return b"".join(texts)
        return b"".join(chain.from_iterable(zip_longest(self.gaps(name), texts, fillvalue=b"")))

    def gaps(self, name: str) -> list[bytes]:
        """The white space before each token in the layout `name`."""
        if name not in self._gaps:
            self._gaps[name] = _LAYOUTS[name](self.kinds)
        return self._gaps[name]

    def layout_name(self) -> str:
        """The name of the layout it has, "" for one without a name."""
        kept = self._gaps[_KEPT][:-1]
        return next((name for name in _LAYOUTS if self.gaps(name) == kept), "")


def json_forms(body: bytes) -> Iterator[JsonForm]:
    """Each way to write `body`, the usual ones first; nothing when it is not JSON."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        tokens = jsontext.tokens(body)
    except jsontext.JsonTextError:
        return
    kinds = [token.kind for token in tokens]
    texts = [body[token.start : token.end] for token in tokens]
    starts = [token.start for token in tokens] + [len(body)]
    ends = [0] + [token.end for token in tokens]
    kept = [body[end:start] for end, start in zip(ends, starts, strict=True)]
    whole = _Tokens(kinds, texts, kept, _KEPT)
    yield from _layouts(whole, texts, (), "", has_newline=True)
    for words, texts_ in _escapes(whole):
        yield from _layouts(whole, texts_, ("json-escapes",), words, has_newline="tags" in words)
    for words, texts_ in _numbers(whole):
        yield from _layouts(whole, texts_, ("json-numbers",), words)
    yield from _reordered(whole)


def has_sorted_names(body: bytes) -> bool:
    """True when `body` is JSON whose objects all have their names in order, enough of them to say something."""
    counted = 0

    def look(members: list[tuple[str, object]]) -> bool:
        nonlocal counted
        names = [name for name, _ in members]
        if names != sorted(names):
            raise ValueError("not in order")
        counted += len(names) if len(names) > 1 else 0
        return True

    try:
        json.loads(body, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return False
    return counted >= MIN_SORTED


def _layouts(
    tokens: _Tokens,
    texts: Sequence[bytes],
    causes: tuple[str, ...],
    words: str,
    *,
    has_newline: bool = False,
    names: Sequence[str] = (),
) -> Iterator[JsonForm]:
    for name in names or tokens.names():
        written = tokens.written(texts, name)
        own = causes if name == tokens.layout else ("json-layout", *causes)
        described = ("as JSON" if name == _KEPT else f"as {name} JSON") + words
        yield JsonForm(own, described, written)
        if has_newline and name != _KEPT:
            yield JsonForm((*own, "body-newline"), described + " with a trailing newline", written + b"\n")


def _compact(kinds: list[str]) -> list[bytes]:
    return [b""] * len(kinds)


def _spaced(kinds: list[str]) -> list[bytes]:
    return [b"", *(b" " if kind in ":," else b"" for kind in kinds[:-1])]


def _indented(step: bytes) -> Callable[[list[str]], list[bytes]]:
    def gaps(kinds: list[str]) -> list[bytes]:
        found: list[bytes] = []
        depth, before = 0, ""
        for kind in kinds:
            is_closing = kind in "}]"
            depth -= is_closing
            is_line = before not in "{[" if is_closing else before in _OPENING
            found.append(b"\n" + step * depth if is_line else b" " if before == ":" else b"")
            depth += kind in "{["
            before = kind
        return found

    return gaps


_LAYOUTS: Mapping[str, Callable[[list[str]], list[bytes]]] = {
    "compact": _compact,
    "spaced": _spaced,
    "indented": _indented(b"  "),
    "four-space indented": _indented(b"    "),
    "tab-indented": _indented(b"\t"),
}


def _plain(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _ascii(text: str) -> str:
    return json.dumps(text)


def _slashed(text: str) -> str:
    return _ascii(text).replace("/", "\\/")


def _plain_slashed(text: str) -> str:
    return _plain(text).replace("/", "\\/")


def _tags(text: str) -> str:
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", _plain(text)).translate(_BREAKS)


def _upper(text: str) -> str:
    return re.sub(
        r"(?<!\\)((?:\\\\)*\\u)([0-9a-f]{4})", lambda found: found[1] + found[2].upper(), _ascii(text)
    )


def _web_default(text: str) -> str:
    """As the web stacks that also escape quotes, tags and the plus sign."""
    inner = _upper(text)[1:-1].replace('\\"', "\\u0022")
    return '"' + re.sub("[<>&'+`]", lambda found: f"\\u{ord(found[0]):04X}", inner) + '"'


_ESCAPES: Mapping[str, Callable[[str], str]] = {
    ", nothing escaped that need not be": _plain,
    ", non-ASCII escaped": _ascii,
    ", non-ASCII escaped, slashes escaped": _slashed,
    ", slashes escaped": _plain_slashed,
    ", tags escaped": _tags,
    ", non-ASCII escaped in upper case": _upper,
    ", non-ASCII and tags escaped in upper case": _web_default,
}


def _escapes(tokens: _Tokens) -> Iterator[tuple[str, list[bytes]]]:
    """The texts with the strings of each writer, where that changes any."""
    values = {
        text: json.loads(text)
        for kind, text in zip(tokens.kinds, tokens.texts, strict=True)
        if kind == "string" and _SPECIAL.search(text)
    }
    seen = {tuple(values)}
    for words, write in _ESCAPES.items():
        new = {text: write(value).encode("utf-8", "backslashreplace") for text, value in values.items()}
        if tuple(new.values()) not in seen:
            seen.add(tuple(new.values()))
            yield words, [new.get(text, text) for text in tokens.texts]


def _numbers(tokens: _Tokens) -> Iterator[tuple[str, list[bytes]]]:
    """The texts with numbers as another writer has them, or as they may have been before one rounded them."""
    places = [place for place, kind in enumerate(tokens.kinds) if kind == "number"]
    for words, write in _NUMBERS.items():
        new = list(tokens.texts)
        for place in places:
            new[place] = write(new[place])
        if new != tokens.texts:
            yield words, new
    whole = [place for place in places if tokens.texts[place].lstrip(b"-").isdigit()]
    for words, fractions in _fractions(tokens, whole):
        new = list(tokens.texts)
        for place in fractions:
            new[place] += b".0"
        yield words, new
    big = [
        place for place in whole if len(tokens.texts[place]) < 30 and abs(int(tokens.texts[place])) > _EXACT
    ]
    for place in big[:2]:
        for original in _rounded_to(int(tokens.texts[place])):
            yield ", a big number before it lost digits", _with(tokens.texts, place, b"%d" % original)


def _fractions(tokens: _Tokens, whole: Sequence[int]) -> Iterator[tuple[str, Sequence[int]]]:
    """Whole numbers that a decimal may have lost its ``.0`` in: those of one field, of two, and single ones."""
    fields: dict[bytes, list[int]] = {}
    name, numbers = b"", set(whole)
    for place, kind in enumerate(tokens.kinds):
        if kind == ":":
            name = tokens.texts[place - 1]
        elif place in numbers:
            fields.setdefault(name, []).append(place)
    # Those that are decimals by their name come first; a field is written in the same way everywhere.
    ordered = sorted(fields, key=lambda field: not _DECIMAL.search(field))[:MAX_FIELDS]
    for field in ordered:
        yield ", the numbers of one field with .0", fields[field]
    for one, other in combinations(ordered[:MAX_PAIRED_FIELDS], 2):
        yield ", the numbers of two fields with .0", (*fields[one], *fields[other])
    for place in whole[:MAX_NUMBERS]:
        yield ", a number written with .0", (place,)


def _with(texts: list[bytes], place: int, text: bytes) -> list[bytes]:
    return [*texts[:place], text, *texts[place + 1 :]]


def _rounded_to(number: int) -> Iterator[int]:
    """The integers that a double rounds to `number`, nearest first, when there are few enough."""
    value = float(number)
    bits = int(abs(value)).bit_length()
    reach = 2 ** max(bits - 53, 0)
    centre = int(value)
    if reach > MAX_ORIGINALS:
        return
    for distance in range(reach + 1):
        for original in (centre + distance, centre - distance):
            if original != number and float(original) == value:
                yield original


def _javascript(text: bytes) -> bytes:
    return COMPUTATIONS["json"](Offer({}, (), Content(text)))


def _python(text: bytes) -> bytes:
    return text if text.lstrip(b"-").isdigit() or len(text) > 40 else repr(float(text)).encode("ascii")


def _with_fraction(text: bytes) -> bytes:
    return text + b".0" if text.lstrip(b"-").isdigit() else text


def _as_money(text: bytes) -> bytes:
    whole, point, fraction = text.partition(b".")
    return whole + b"." + fraction.ljust(2, b"0") if point and fraction.isdigit() else text


_NUMBERS: Mapping[str, Callable[[bytes], bytes]] = {
    ", numbers as JavaScript writes them": _javascript,
    ", numbers as Python writes them": _python,
    ", all whole numbers with .0": _with_fraction,
    ", decimals with two places": _as_money,
}


def _reordered(tokens: _Tokens) -> Iterator[JsonForm]:
    """With sorted keys; with names that occur twice once."""
    try:
        node, _ = _parsed(tokens, 0)
        orders = (
            ("json-key-order", " with sorted keys", _flat(node, is_sorted=True, is_unique=False)),
            ("json-duplicate-keys", " with each key once", _flat(node, is_sorted=False, is_unique=True)),
        )
    except RecursionError:
        return
    layout = tokens.layout_name()
    for cause, words, flat in orders:
        kinds, texts = [kind for kind, _ in flat], [text for _, text in flat]
        if texts == tokens.texts:
            continue
        ordered = _Tokens(kinds, texts, None, layout)
        for more, written in (("", texts), *_escapes(ordered)):
            causes = (cause, "json-escapes") if more else (cause,)
            for form in _layouts(ordered, written, causes, words + more):
                yield form._replace(causes=(cause, *(one for one in form.causes if one != cause)))


_Flat = list[tuple[str, bytes]]


class _Node(NamedTuple):
    """A value: its own token for a scalar, else its members (name token or b"", value)."""

    kind: str
    text: bytes
    members: "list[tuple[bytes, _Node]]"


def _parsed(tokens: _Tokens, at: int) -> tuple[_Node, int]:
    """The value that begins at token `at`, and the token after it."""
    kind = tokens.kinds[at]
    if kind not in "{[":
        return _Node(kind, tokens.texts[at], []), at + 1
    members: list[tuple[bytes, _Node]] = []
    at += 1
    while tokens.kinds[at] not in "}]":
        name = b""
        if kind == "{":
            name = tokens.texts[at]
            at += 2
        value, at = _parsed(tokens, at)
        members.append((name, value))
        at += tokens.kinds[at] == ","
    return _Node(kind, b"", members), at + 1


def _name(text: bytes) -> str:
    return str(json.loads(text)) if b"\\" in text else text[1:-1].decode("utf-8", "surrogateescape")


def _flat(node: _Node, *, is_sorted: bool, is_unique: bool) -> _Flat:
    if node.kind not in "{[":
        return [(node.kind, node.text)]
    members = node.members
    if node.kind == "{" and is_unique:
        members = list({_name(name): (name, value) for name, value in members}.values())
    if node.kind == "{" and is_sorted:
        members = sorted(members, key=lambda member: _name(member[0]))
    flat: _Flat = [(node.kind, node.kind.encode())]
    for number, (name, value) in enumerate(members):
        if number:
            flat.append((",", b","))
        if node.kind == "{":
            flat += [("string", name), (":", b":")]
        flat += _flat(value, is_sorted=is_sorted, is_unique=is_unique)
    flat.append(("}", b"}") if node.kind == "{" else ("]", b"]"))
    return flat
