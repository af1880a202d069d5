"""A provider's schema against what is read of an event."""

from itertools import product
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from webhookctl.contract.drift import EventDrift, Sample, compare, known
from webhookctl.contract.schema_drift import body_schema, compare_schema, event_schema, is_openapi
from webhookctl.contract.schema_shape import Document

Object = dict[str, Any]


def order(*, required: tuple[str, ...] = ("id", "total", "status"), **changes: Any) -> Object:
    """The schema of an order, its properties changed; None takes one away."""
    properties: Object = {
        "id": {"type": "string"},
        "total": {"type": "integer"},
        "status": {"enum": ["open", "paid"]},
        **changes,
    }
    return {
        "type": "object",
        "properties": {name: each for name, each in properties.items() if each is not None},
        "required": list(required),
    }


def one(schema: Any, *, is_required: bool = True) -> Object:
    """The schema of an object with one property, `x`."""
    return {"type": "object", "properties": {"x": schema}, "required": ["x"] if is_required else []}


def drift(schema: Any, reads: dict[str, str], root: Any = None) -> EventDrift:
    document = Document(schema if root is None else root)
    return compare_schema("order", schema, document=document, reads=reads, label="a.json")


def told(found: EventDrift) -> list[tuple[str, str, str, str]]:
    return [(each.path, each.change.value, each.weight.value, each.received) for each in found.findings]


READS = {"id": "string", "total": "integer", "status": '"open" | "paid"'}


def test_a_schema_that_promises_what_is_read_is_silent() -> None:
    found = drift(order(), READS)
    assert (found.findings, found.checked, found.same, found.samples) == ((), 3, 3, 0)
    assert not found.is_breaking


@pytest.mark.parametrize(
    ("schema", "finding"),
    [
        (order(id=None, required=("total", "status")), ("id", "vanished", "breaking", "absent")),
        (order(id=None) | {"additionalProperties": False}, ("id", "vanished", "breaking", "absent")),
        (order(id=False), ("id", "vanished", "breaking", "absent")),
        (order(id={"type": "integer"}), ("id", "retyped", "breaking", "integer")),
        (order(id={"type": ["string", "integer"]}), ("id", "retyped", "breaking", "string | integer")),
        (order(total={"type": "number"}), ("total", "retyped", "breaking", "number")),
        (order(id={"type": ["string", "null"]}), ("id", "null", "breaking", "string | null")),
        (order(id={"type": "string", "nullable": True}), ("id", "null", "breaking", "string | null")),
        (order(id={"type": "null"}), ("id", "retyped", "breaking", "null")),
        (order(required=("total", "status")), ("id", "optional", "breaking", "absent")),
        (order(status={"enum": ["open", "paid", "void"]}), ("status", "value", "breaking", '"void"')),
        (order(status={"type": "string"}), ("status", "value", "breaking", "any string")),
        (order(status={"const": "paid"}), ("status", "value-gone", "notice", '"open"')),
        (order(id={"description": "it is what it is"}), ("id", "retyped", "notice", "anything")),
    ],
)
def test_one_change_is_one_finding(schema: Object, finding: tuple[str, str, str, str]) -> None:
    found = drift(schema, READS)
    assert told(found) == [finding]
    assert (found.is_breaking, found.same) == (finding[2] == "breaking", 2)
    assert (found.findings[0].expected, found.findings[0].first) == (READS[finding[0]], "a.json")


def test_texts_may_be_gained_and_lost_at_once_and_the_break_comes_first() -> None:
    found = drift(order(status={"enum": ["paid", "void", 5]}), READS)
    assert told(found) == [
        ("status", "retyped", "breaking", '"paid" | "void" | integer'),
        ("status", "value", "breaking", '"void"'),
        ("status", "value-gone", "notice", '"open"'),
    ]


@pytest.mark.parametrize(
    ("schema", "read"),
    [
        (one({"type": "integer"}), "number"),
        (one({"type": "string"}, is_required=False), "string | absent"),
        (one({"type": ["string", "null"]}), "string | null"),
        (one({"enum": ["a", None]}), '"a" | null'),
        (one({"allOf": [{"type": ["string", "null"]}, {"type": "string"}]}), "string"),
        (one({"allOf": [{"enum": ["a", "b"]}, {"enum": ["b", "c"]}]}), '"b"'),
        (one({"anyOf": [{"type": "string"}, {"allOf": [{"type": "null"}, {"type": "object"}]}]}), "string"),
        (one({"oneOf": [{"const": "a"}, {"const": "b"}]}), '"a" | "b"'),
        (one({"type": "number", "enum": [1, 2]}), "integer"),
        (one({"allOf": [{"enum": ["a", 1]}, {"enum": ["b", 1]}]}), "integer"),
        (one({"properties": {"y": True}}), "object"),
        (one({"items": {"type": "string"}}), "array"),
        (one({"if": {"const": "a"}, "then": {"type": "string"}, "else": {"type": "null"}}), "string | null"),
        ({"type": "object", "additionalProperties": False}, "string | absent"),
        ({"allOf": [one({"type": "string"}, is_required=False), {"required": ["x"]}]}, "string"),
        (
            {
                "type": "object",
                "patternProperties": {"^x": {"type": "string"}, "y": False},
                "required": ["x"],
            },
            "string",
        ),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "string"),
    ],
)
def test_what_is_allowed_is_understood(schema: Object, read: str) -> None:
    assert told(drift(schema, {"x": read})) == []


