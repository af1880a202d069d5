"""`webhookctl drift` on fixtures and the history: what it prints, and the exit codes."""

import json

import pytest

from tests.cli.commands import Delivery, Project, run
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
