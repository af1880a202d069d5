"""A template made into a delivery: placeholders filled in, the body written in the provider's wire form.

Knows neither the catalogue's files nor signatures; everything that varies is passed in as seed and time.
"""

import json
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote_plus

from webhookctl.catalogue import chance, instant
from webhookctl.catalogue.placeholder import Placeholder, Reference, broken, parse, reference
from webhookctl.catalogue.template import Node, Template
from webhookctl.model import Headers

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

_BODY, _DELIVERY = "body", "delivery"
_DEFAULT_IDENTIFIER = ("alnum", 24)


@dataclass(frozen=True, slots=True)
class Forged:
    """A delivery as the provider would send it, but for the signature headers, Host and Content-Length.

    `target` is "/": the endpoint has its own. `delivery_id` is what the provider tells deliveries apart by.
    """

    provider: str
    event: str
    method: str
    target: str
    headers: Headers
    body: bytes
    delivery_id: str


def build(template: Template, *, seed: int, now_s: float) -> Forged:
    """The delivery of `template` at Unix time `now_s`; the same seed and time give the same bytes, anywhere.

    Raises WebhookctlError (``template-invalid``) when the template refers to what it does not have.
    """
    filling = _Filling(template, seed=seed, now_us=round(now_s * 1_000_000))
    try:
        return _forged(template, filling)
    except (LookupError, TypeError, ValueError) as error:  # an argument of a placeholder that makes no sense
        raise broken(f"{template.provider}/{template.event}: {error!r}") from error


def _forged(template: Template, filling: "_Filling") -> Forged:
    delivery = filling.entity(_DELIVERY)
    headers = delivery["headers"]
    assert isinstance(headers, dict)
    return Forged(
        provider=template.provider,
        event=template.event,
        method=str(delivery["method"]),
        target=str(delivery["target"]),
        headers=tuple((name.encode("ascii"), str(value).encode("ascii")) for name, value in headers.items()),
        body=_encoded(filling.value(template.body, _BODY, ()), form=delivery),
        delivery_id=str(delivery["id"]),
    )


def _encoded(payload: Json, *, form: dict[str, Json]) -> bytes:
    """The payload in the provider's form: `form` is its delivery table, filled in."""
    indent = form.get("indent")
    text = json.dumps(
        payload,
        ensure_ascii=form.get("is_ascii") is True,
        indent=indent if isinstance(indent, int) else None,
        separators=(",", ": " if indent else ":"),
    )
    escapes = form["escapes"]
    assert isinstance(escapes, dict)
    for character, escaped in escapes.items():
        text = text.replace(character, str(escaped))
    if form["encoding"] == "form":
        return f"payload={quote_plus(text)}".encode("ascii")
    if form["encoding"] == "json":
        return text.encode()
    raise broken(f"no encoding {form['encoding']!r}")


