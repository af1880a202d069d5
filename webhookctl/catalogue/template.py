"""A template: one forgeable event, put together from its provider's data (entities, envelope, state, delivery).

Knows the shape of the data files, not what the placeholders in them stand for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import TypeAlias

from webhookctl.catalogue.placeholder import broken

Node: TypeAlias = "str | int | float | bool | list[Node] | Table"
"""A value as in TOML: texts may hold placeholders. Dates are written as placeholders, null as ``{null}``."""
Table: TypeAlias = dict[str, Node]

ANY_EVENT = "*"
_BASE = "$base"
_DELIVERY: Table = {"method": "POST", "target": "/", "encoding": "json", "headers": {}, "escapes": {}}


@dataclass(frozen=True, slots=True)
class Template:
    """One forgeable event of a provider.

    `entity` names the object the event is about ("" when the body says it all); `entities` are the provider's,
    with the event's state patched in; `identifiers` maps an id prefix to (alphabet, length).
    """

    provider: str
    event: str
    entity: str
    entities: Mapping[str, Table]
    body: Node
    delivery: Table
    identifiers: Mapping[str, tuple[str, int]]


def compose(document: Table, *, provider: str, event: str) -> Template:
    """The template of `event` from a provider's parsed data file; an open catalogue's ``*`` stands for any event.

    Raises WebhookctlError (``template-invalid``) when the data names an entity or envelope that is not there.
    """
    events = table(document.get("event", {}))
    declared = table(events[event] if event in events else events[ANY_EVENT])
    patches = table(declared.get("patch", {}))
    raw = table(document.get("entity", {}))
    unknown = [name for name in patches if name not in raw]
    if unknown:
        raise broken(f"{provider}/{event}: patch of an entity that does not exist: {', '.join(unknown)}")
    entities = {name: merged(_with_base(raw, name), table(patches.get(name, {}))) for name in raw}
    envelopes = table(document.get("envelope", {}))
    envelope = str(declared.get("envelope", "default"))
    bodies = [
        table_of[key] for table_of, key in ((envelopes, envelope), (declared, "body")) if key in table_of
    ]
    if not bodies or ("envelope" in declared and envelope not in envelopes):
        raise broken(f"{provider}/{event}: no envelope {envelope!r}")
    return Template(
        provider=provider,
        event=event,
        entity=str(declared.get("entity", "")),
        entities=MappingProxyType({name: table(entity) for name, entity in entities.items()}),
        body=reduce(merged, bodies),
        delivery=table(reduce(merged, [_DELIVERY, document["delivery"], declared.get("delivery", {})])),
        identifiers=MappingProxyType(_identifiers(table(document.get("ids", {})))),
    )


def merged(base: Node, over: Node) -> Node:
    """`over` laid over `base`: tables field by field, keeping the order of `base`; anything else is replaced."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: merged(base[key], value) if key in base else value for key, value in over.items()}


def table(node: Node) -> Table:
    """`node`, which has to be a table. Raises WebhookctlError (``template-invalid``) when it is not."""
    if not isinstance(node, dict):
        raise broken(f"a table is wanted, not {node!r}")
    return node


def _with_base(raw: Table, name: str, above: tuple[str, ...] = ()) -> Table:
    if name not in raw or name in above:
        raise broken(f"entity {above[-1]}: cannot be based on {name!r}")
    own = dict(table(raw[name]))
    base = own.pop(_BASE, None)
    return own if base is None else table(merged(_with_base(raw, str(base), (*above, name)), own))


def _identifiers(shapes: Table) -> dict[str, tuple[str, int]]:
    """From ``cus_ = "alnum 14"``: prefix -> (alphabet, length)."""
    split = {prefix: str(shape).split() for prefix, shape in shapes.items()}
    return {prefix: (alphabet, int(length)) for prefix, (alphabet, length) in split.items()}
