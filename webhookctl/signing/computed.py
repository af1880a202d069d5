"""Slots of a canonical template that are computed from others: hashes, sorted forms, canonical JSON, parts of a URL.

Knows values, headers and the body's content: no scheme, no key, no signature.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TypeAlias
from zlib import crc32

from webhookctl.model import Headers, header_value
from webhookctl.signing.content import Content, Unsignable, escaped, form_fields
from webhookctl.signing.primitive import ENCODINGS


@dataclass(frozen=True, slots=True)
class Offer:
    """What a request offers to sign: `values` by slot, its `headers`, and its body's `content`."""

    values: Mapping[str, bytes]
    headers: Headers
    content: Content


Computation: TypeAlias = Callable[[Offer], bytes]
"""From what a request offers to a slot's value; raises Unsignable when the body is not of the form it needs."""


def _sha256_hex(raw: bytes) -> bytes:
    return hashlib.sha256(raw).hexdigest().encode("ascii")


def _body_sha256(offer: Offer) -> bytes:
    return _sha256_hex(offer.content.body)


def _body_sha256_base64(offer: Offer) -> bytes:
    return ENCODINGS["base64"](hashlib.sha256(offer.content.body).digest())


def _body_crc32(offer: Offer) -> bytes:
    return str(crc32(offer.content.body)).encode("ascii")


def _url_sha256(offer: Offer) -> bytes:
    return _sha256_hex(offer.values["url"])


def _query(offer: Offer) -> bytes:
    return offer.values["path"].partition(b"?")[2]


def _host(offer: Offer) -> bytes:
    return offer.values["url"].partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]


def _sorted_form(offer: Offer) -> bytes:
    """Twilio, Mandrill: names in order, after each its distinct values in order."""
    return b"".join(name + value for name, value in sorted(set(offer.content.fields)))


def _php_form(offer: Offer) -> bytes:
    """Paddle Classic: the form without its signature, sorted by name, as PHP serialises an array of texts."""
    fields = dict(offer.content.fields)
    fields.pop(b"p_signature", None)
    members = b"".join(_php_key(name) + _php_text(fields[name]) for name in sorted(fields))
    return b"a:%d:{%s}" % (len(fields), members)


def _php_key(name: bytes) -> bytes:
    return b"i:%s;" % name if name.isdigit() and (name[:1] != b"0" or name == b"0") else _php_text(name)


def _php_text(text: bytes) -> bytes:
    return b's:%d:"%s";' % (len(text), text)


def _json(offer: Offer) -> bytes:
    """The body as JavaScript writes it when it has read it: no white space, its own numbers and escapes."""
    return _rewritten(offer.content.body, is_sorted=False)


def _json_canonical(offer: Offer) -> bytes:
    """RFC 8785: as `_json`, names in the order of their UTF-16 code units. An empty body stays empty."""
    return _rewritten(offer.content.body, is_sorted=True) if offer.content.body else b""


def _rewritten(body: bytes, *, is_sorted: bool) -> bytes:
    try:
        text = _javascript(json.loads(body, parse_int=float), is_sorted)
    except (ValueError, RecursionError):
        raise Unsignable("the body is not JSON") from None
    # A lone surrogate stands as its escape in JavaScript too.
    return text.encode("utf-8", "backslashreplace")


def _javascript(value: object, is_sorted: bool) -> str:
    if isinstance(value, dict):
        names = sorted(value, key=_utf16) if is_sorted else _in_javascript_order(value)
        members = (f"{_text(name)}:{_javascript(value[name], is_sorted)}" for name in names)
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_javascript(element, is_sorted) for element in value) + "]"
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value, ensure_ascii=False)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")


def _in_javascript_order(members: Mapping[str, object]) -> list[str]:
    """Names that are array indexes come first, in the order of numbers; the others as they were written."""
    indexes = [name for name in members if name.isascii() and name.isdigit() and _is_index(name)]
    return sorted(indexes, key=int) + [name for name in members if name not in set(indexes)]


def _is_index(digits: str) -> bool:
    return len(digits) <= 10 and str(int(digits)) == digits and int(digits) < 2**32 - 1


