"""Makes the challenge that a provider would send, from a seed. Unsigned: signing it is the caller's.

No clock, no randomness: the same seed and token give the same request.
"""

import json
from copy import deepcopy
from hashlib import shake_256
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

from webhookctl.handshake.place import Place
from webhookctl.handshake.table import Condition, Handshake
from webhookctl.model import Request

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_LENGTH = 43


def challenge(handshake: Handshake, *, seed: int, token: str) -> Request:
    """The request that opens `handshake`, to ``/`` and the query it needs, its challenge drawn from `seed`.

    What the provider's signature adds is not in it. `token` is the verify token that is sent.
    """
    value = _drawn(handshake.draw, seed)
    sample = handshake.sample
    query = {**sample.query}
    headers = {**sample.headers}
    body = deepcopy(sample.body)
    if body is None and any(place.source == "body" for place in _places(handshake)):
        body = {}
    settings = [*_settings(handshake.conditions)]
    settings += [(handshake.challenge, value)] if handshake.challenge is not None else []
    settings += [(handshake.token, token)] if handshake.token is not None else []
    for place, text in settings:
        if place.source == "query":
            query[place.name] = text
        elif place.source == "header":
            headers[place.name] = text
        elif place.source == "body":
            _put(body, place.path, _typed(text) if place is not handshake.challenge else text)
    content = sample.text.encode("utf-8")
    if body is not None:
        content = json.dumps(_filled(body, value), separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    if content and "Content-Type" not in headers:
        headers["Content-Type"] = "application/json"
    fields = tuple(
        (name.encode("ascii"), _filled(text, value).encode("utf-8")) for name, text in headers.items()
    )
    target = "/" + (f"?{urlencode(query)}" if query else "")
    return Request(handshake.method, target, fields, content)


def _places(handshake: Handshake) -> list[Place]:
    places = [condition.place for condition in handshake.conditions if not condition.is_absent]
    return places + ([handshake.challenge] if handshake.challenge is not None else [])


def _settings(conditions: tuple[Condition, ...]) -> list[tuple[Place, str]]:
    """The places whose values the conditions name. A header that only has to be there is the signature's."""
    return [
        (condition.place, condition.value)
        for condition in conditions
        if condition.value is not None and not condition.is_absent
    ]


def _typed(text: str) -> object:
    if text == "[]":
        return []
    return int(text) if text.isdecimal() else text


def _put(document: Any, path: tuple[str | int, ...], value: object) -> None:
    for part, following in pairwise(path):
        if isinstance(document, dict) and part not in document:
            document[part] = [] if isinstance(following, int) else {}
        document = document[part]
    document[path[-1]] = value


def _filled(template: Any, value: str) -> Any:
    if isinstance(template, dict):
        return {name: _filled(each, value) for name, each in template.items()}
    if isinstance(template, list):
        return [_filled(each, value) for each in template]
    return template.replace("{challenge}", value) if isinstance(template, str) else template


def _drawn(kind: str, seed: int) -> str:
    """A value that looks as the provider's do: text, digits, hex, uuid or host."""
    stream = shake_256(f"handshake {seed}".encode()).digest(_LENGTH)
    match kind:
        case "digits":
            return str(1_000_000_000 + int.from_bytes(stream[:4], "big"))
        case "hex":
            return stream[:16].hex()
        case "uuid":
            text = stream[:16].hex()
            return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:32]}"
        case "host":
            return f"sender-{stream[:3].hex()}.example.com"
        case _:
            return "".join(_LETTERS[byte % len(_LETTERS)] for byte in stream)
