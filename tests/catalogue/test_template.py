"""Templates put together from a provider's data."""

import tomllib

import pytest

from webhookctl.catalogue.template import Node, Template, compose, merged, table
from webhookctl.errors import WebhookctlError

DATA = """
[ids]
cus_ = "alnum 14"

[delivery]
id = "{body.id}"
headers.X-One = "1"

[envelope]
default = { id = "{id:evt_}", data = "{object}" }
bare = {}

[entity.person]
name = "Sample"
address.city = "Sampleville"
address.zip = "1"

[entity.boss]
"$base" = "person"
name = "Boss"

[event."person.created"]
entity = "person"
patch.person.address.zip = "2"
body.extra = true
delivery.headers.X-Two = "2"

[event."person.left"]
envelope = "bare"
"""


def composed(event: str, data: str = DATA) -> Template:
    return compose(tomllib.loads(data), provider="sample", event=event)


def test_an_event_is_its_entity_patched_in_its_envelope() -> None:
    template = composed("person.created")
    assert (template.provider, template.event, template.entity) == ("sample", "person.created", "person")
    assert template.entities["person"] == {"name": "Sample", "address": {"city": "Sampleville", "zip": "2"}}
    assert template.body == {"id": "{id:evt_}", "data": "{object}", "extra": True}
    assert template.identifiers == {"cus_": ("alnum", 14)}


def test_an_entity_based_on_another_has_its_fields_in_its_order_without_its_patch() -> None:
    boss = composed("person.created").entities["boss"]
    assert boss == {"name": "Boss", "address": {"city": "Sampleville", "zip": "1"}}
    assert list(boss) == ["name", "address"]


def test_an_event_adds_to_the_delivery_and_leaves_the_usual_alone() -> None:
    delivery = composed("person.created").delivery
    assert delivery["headers"] == {"X-One": "1", "X-Two": "2"}
    assert (delivery["method"], delivery["target"], delivery["encoding"]) == ("POST", "/", "json")
    assert composed("person.left").delivery["headers"] == {"X-One": "1"}


def test_an_event_may_name_its_envelope() -> None:
    assert composed("person.left").body == {}


def test_the_star_stands_for_any_event() -> None:
    template = composed("whatever.you.like", DATA + '\n[event."*"]\nbody.any = 1\n')
    assert template.event == "whatever.you.like"
    assert isinstance(template.body, dict)
    assert template.body["any"] == 1


@pytest.mark.parametrize(
    "addition",
    [
        '[event.broken]\npatch.nobody.name = "x"',
        '[event.broken]\nenvelope = "gone"',
        '[event.broken]\nenvelope = "gone"\nbody.a = 1',
        '[event.broken]\nentity = "person"\n[entity.lost]\n"$base" = "gone"',
        '[event.broken]\n[entity.one]\n"$base" = "two"\n[entity.two]\n"$base" = "one"',
        "[event]\nbroken = 1",
    ],
)
def test_data_that_names_what_is_not_there_is_refused(addition: str) -> None:
    data = DATA if not addition.startswith("[event]\n") else DATA.partition("[event.")[0]
    with pytest.raises(WebhookctlError) as caught:
        composed("broken", f"{data}\n{addition}\n")
    assert caught.value.code == "template-invalid"


def test_without_an_envelope_an_event_needs_a_body() -> None:
    with pytest.raises(WebhookctlError, match="no envelope 'default'"):
        composed("bare", '[delivery]\nid = "1"\n[event.bare]\n')
    assert composed("bare", '[delivery]\nid = "1"\n[event.bare]\nbody.a = 1\n').body == {"a": 1}


@pytest.mark.parametrize(
    ("base", "over", "expected"),
    [
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, {"a": 1, "b": 3, "c": 4}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 9}}, {"a": {"x": 9, "y": 2}}),
        ({"a": {"x": 1}}, {"a": "{null}"}, {"a": "{null}"}),
        ({"a": "{null}"}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ("{object}", {"a": 1}, {"a": 1}),
    ],
)
def test_tables_are_laid_over_each_other_field_by_field(base: Node, over: Node, expected: Node) -> None:
    before = str(base)
    assert merged(base, over) == expected
    assert str(base) == before


def test_merging_keeps_the_order_of_the_base() -> None:
    assert list(table(merged({"b": 1, "a": 2}, {"c": 3, "a": 4}))) == ["b", "a", "c"]