def _number(value: float) -> str:
    """A number as ECMAScript writes it."""
    from decimal import Decimal  # few schemes need it

    if not isfinite(value):
        return "null"
    if value == 0:
        return "0"
    sign, digits_, exponent = Decimal(repr(value)).normalize().as_tuple()
    digits = "".join(map(str, digits_))
    point = len(digits) + int(exponent)
    minus = "-" if sign else ""
    if len(digits) <= point <= 21:
        return minus + digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{minus}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{minus}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{minus}{digits[0]}{fraction}e{point - 1:+d}"


def _sns_lines(offer: Offer) -> bytes:
    """AWS SNS: name and value of the message's signed members, a line each, in the order of their names."""
    document = offer.content.document
    if not isinstance(document, dict):
        raise Unsignable("the body is no SNS message")
    names = ["Message", "MessageId", "Timestamp", "TopicArn", "Type"]
    names += ["Subject"] if document.get("Type") == "Notification" else ["SubscribeURL", "Token"]
    lines = []
    for name in sorted(names):
        value = document.get(name)
        if name == "Subject" and not value:
            continue
        if not isinstance(value, str):
            raise Unsignable(f"the SNS message has no {name}")
        lines.append(f"{name}\n{value}\n")
    return "".join(lines).encode("utf-8", "surrogatepass")


def _named_headers(offer: Offer) -> bytes:
    """Contentful: the headers that ``{names}`` lists, as ``name:value;name:value`` in the order of names."""
    lines = []
    for name in sorted(name.strip().lower() for name in offer.values.get("names", b"").split(b",")):
        value = header_value(offer.headers, name.decode("latin-1")) or b""
        lines.append(name + b":" + value.strip())
    return b";".join(lines)


def _escaped_path(offer: Offer) -> bytes:
    """Contentful: the path escaped as a URI, its query (up to a second question mark) escaped once before."""
    path, mark, rest = offer.values["path"].partition(b"?")
    query = rest.partition(b"?")[0]
    whole = path + mark + escaped(query, "!'()*") if query else path
    return escaped(whole, "!#$&'()*+,/:;=?@")


def _jws_payload(offer: Offer) -> bytes:
    """Neon: time and body as the payload of a detached JSON Web Signature, base64url in base64url."""
    inner = offer.values["ts"] + b"." + ENCODINGS["base64url"](offer.content.body)
    return ENCODINGS["base64url"](inner)


def _query_hash(offer: Offer) -> bytes:
    """Atlassian Connect: the hash of method, path and sorted query, the token's own parameter left out."""
    path, _, query = offer.values["path"].partition(b"?")
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in form_fields(query):
        if name != b"jwt":
            by_name.setdefault(escaped(name, ""), []).append(escaped(value, ""))
    pairs = (name + b"=" + b",".join(sorted(by_name[name])) for name in sorted(by_name))
    canonical = (offer.values["method"].upper(), path.rstrip(b"/") or b"/", b"&".join(pairs))
    return _sha256_hex(b"&".join(canonical))


COMPUTATIONS: Mapping[str, Computation] = {
    "body_sha256": _body_sha256,
    "body_sha256_base64": _body_sha256_base64,
    "body_crc32": _body_crc32,
    "jws_payload": _jws_payload,
    "json": _json,
    "json_canonical": _json_canonical,
    "sorted_form": _sorted_form,
    "php_form": _php_form,
    "sns_lines": _sns_lines,
    "url_sha256": _url_sha256,
    "query": _query,
    "query_hash": _query_hash,
    "host": _host,
    "named_headers": _named_headers,
    "escaped_path": _escaped_path,
}


def is_computed(slot: str) -> bool:
    """True for slots that a request's other values and its body give: computed ones and places in the body."""
    return slot in COMPUTATIONS or "." in slot


SENT_WITH: Mapping[str, tuple[str, ...]] = {"jws_payload": ("ts",)}
"""What a request has to send, beside its body, for a slot to be computed."""

EXACT = frozenset(("body", "body_sha256", "body_sha256_base64", "body_crc32", "jws_payload"))
"""Slots that hold every byte of the body."""

MEANING = frozenset(("json", "json_canonical", "sorted_form", "php_form"))
"""Slots that hold all that the body says, not how it is written."""

FROM_URL = frozenset(("url", "url_sha256", "host"))
"""Slots that only the public URL can fill."""