class _Filling:
    """One payload in the making. A value's key is its entity and path, so an entity is the same wherever it stands."""

    def __init__(self, template: Template, *, seed: int, now_us: int) -> None:
        self._template = template
        self._seed = seed
        self._now_us = now_us
        self._roots: dict[str, Node] = {
            **template.entities,
            _BODY: template.body,
            _DELIVERY: template.delivery,
        }
        self._open: list[str] = []  # what is being filled in, to see a circle

    def entity(self, name: str) -> dict[str, Json]:
        filled = self.value(self._root(name), name, ())
        assert isinstance(filled, dict)
        return filled

    def value(self, node: Node, entity: str, path: tuple[str, ...]) -> Json:
        if isinstance(node, dict):
            return {key: self.value(inner, entity, (*path, key)) for key, inner in node.items()}
        if isinstance(node, list):
            return [self.value(inner, entity, (*path, str(index))) for index, inner in enumerate(node)]
        return self._text(node, entity, path) if isinstance(node, str) else node

    def _text(self, text: str, entity: str, path: tuple[str, ...]) -> Json:
        key = ".".join((entity, *path))
        if key in self._open:
            raise broken(f"{self._template.provider}/{self._template.event}: {key} refers to itself")
        self._open.append(key)
        parts = parse(text)
        values: list[Json] = []
        for index, part in enumerate(parts):
            if isinstance(part, Placeholder):
                values.append(self._placeholder(part, entity, f"{key}.{index}" if len(parts) > 1 else key))
            else:
                values.append(self._referred(part, entity) if isinstance(part, Reference) else part)
        self._open.pop()
        return values[0] if len(values) == 1 else "".join(map(str, values))

    def _referred(self, wanted: Reference, entity: str) -> Json:
        name = wanted.entity or entity
        node = self._root(name)
        walked: tuple[str, ...] = ()
        for step in wanted.path:
            node, name, walked = self._entered(node, name, walked)
            if isinstance(node, dict) and step in node:
                node = node[step]
            elif isinstance(node, list) and step.isdecimal() and int(step) < len(node):
                node = node[int(step)]
            else:
                raise broken(f"{self._template.provider}: {name} has no {'.'.join((*walked, step))}")
            walked = (*walked, step)
        return self.value(node, name, walked)

    def _entered(self, node: Node, name: str, walked: tuple[str, ...]) -> tuple[Node, str, tuple[str, ...]]:
        """Where a path goes on: inside the entity when the node is one put in by ``{object:…}``."""
        parts = parse(node) if isinstance(node, str) else ()
        if len(parts) == 1 and isinstance(parts[0], Placeholder) and parts[0].kind == "object":
            inner = parts[0].argument or self._template.entity
            return self._root(inner), inner, ()
        return node, name, walked

    def _root(self, name: str) -> Node:
        if name not in self._roots:
            raise broken(f"{self._template.provider}: no entity {name!r}")
        return self._roots[name]

    def _placeholder(self, placeholder: Placeholder, entity: str, path_key: str) -> Json:
        argument = placeholder.argument
        match placeholder.kind:
            case "null":
                return None
            case "event":
                event = self._template.event
                return event.split(".")[int(argument) - 1] if argument else event
            case "object":
                return self.entity(argument or self._template.entity)
            case "now":
                return self._moment(placeholder)
            case "text":
                return str(self._operand(argument, entity))
            case "sum":
                return self._sum(argument, entity)
            case "money":
                cents = self._sum(argument, entity)
                return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"
        return self._random(placeholder, path_key)

    def _random(self, placeholder: Placeholder, path_key: str) -> Json:
        argument = placeholder.argument
        key = self._key(placeholder, path_key)
        match placeholder.kind:
            case "id":
                alphabet, length = self._template.identifiers.get(argument, _DEFAULT_IDENTIFIER)
                return argument + chance.characters(key, alphabet=alphabet, length=length)
            case "hex" | "digits" | "alnum" | "upper" as alphabet:
                return chance.characters(key, alphabet=alphabet, length=int(argument))
            case "uuid":
                return chance.uuid4(key)
            case "integer":
                low, high = argument.split("..")
                return chance.integer(key, low=int(low), high=int(high))
            case "choice":
                choices = argument.split("|")
                return choices[chance.integer(key, low=0, high=len(choices) - 1)]
        raise broken(f"no placeholder {placeholder.kind!r}")

    def _key(self, placeholder: Placeholder, path_key: str) -> str:
        """What a random value depends on: an id on its prefix and name, others on their name or else their place.

        Envelope and delivery are of this event alone, entities are shared by all events of a seed.
        """
        name = self._template.event if placeholder.name == "event" else placeholder.name
        if placeholder.kind == "id":
            return f"{self._seed}/id:{placeholder.argument}#{name}"
        if name:
            return f"{self._seed}/#{name}"
        is_own = path_key.startswith((f"{_BODY}.", f"{_DELIVERY}."))
        return f"{self._seed}/{self._template.event if is_own else ''}/{path_key}"

    def _moment(self, placeholder: Placeholder) -> Json:
        moment_us = self._now_us + placeholder.shift_s * 1_000_000
        value = instant.written(moment_us, form=placeholder.argument or "unix")
        if value is None:
            raise broken(f"no form of time {placeholder.argument!r}")
        return value

    def _sum(self, expression: str, entity: str) -> int:
        """``.a + 2 * pool.b - 5``: whole numbers and references, products before sums, no brackets."""
        total = 0
        for term in expression.replace("- ", "+ -1 * ").split(" + "):
            product = 1
            for factor in term.split(" * "):
                product *= self._number(factor.strip(), entity)
            total += product
        return total

    def _number(self, text: str, entity: str) -> int:
        value = self._operand(text, entity)
        if not isinstance(value, int):
            raise broken(f"{self._template.provider}: {text} is no whole number")
        return value

    def _operand(self, text: str, entity: str) -> Json:
        found = reference(text)
        return self._referred(found, entity) if found else int(text)
