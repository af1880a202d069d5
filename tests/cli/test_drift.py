"""`webhookctl drift` on fixtures and the history: what it prints, and the exit codes."""

import json

import pytest

from tests.cli.commands import Delivery, Project, run
from tests.cli.test_machine_output import validator
from tests.cli.test_startup import HEAVY, imported

CONTRACT = 'version = 1\n[receiver]\nurl = "http://localhost:1"\n[reads.push]\nref = "string"\n'


def fixture(project: Project, folder: str, name: str, **body: object) -> None:
    toml = 'format = 1\nprovider = "github"\nevent = "push"\n[request]\nmethod = "POST"\ntarget = "/"\n'
    toml += f'body = "{name}.body.json"\nbody_recipe = "raw"\n'
    project.write(f"{folder}/github/{name}.toml", toml)
    project.write(f"{folder}/github/{name}.body.json", json.dumps(body))


def test_breaks_and_notices_are_told_apart_with_the_capture_that_had_them_first(project: Project) -> None:
    for number in range(3):
        fixture(project, "fixtures", f"push-{number}", ref="main", size=number)
    fixture(project, "fresh", "one", ref="main", size=1)
    fixture(project, "fresh", "three", ref=None, size="big", extra=1)
    fixture(project, "fresh", "two", ref=5, size=1)
    project.write("a.contract.toml", CONTRACT)
    result = run("drift", "fresh", "--contract", "a.contract.toml", "--against", "fixtures", "--plain")
    assert result.exit_code == 1
    assert (
        result.text
        == """push  3 captures
  BREAKING ref  is null, it was string
             in github/three
  BREAKING ref  is integer, it was string
             in github/two
  notice   extra  is new: integer
             in github/three
  notice   size  is string, it was integer
             in github/three
  ok       0 of 2 paths are as they were
2 breaking, 2 notices
"""
    )


def test_nothing_but_notices_is_no_finding(project: Project) -> None:
    fixture(project, "fixtures", "push", ref="main")
    fixture(project, "fresh", "one", ref="main", extra=1)
    result = run("drift", "fresh", "--against", "fixtures")
    assert (result.exit_code, "nothing breaking, 1 notice" in result.text) == (0, True)


def test_the_history_is_looked_at_and_may_be_limited_to_events(project: Project) -> None:
    project.write("a.contract.toml", CONTRACT)
    project.record(
        Delivery(b'{"ref": "main"}', provider="github", event="push"),
        Delivery(b"{}", provider="github", event="ping"),
        Delivery(b"no json", provider="github", event="push"),
    )
    both = run("drift", "--contract", "a.contract.toml", "--json")
    assert [each["event"] for each in both.data["events"]] == ["ping", "push"]
    assert (both.exit_code, both.data["is_breaking"]) == (1, True)
    assert both.data["events"][0]["findings"][0]["change"] == "unknown-event"
    ping = run("drift", "--contract", "a.contract.toml", "-e", "ping")
    assert (ping.exit_code, "nothing is known of this event" in ping.text) == (0, True)
    assert run("drift", "#1", "--contract", "a.contract.toml").exit_code == 0


