"""What a sender may have signed instead of the scheme's content, and how it may have made a signature of it.

Must not know secrets or headers' forms: values in, contents and makers with their deviations out.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from webhookctl.model import Headers
from webhookctl.signing.place import Template, parse_template
from webhookctl.signing.primitive import PRIMITIVES
from webhookctl.signing.scheme import HeaderTemplate, Scheme
from webhookctl.signing.xray.causes import Deviation

MAX_CANDIDATES = 4  # of a timestamp or id that is not where the scheme says

_TEMPLATES = (
    "{body}",
    "{ts}.{body}",
    "{ts}{body}",
    "{ts}:{body}",
    "{ts}|{body}",
    "{ts}\n{body}",
    "{ts},{body}",
    "{ts}-{body}",
    "{body}{ts}",
    "{body}.{ts}",
    "{body}:{ts}",
    "v0:{ts}:{body}",
    "v1:{ts}:{body}",
    "v0.{ts}.{body}",
    "v1.{ts}.{body}",
    "{id}.{ts}.{body}",
    "{id}{ts}{body}",
    "{id}:{ts}:{body}",
    "{ts}.{id}.{body}",
    "{id}.{body}",
    "{id}{body}",
    "{ts}",
    "{id}.{ts}",
    "{url}",
    "{url}{body}",
    "{body}{url}",
    "{url}.{body}",
    "{method}{url}{body}",
    "{method}{url}{body}{ts}",
    "{ts}{method}{path}{body}",
    "{ts}{url}{body}",
    "{url}{ts}{body}",
)

_BODY = b"\x00body\x00"  # stands for the body where it is looked for
_LIKE_TIME = re.compile(rb"(?<![0-9A-Za-z])([0-9]{10}(?:[0-9]{3})?)(?![0-9A-Za-z])")
_BROKEN = re.compile(rb"[,;\s\"']")  # in a value: the header was not split where it should have been
_ITEMS = re.compile(rb"[,;&\s]+")


class Maker(NamedTuple):
    """A way to make a signature from key and content, and how it deviates."""

    make: Callable[[bytes, bytes], bytes]
    deviations: tuple[Deviation, ...]


class ValueForm(NamedTuple):
    """Values by slot that may have been signed, by which template (None: the scheme's), and how that deviates."""

    values: Mapping[str, bytes]
    template: Template | None
    deviations: tuple[Deviation, ...]


def lenient_values(scheme: Scheme, values: Mapping[str, bytes], headers: Headers) -> Iterator[ValueForm]:
    """`values` with the missing slots found where the header is of another form, or has another name."""
    missing = [
        slot for slot in scheme.header_slots if slot not in values or _BROKEN.search(values.get(slot, b""))
    ]
    if not missing:
        yield ValueForm(values, None, ())
        return
    found = {slot: value for slot, value in values.items() if slot not in missing}
    deviations: list[Deviation] = []
    for slot in missing:
        text = _in_broken_header(scheme, slot, headers)
        if text is not None:
            found[slot] = text
            deviations.append(Deviation("header-form", "its header is not of the form of the scheme"))
    if "ts" in missing and "ts" not in found:
        for name, text in _times(headers):
            where = Deviation("header-name", f"{name} (the timestamp)")
            yield ValueForm(found | {"ts": text}, None, (*deviations, where))
        return
    if all(slot in found for slot in missing):
        yield ValueForm(found, None, tuple(deviations))


def _in_broken_header(scheme: Scheme, slot: str, headers: Headers) -> bytes | None:
    for name, value in headers:
        template: HeaderTemplate | None = scheme.headers_by_name.get(name.lower())
        if template is None:
            continue
        for element in template.elements:
            if element.slot != slot or not element.prefix:
                continue
            for item in _ITEMS.split(value):
                bare = item.strip(b"\"'")
                if bare.startswith(element.prefix):
                    return bare[len(element.prefix) :].strip(b"\"'") or None
    return None


def _times(headers: Headers) -> list[tuple[str, bytes]]:
    found = [
        (name.decode("latin-1"), match)
        for name, value in headers
        for match in _LIKE_TIME.findall(value[:1_000])
    ]
    return found[:MAX_CANDIDATES]


def unit_forms(values: Mapping[str, bytes]) -> Iterator[ValueForm]:
    """The timestamp signed in another unit than it is sent in."""
    text = values.get("ts", b"")
    if not text.isdigit() or len(text) > 16:
        return
    forms = [(text + b"000", "the timestamp was signed in milliseconds and sent in seconds")]
    if len(text) > 3:
        forms.append((text[:-3], "the timestamp was signed in seconds and sent in milliseconds"))
    for signed, words in forms:
        yield ValueForm({**values, "ts": signed}, None, (Deviation("timestamp-unit", words),))


def template_forms(scheme: Scheme, values: Mapping[str, bytes], headers: Headers) -> Iterator[ValueForm]:
    """The content of the other templates there are, where the request has their values."""
    with_time = dict(values)
    if "ts" not in with_time:
        times = _times(headers)
        if times:
            with_time["ts"] = times[0][1]
    for template in _templates():
        if template.text == scheme.template.text:
            continue
        is_complete = all(with_time.get(slot) for slot in template.slots if slot != "body")
        if is_complete and not _is_own_of_another_body(scheme, template, with_time):
            yield ValueForm(with_time, template, (_named(scheme, template),))


def _is_own_of_another_body(scheme: Scheme, template: Template, values: Mapping[str, bytes]) -> bool:
    """True when the content could be the scheme's own round another body: then it does not tell which it was."""
    if "body" not in scheme.template.slots or not {*scheme.template.slots} <= {*values, "secret"}:
        return False
    own = scheme.template.render({**values, "secret": b"", "body": _BODY})
    before, _, after = own.partition(_BODY)
    content = template.render({**values, "secret": b""})
    return bool(before + after) and content.startswith(before) and content.endswith(after)


@cache
def _templates() -> tuple[Template, ...]:
    return tuple(parse_template(text) for text in _TEMPLATES)


def _named(scheme: Scheme, template: Template) -> Deviation:
    """What the difference between the two templates is called."""
    own, other = set(scheme.template.slots), set(template.slots)
    detail = f"{_shown(template.text)} instead of {_shown(scheme.template.text)}"
    if own == other:
        return Deviation("content-separator", detail)
    left_out = own - other
    if not other - own and len(left_out) <= 2:
        for slot in ("ts", "id", "url"):
            if slot in left_out:
                cause = {"ts": "content-without-timestamp", "id": "content-without-id"}.get(slot)
                return Deviation(cause or "content-without-url", detail)
    return Deviation("content-other", detail)


def _shown(text: str) -> str:
    return text.replace("\n", "\\n") if len(text) <= 60 else f"{text[:57]}…"


def makers(algorithm: str) -> Iterator[Maker]:
    """Every other way to make a signature of the scheme's content."""
    for name, primitive in PRIMITIVES.items():
        if name.startswith("hmac-") and name != algorithm:
            what = Deviation("algorithm-hash", f"{name}, not {algorithm}")
            yield Maker(primitive, (what,))
    hashes = ("sha256", "sha1", "sha512", "md5")
    for name in hashes:
        for words, join in _JOINS.items():
            digest = Deviation("algorithm-plain-digest", f"a plain {name} of {words}")
            yield Maker(_digest(name, join), (digest,))
    for name in hashes[:3]:
        yield Maker(_swapped(name), (Deviation("algorithm-swapped"),))


_JOINS: Mapping[str, Callable[[bytes, bytes], bytes]] = {
    "the content, without any secret": lambda _key, content: content,
    "secret and content": lambda key, content: key + content,
    "content and secret": lambda key, content: content + key,
}


def _digest(name: str, join: Callable[[bytes, bytes], bytes]) -> Callable[[bytes, bytes], bytes]:
    return lambda key, content: hashlib.new(name, join(key, content), usedforsecurity=False).digest()


def _swapped(name: str) -> Callable[[bytes, bytes], bytes]:
    return lambda key, content: hmac.digest(content, key, name)
