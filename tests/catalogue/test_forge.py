"""Placeholders filled in, and the body in its wire form."""

import json
import tomllib
from typing import Any
from urllib.parse import parse_qs

import pytest

from webhookctl.catalogue.forge import Forged, build
from webhookctl.catalogue.template import compose
from webhookctl.errors import WebhookctlError

NOW_S = 1_769_850_307.25  # 2026-01-31T09:05:07.25Z


def forged(toml: str, *, event: str = "thing.made", seed: int = 1, now_s: float = NOW_S) -> Forged:
    head = "" if "[delivery]" in toml else '[delivery]\nid = "{uuid}"\n'
    heading = f'[event."{event}"]'
    text = head + toml if heading in toml else f"{head}{heading}\n{toml}"
    return build(compose(tomllib.loads(text), provider="sample", event=event), seed=seed, now_s=now_s)


def payload(toml: str, *, event: str = "thing.made", seed: int = 1) -> Any:
    return json.loads(forged(toml, event=event, seed=seed).body)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{null}", None),
        ("{event}", "thing.made"),
        ("{event:2}", "made"),
        ("is {event:1}", "is thing"),
        ("{now}", 1_769_850_307),
        ("{now-1h}", 1_769_846_707),
        ("{now:iso-ms}", "2026-01-31T09:05:07.250Z"),
        ("{now+1d:date}", "2026-02-01"),
        ("{thing.size}", 7),
        ("size {thing.size}", "size 7"),
        ("{text:thing.size}", "7"),
        ("{thing.parts.1}", "lid"),
        ("{thing.inner.size}", 3),
        ("{thing.inner}", {"size": 3}),
        ("{object:inner}", {"size": 3}),
        ("{sum:thing.size}", 7),
        ("{sum:2 * thing.size + inner.size - 4}", 13),
        ("{sum:0 - thing.size}", -7),
        ("{money:100 * thing.size + 5}", "7.05"),
        ("{money:5}", "0.05"),
        ("{money:0 - 105}", "-1.05"),
        ("{{thing}}", "{thing}"),
    ],
)
def test_a_placeholder_has_its_value_and_alone_keeps_its_type(text: str, value: object) -> None:
    entities = '[entity.thing]\nsize = 7\nparts = ["box", "lid"]\ninner = "{object:inner}"\n[entity.inner]\nsize = 3\n'
    assert payload(f'body.value = "{text}"\n{entities}')["value"] == value


def test_the_object_is_the_events_own_entity_also_on_a_path() -> None:
    data = (
        'entity = "thing"\nbody.data = "{object}"\nbody.size = "{body.data.size}"\n[entity.thing]\nsize = 7\n'
    )
    assert payload(data) == {"data": {"size": 7}, "size": 7}


def test_a_body_can_be_the_bare_object() -> None:
    data = 'entity = "thing"\nbody = "{object}"\ndelivery.id = "{body.size}"\n[entity.thing]\nsize = 7\n'
    assert payload(data) == {"size": 7}
    assert forged(data).delivery_id == "7"


def test_a_dot_alone_refers_to_the_entity_that_was_based_on_another() -> None:
    entities = '[entity.one]\nname = "one"\nurl = "/{.name}"\n[entity.two]\n"$base" = "one"\nname = "two"\n'
    data = 'body.it = "{object:two}"\n' + entities
    assert payload(data) == {"it": {"name": "two", "url": "/two"}}


def test_the_same_id_stands_everywhere_and_differs_by_prefix_name_and_seed() -> None:
    fields = 'body.a = "{id:x_}"\nbody.b.c = ["{id:x_}"]\nbody.d = "{id:y_}"\nbody.e = "{id:x_#other}"\n'
    data = fields + '[ids]\ny_ = "digits 5"\n'
    one, two = payload(data, seed=1), payload(data, seed=2)
    assert one["a"] == one["b"]["c"][0]
    assert len({one["a"], one["d"], one["e"], two["a"]}) == 4
    assert (len(one["a"]), len(one["d"])) == (2 + 24, 2 + 5)
    assert one["d"][2:].isdecimal()


def test_an_entity_is_the_same_wherever_it_stands_and_in_every_event() -> None:
    fields = 'body.a = "{object:thing}"\nbody.b = ["{object:thing}", "{thing.number}"]\n'
    data = fields + '[entity.thing]\nnumber = "{integer:1..999999}"\n'
    first, second = payload(data), payload(data, event="thing.broken")
    assert first["a"] == first["b"][0] == second["a"]
    assert first["a"]["number"] == first["b"][1]