@pytest.mark.parametrize(
    ("schema", "change"),
    [
        ({"oneOf": [one({"type": "string"}), {"type": "object", "properties": {"y": True}}]}, "optional"),
        ({"allOf": [one({"type": "string"}), {"additionalProperties": False}]}, "vanished"),
        ({"type": "object", "required": [], "unevaluatedProperties": False}, "vanished"),
        ({"type": ["object", "null"], **one({"type": "string"}), "nullable": True}, "optional"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "retyped"),
        ({"type": "object", "patternProperties": {"^x": {"type": "string"}}}, "optional"),
        ({"type": "array", "items": one({"type": "string"})}, "vanished"),
        (False, "vanished"),
    ],
)
def test_what_a_whole_body_may_be_breaks_its_paths(schema: Any, change: str) -> None:
    assert [(each[0], each[1], each[2]) for each in told(drift(schema, {"x": "string"}))] == [
        ("x", change, "breaking")
    ]


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (one({"type": "object"}), "x.y.z"),
        (one({}), "x[].y"),
        (one({"type": "array"}), "x[]"),
        (one({"type": "object"}), "x.{*}"),
        ({"type": "object", "properties": {"y": {"type": "string"}}, "required": ["x"]}, "x"),
    ],
)
def test_what_a_schema_leaves_open_is_a_notice(schema: Any, path: str) -> None:
    assert told(drift(schema, {path: "string"})) == [(path, "retyped", "notice", "anything")]