def test_what_came_from_outside_is_made_safe(project: Project) -> None:
    project.write("a.contract.toml", CONTRACT.replace("ref =", '"a\\u001b[31m\\u202e" ='))
    project.record(Delivery(b"{}", provider="github", event="push"))
    text = run("drift", "--contract", "a.contract.toml").text
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "nothing to compare with"),
        (["--contract", "a.contract.toml"], 4, "nothing is recorded"),
        (["--contract", "none.toml"], 2, "cannot be read"),
        (["--contract", "empty.contract.toml"], 2, "contract learn"),
        (["-", "--contract", "a.contract.toml"], 2, "standard input"),
        (["nowhere", "--contract", "a.contract.toml"], 4, "error:"),
        (["fresh", "-e", "other", "--contract", "a.contract.toml"], 4, "no delivery to look at"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_hint(
    project: Project, arguments: list[str], code: int, said: str
) -> None:
    fixture(project, "fresh", "one", ref="main")
    project.write("a.contract.toml", CONTRACT)
    project.write("empty.contract.toml", 'version = 1\n[receiver]\nurl = "http://localhost:1"\n')
    result = run("drift", *arguments)
    assert (result.exit_code, said in result.errors) == (code, True), result.errors


def test_fixtures_are_compared_without_network_or_event_loop(project: Project) -> None:
    fixture(project, "fresh", "one", ref="main")
    project.write("a.contract.toml", CONTRACT)
    modules, text = imported("drift", "fresh", "--contract", "a.contract.toml")
    assert "nothing breaking" in text
    assert not modules & HEAVY


SHOP = """version = 1
[receiver]
url = "http://localhost:1"
[reads."order.paid"]
id = "string"
total = "integer"
status = '"open" | "paid"'
[reads."order.void"]
id = "string"
"""
ORDER = {
    "type": "object",
    "properties": {
        "id": {"type": ["string", "null"]},
        "status": {"enum": ["paid", "\u202evoid"]},
        "new": {"type": "string"},
    },
    "required": ["id", "status"],
    "additionalProperties": False,
}


def described(*events: str) -> str:
    """An OpenAPI document with a webhook for each event."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}
    webhooks = {event: {"post": {"requestBody": {"content": content}}} for event in events}
    return json.dumps({"openapi": "3.1.0", "webhooks": webhooks, "components": {"schemas": {"Order": ORDER}}})


def test_a_schema_is_compared_with_what_is_read(project: Project) -> None:
    project.write("shop.contract.toml", SHOP)
    project.write("api.json", described("order.paid", "order.new"))
    result = run("drift", "--against", "api.json", "--contract", "shop.contract.toml", "--plain")
    assert result.exit_code == 1
    assert (
        result.text
        == """order.paid  its schema
  BREAKING id  is string | null, it was string
             in api.json
  BREAKING status  is "<U+202E>void", it was "open" | "paid"
             in api.json
  BREAKING total  vanished, it was integer
             in api.json
  notice   status  is never "open", it was "open" | "paid"
             in api.json
  ok       0 of 3 paths are as they were
order.void  its schema
  notice   nothing is known of this event
             in api.json
3 breaking, 2 notices
"""
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["api.json", "--event", "order.paid"],
        ["api.json#/webhooks/order.paid"],
        ["api.json#/webhooks/order.paid/post", "--event", "order.paid"],
        ["api.json#/components/schemas/Order", "--event", "order.paid"],
        ["order.json", "--event", "order.paid"],
        ["order.json#", "--event", "order.paid"],
    ],
)
def test_the_schema_of_one_event_is_found_wherever_it_is_described(
    project: Project, arguments: list[str]
) -> None:
    project.write("shop.contract.toml", SHOP)
    project.write("api.json", described("order.paid"))
    project.write("order.json", json.dumps(ORDER))
    result = run("drift", "--against", *arguments, "--contract", "shop.contract.toml", "--json")
    validator("drift").validate(result.envelope)
    (event,) = result.data["events"]
    assert (result.exit_code, event["event"], event["captures"]) == (1, "order.paid", 0)
    assert {(each["path"], each["change"]) for each in event["findings"]} == {
        ("id", "null"),
        ("status", "value"),
        ("status", "value-gone"),
        ("total", "vanished"),
    }


def test_a_schema_that_promises_what_is_read_is_no_finding(project: Project) -> None:
    project.write("a.contract.toml", CONTRACT)
    schema = {"type": "object", "properties": {"ref": {"type": "string"}}, "required": ["ref"]}
    project.write("push.json", json.dumps(schema))
    result = run("drift", "--against", "push.json", "--contract", "a.contract.toml")
    assert (result.exit_code, "nothing breaking, 0 notices" in result.text) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--against", "api.json"], "nothing else"),
        (["fresh", "--against", "api.json", "--contract", "shop.contract.toml"], "nothing else"),
        (["--against", "api.json", "--against", "fresh", "--contract", "shop.contract.toml"], "nothing else"),
        (["--against", "api.json", "-e", "order.payd", "--contract", "shop.contract.toml"], "order.paid?"),
        (["--against", "order.json", "--contract", "shop.contract.toml"], "--event NAME"),
        (["--against", "other.json", "--contract", "shop.contract.toml"], "no webhook named order.paid or"),
        (
            ["--against", "api.json#/nowhere", "-e", "order.paid", "--contract", "shop.contract.toml"],
            "nowhere",
        ),
        (["--against", "deep.json", "-e", "order.paid", "--contract", "shop.contract.toml"], "deep.json"),
        (["--against", "none.json#/a", "--contract", "shop.contract.toml"], "cannot be read"),
        (["--against", "none.json", "--contract", "shop.contract.toml"], "cannot be read"),
        (["--against", "broken.json", "--contract", "shop.contract.toml"], "is no JSON"),
        (["--against", "body.json", "-e", "order.paid", "--contract", "shop.contract.toml"], "what a body"),
        (["--against", "large.json", "--contract", "shop.contract.toml"], "larger than"),
        (["--against", "api.yaml", "--contract", "shop.contract.toml"], "yq"),
    ],
)
def test_a_schema_that_cannot_be_compared_is_refused_with_a_hint(
    project: Project, arguments: list[str], said: str
) -> None:
    fixture(project, "fresh", "one", ref="main")
    project.write("shop.contract.toml", SHOP)
    project.write("api.json", described("order.paid"))
    project.write("other.json", described("else"))
    project.write("order.json", json.dumps(ORDER))
    project.write("deep.json", '{"allOf": [' * 400 + "true" + "]}" * 400)
    project.write("broken.json", "{")
    project.write("body.json", '{"id": "evt_1"}')
    with (project.folder / "large.json").open("wb") as large:
        large.truncate(64 * 1024 * 1024 + 1)
    project.write("api.yaml", "openapi: 3.1.0")
    result = run("drift", *arguments)
    assert (result.exit_code, said in result.errors) == (2, True), result.errors