def test_what_is_of_the_event_alone_differs_between_two_events_of_a_seed() -> None:
    data = 'body.id = "{id:evt_#event}"\nbody.key = "{uuid}"\nbody.about = "{id:x_}"\n'
    first, second = forged(data), forged(data, event="thing.broken")
    one, two = json.loads(first.body), json.loads(second.body)
    assert first.delivery_id != second.delivery_id
    assert one["id"] != two["id"]
    assert one["key"] != two["key"]
    assert one["about"] == two["about"]


def test_a_new_field_changes_no_other_value() -> None:
    fields = 'body.a = "{hex:8}"\nbody.b = "{integer:1..99999}-{digits:4}"\nbody.c = ["{choice:x|y|z}", "{alnum:9}"]\n'
    before = payload(fields)
    after = payload('body.new = "{hex:8}"\n' + fields)
    assert {**before, "new": after["new"]} == after
    assert after["new"] != after["a"]


def test_a_name_joins_values_of_different_places_and_lengths() -> None:
    value = payload('body.long = "{hex:40 #head}"\nbody.short = "{hex:7 #head}"\nbody.other = "{hex:7}"\n')
    assert value["long"].startswith(value["short"])
    assert not value["long"].startswith(value["other"])


def test_every_choice_and_alphabet_occurs() -> None:
    data = 'body.choice = "{choice:a|b c}"\nbody.upper = "{upper:30}"\n'
    payloads = [payload(data, seed=seed) for seed in range(20)]
    assert {one["choice"] for one in payloads} == {"a", "b c"}
    assert all(one["upper"].isalnum() and one["upper"].upper() == one["upper"] for one in payloads)


def test_the_same_seed_and_time_give_the_same_delivery() -> None:
    data = 'body.a = "{uuid}"\nbody.now = "{now}"\n'
    assert forged(data) == forged(data)
    assert forged(data).body != forged(data, now_s=NOW_S + 1).body
    assert forged(data).body != forged(data, seed=2).body


def test_a_body_is_compact_raw_utf8_unless_the_provider_writes_another_form() -> None:
    field = 'body.a = ["é/&", {}]\n'
    delivery = '[delivery]\nid = "1"\n'
    assert forged(field).body == '{"a":["é/&",{}]}'.encode()
    pretty = forged(f"{delivery}indent = 2\n[event.'thing.made']\n{field}".replace("'", '"')).body
    assert pretty == '{\n  "a": [\n    "é/&",\n    {}\n  ]\n}'.encode()
    slack = f'{delivery}is_ascii = true\nescapes."/" = \'\\/\'\n[event."thing.made"]\n{field}'
    assert forged(slack).body == b'{"a":["\\u00e9\\/&",{}]}'


def test_a_form_carries_the_json_in_its_payload_field() -> None:
    made = forged('body.a = "é &=+"\ndelivery.encoding = "form"\n')
    assert made.body.startswith(b"payload=%7B%22a%22%3A%22")
    assert json.loads(parse_qs(made.body.decode(), strict_parsing=True)["payload"][0]) == {"a": "é &=+"}


def test_headers_keep_their_order_and_the_id_is_the_deliverys() -> None:
    data = '[delivery]\nid = "{uuid}"\nheaders.B = "{.id}"\nheaders.A = "{event:1}"\n[event."thing.made"]\nbody.a = 1\n'
    made = forged(data)
    assert made.headers == ((b"B", made.delivery_id.encode()), (b"A", b"thing"))
    assert (made.provider, made.event, made.method, made.target) == ("sample", "thing.made", "POST", "/")


@pytest.mark.parametrize(
    "data",
    [
        'body.a = "{nonsense}"',
        'body.a = "{gone.id}"',
        'body.a = "{object:gone}"',
        'body.a = "{.b}"',
        'body.a = ["{body.a.7}"]',
        'body.a = "{body.a}"',
        'body.a = "{.b}"\nbody.b = "{.a}"',
        'body.a = "{object:one}"\n[entity.one]\na = "{object:one}"',
        'body.a = "{now:sundial}"',
        'body.a = "{sum:.b}"\nbody.b = "text"',
        'body.a = "{sum:1 * x}"',
        'body.a = "{hex:many}"',
        'body.a = "{integer:5}"',
        'body.a = "{event:3}"',
        'body.a = 1\ndelivery.encoding = "xml"',
        'body.a = 1\ndelivery.headers.X = "é"',
        "body.a = 2026-01-31",
    ],
)
def test_a_template_that_makes_no_sense_is_refused_as_a_bug_of_ours(data: str) -> None:
    with pytest.raises(WebhookctlError) as caught:
        forged(data + "\n")
    assert caught.value.code == "template-invalid"
    assert caught.value.hint
