"""{event.path} in the texts that ask about a delivery."""

import pytest

from webhookctl.contract.event import document, filled, filled_effect
from webhookctl.contract.model import (
    BodyExpectation,
    Command,
    CommandEffect,
    Expectation,
    HttpEffect,
    MockEffect,
)
from webhookctl.errors import UsageError

EVENT = {"id": "a b'; rm", "n": 42, "list": [{"x": "first"}], "none": None}


def test_a_body_is_read_as_json_or_as_a_form() -> None:
    assert document(b'{"a": 1}') == {"a": 1}
    assert document(b"a=1&b=x%20y") == {"a": "1", "b": "x y"}
    assert document(b"\xff") is None
    assert document(b"[" * 100_000) is None


def test_paths_lead_into_objects_and_lists() -> None:
    assert filled("{event.list.0.x} {event.n} {event.none} {port} {}", EVENT) == "first 42 null {port} {}"


@pytest.mark.parametrize("path", ["nothing", "list.1.x", "list.x", "id.0", "n.x"])
def test_a_field_that_is_not_there_is_an_error_with_its_name(path: str) -> None:
    with pytest.raises(UsageError, match=f"has no {path}") as caught:
        filled(f"{{event.{path}}}", EVENT)
    assert caught.value.code == "event-field-missing"


def test_the_request_of_a_mock_is_filled_and_values_keep_their_type() -> None:
    effect = MockEffect(
        "crm",
        path="/orders/{event.id}",
        body=BodyExpectation(
            subset={"n": "{event.n}", "text": "n={event.n}", "list": ["{event.list.0.x}", 1]},
            text="{event.n}",
            matches=r"^{event.id}\d$",
        ),
    )
    made = filled_effect(effect, EVENT)
    assert isinstance(made, MockEffect)
    assert made.path == "/orders/a%20b%27%3B%20rm"
    assert made.body.subset == {"n": 42, "text": "n=42", "list": ["first", 1]}
    assert made.body.text == "42"
    assert made.body.matches == r"^a\ b';\ rm\d$"


def test_the_url_of_a_state_is_filled_and_quoted() -> None:
    effect = HttpEffect(
        "/state/{event.id}?n={event.n}", Expectation(body=BodyExpectation(exactly={"n": "{event.n}"}))
    )
    made = filled_effect(effect, EVENT)
    assert isinstance(made, HttpEffect)
    assert (made.url, made.expect.body.exactly) == ("/state/a%20b%27%3B%20rm?n=42", {"n": 42})


def test_a_command_gets_events_as_arguments_and_a_shell_gets_them_quoted() -> None:
    plain = Command(("show", "{event.id}"), {"ID": "{event.id}"})
    made = filled_effect(CommandEffect(plain, stdout="{event.id}", matches="{event.id}"), EVENT)
    assert isinstance(made, CommandEffect)
    assert made.command.arguments == ("show", EVENT["id"])
    assert made.command.environment == {"ID": EVENT["id"]}
    assert (made.stdout, made.matches) == (EVENT["id"], r"a\ b';\ rm")
    shell = filled_effect(CommandEffect(Command(("show {event.id}",), is_shell=True)), EVENT)
    assert isinstance(shell, CommandEffect)
    assert shell.command.arguments == ("show 'a b'\"'\"'; rm'",)