def test_elements_and_entries_are_followed() -> None:
    schema = one({"type": "array", "items": one({"type": "string"})})
    assert told(drift(schema, {"x[].x": "string", "x[0].x": "string"})) == []
    assert told(drift(schema, {"x[].x": "integer"})) == [("x[].x", "retyped", "breaking", "string")]
    assert told(drift(schema, {"x[].y": "integer"})) == [("x[].y", "vanished", "breaking", "absent")]
    pair = one({"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False})
    assert told(drift(pair, {"x[]": "string"})) == [("x[]", "retyped", "breaking", "string | integer")]
    assert told(drift(one({"items": False}), {"x[]": "string"})) == [
        ("x[]", "vanished", "breaking", "absent")
    ]
    entries = one({"additionalProperties": {"type": "integer"}, "properties": {"a": {"type": "string"}}})
    assert told(drift(entries, {"x.{*}": "string"})) == [("x.{*}", "retyped", "breaking", "string | integer")]
    closed = one({"additionalProperties": False})
    assert told(drift(closed, {"x.{*}": "string"})) == [("x.{*}", "vanished", "breaking", "absent")]


def test_names_in_quotes_are_names() -> None:
    schema = {"type": "object", "properties": {"a.b": {"type": "string"}, "[]": {"type": "string"}}}
    schema["required"] = ["a.b", "[]"]
    assert told(drift(schema, {'"a.b"': "string", '"[]"': "string"})) == []


def test_a_place_that_is_read_answers_for_itself() -> None:
    inner = {"type": ["object", "null"], "properties": {"y": {"type": "string"}}, "required": ["y"]}
    schema = one(inner, is_required=False)
    assert told(drift(schema, {"x.y": "string"})) == [("x.y", "optional", "breaking", "absent")]
    assert told(drift(schema, {"x": "object | null | absent", "x.y": "string"})) == []
    assert told(drift(schema, {"x": "object", "x.y": "integer"})) == [
        ("x", "optional", "breaking", "absent"),
        ("x", "null", "breaking", "object | null"),
        ("x.y", "retyped", "breaking", "string"),
    ]
    gone = one({"type": "string"})
    assert told(drift(gone, {"x": "object", "x.y": "string"})) == [("x", "retyped", "breaking", "string")]
    assert told(drift(gone, {"x": "string", "x.y": "string"})) == [("x.y", "vanished", "breaking", "absent")]


def test_references_are_followed_within_the_document_and_circles_end() -> None:
    root: Object = {
        "$defs": {
            "a/b~c %": {"type": "string"},
            "tree": {
                "type": "object",
                "properties": {"name": {"$ref": "#/$defs/a~1b~0c%20%25"}, "next": {"$ref": "#/$defs/tree"}},
                "required": ["name", "next"],
            },
            "self": {"$ref": "#/$defs/self", "type": "string"},
        },
        "list": [{"type": "string"}],
    }
    tree = {"$ref": "#/$defs/tree"}
    assert told(drift(tree, {"next.next.next.name": "string"}, root)) == []
    assert told(drift(one({"$ref": "#/$defs/self"}), {"x": "string"}, root)) == []
    assert told(drift(one({"$ref": "#/list/0"}), {"x": "string"}, root)) == []


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (one({"$ref": "other.json#/a"}), "another document"),
        (one({"$ref": "#/nowhere"}), "leads nowhere"),
        (one({"$ref": "#anchor"}), "no JSON pointer"),
        ({"type": "order.paid"}, "'order.paid' is no type"),
        ({"type": [5]}, "5 is no type"),
        (one(5), "an integer where a schema has to be"),
        (one({"anyOf": {}}), "an object where anyOf"),
        (one({"allOf": [{"anyOf": [{"type": "string"}] * 100}] * 3}), "more than 5,000 alternatives"),
        ({"type": "object", "patternProperties": {"(": True}}, "no pattern"),
        ({"description": "nothing"}, "does not say what a body looks like"),
        (None, "null where a schema"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        drift(schema, {"x": "string"})


def test_what_is_not_read_may_refer_to_anything() -> None:
    schema = order(extra={"$ref": "https://example.com/extra.json"})
    assert told(drift(schema, READS)) == []


BODY = {"content": {"text/plain": {}, "application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}
API: Object = {
    "openapi": "3.1.0",
    "webhooks": {
        "order.paid": {"post": {"requestBody": BODY}},
        "order.void": {"$ref": "#/components/pathItems/void"},
        "ping": {"post": {"requestBody": {"content": {"text/plain": {"schema": {}}}}}},
        "pong": {"post": 5},
        "round": {"$ref": "#/webhooks/round"},
    },
    "components": {
        "schemas": {"Order": order()},
        "pathItems": {"void": {"put": {"requestBody": {"$ref": "#/components/requestBodies/order"}}}},
        "requestBodies": {"order": BODY},
    },
}


def test_the_schema_of_a_webhook_is_found() -> None:
    document = Document(API)
    schema = BODY["content"]["application/json"]["schema"]
    assert event_schema(document, "order.paid") == schema
    assert event_schema(document, "order.void") == schema
    assert event_schema(document, "order.lost") is None
    assert event_schema(Document({"openapi": "3.0.0"}), "order.paid") is None
    assert body_schema(document, document.at("/webhooks/order.paid/post")) == schema
    assert body_schema(document, document.at("/components/schemas/Order")) == order()
    assert told(drift(schema, READS, API)) == []
    for event, said in (("ping", "nothing of a JSON body"), ("pong", "nothing of"), ("round", "circle")):
        with pytest.raises(ValueError, match=said):
            event_schema(document, event)


def test_only_a_whole_document_has_events() -> None:
    assert is_openapi(API)
    assert not is_openapi(order())
    assert not is_openapi([])


NAMES = st.sampled_from(["x", "y"])
LEAVES = st.sampled_from(
    [
        {"type": "string"},
        {"type": ["integer", "null"]},
        {"type": "number"},
        {"enum": ["a", "b"]},
        {"const": "a"},
        {"enum": ["b", None]},
        False,
    ]
)


def closed_objects(properties: Object) -> st.SearchStrategy[Object]:
    """Objects with these properties and no others: what a schema does not mention it does not promise."""
    required = st.lists(NAMES, unique=True, max_size=2)
    same = {"type": "object", "properties": properties, "additionalProperties": False}
    return required.map(lambda each: {**same, "required": each})


def containers(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    objects = st.dictionaries(NAMES, schemas, max_size=2).flatmap(closed_objects)
    arrays = st.fixed_dictionaries({"type": st.just("array"), "items": schemas})
    several = st.lists(schemas, min_size=1, max_size=2)
    mixed = st.sampled_from(["allOf", "anyOf", "oneOf"]).flatmap(
        lambda key: several.map(lambda each: {key: each})
    )
    return objects | arrays | mixed


SCHEMAS = st.recursive(LEAVES, containers, max_leaves=6)
MISSING = object()
VALUES = [MISSING, "a", "c", 1, 1.5, None, {}, {"x": "a"}, {"x": None, "y": "c"}, ["a"], [{"y": 1}]]
BODIES = [
    {name: value for name, value in (("x", x), ("y", y)) if value is not MISSING}
    for x, y in product(VALUES, VALUES)
]
TYPES = st.sampled_from(["string", "integer | null", "number", '"a" | "b"', "object", "array | null"])
PATHS = st.sampled_from(["x", "y", "x.x", "x.y", "x[]", "y.x", "x[].y", "x.y.x"])


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    schema=st.dictionaries(NAMES, SCHEMAS, max_size=2).flatmap(closed_objects),
    reads=st.dictionaries(PATHS, TYPES.flatmap(lambda each: st.sampled_from([each, f"{each} | absent"]))),
)
def test_no_body_that_a_silent_schema_allows_breaks_what_is_read(
    schema: Object, reads: dict[str, str]
) -> None:
    """The other way round from `compare`: what that one finds in a body has to be found in the schema of it."""
    assume(not drift(schema, reads).findings)
    validator = Draft202012Validator(schema)
    allowed = [body for body in BODIES if validator.is_valid(body)]
    samples = [Sample("", "order", body) for body in allowed]
    for found in compare(samples, {"order": known(reads, None)}):
        assert found.findings == ()
