"""What has to have happened when the deliveries are over: each kind of effect, now, in time, and never."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.contract.stages import REFUSING, ScriptedStage
from webhookctl.contract.aftermath import Completed, judge_effects
from webhookctl.contract.file import read_contract
from webhookctl.contract.result import Complaint
from webhookctl.errors import UsageError
from webhookctl.model import Request

HEAD = 'version = 1\n[receiver]\nurl = "http://localhost:3000/hooks"\n[mocks.crm]\n[[cases]]\nname = "x"\nsend = "a"\n'
EVENT = {"id": "evt_1", "n": 42}
ORDER = Request("POST", "/orders?x=1", (), b'{"id": "evt_1", "n": 42}')


def valid(schema: object, value: object) -> Sequence[str]:
    return []


def judged(effect: str, stage: ScriptedStage) -> list[Complaint]:
    text = f"{HEAD}effects = [{{ {effect} }}]\n"
    (case,) = read_contract(text.encode(), origin="x.contract.toml", environment={}).cases
    return asyncio.run(judge_effects(case.effects, settle_s=0.5, event=EVENT, witness=stage, validate=valid))


@pytest.mark.parametrize(
    "effect",
    [
        'mock = "crm"',
        'mock = "crm", count = 2',
        'mock = "crm", request = { method = "POST", path = "/orders" }',
        'mock = "crm", request = { path = "/orders?x=1", body = { id = "{event.id}", n = "{event.n}" } }',
        'mock = "crm", count = 0, request = { method = "PUT" }',
        'mock = "crm", count = 0, request = { path = "/other" }',
        'mock = "crm", count = 0, request = { body = { n = 1 } }',
    ],
)
def test_calls_that_are_as_asked_are_silent(effect: str) -> None:
    assert judged(effect, ScriptedStage(called=[ORDER, ORDER])) == []


@pytest.mark.parametrize(
    ("effect", "message", "expected", "received"),
    [
        ('mock = "crm", count = 1', "was called twice", "once", "twice"),
        ('mock = "crm", count = 5', "was called twice", "5 times", "twice"),
        (
            'mock = "crm", request = { method = "PUT" }',
            "was called never in that way, twice in all (the method was POST)",
            "at least one call",
            "never",
        ),
        (
            'mock = "crm", request = { path = "/x" }',
            "was called never in that way, twice in all (the path was /orders?x=1)",
            "at least one call",
            "never",
        ),
        (
            'mock = "crm", request = { body = { n = 1 } }',
            "was called never in that way, twice in all (body.n is another: 42 for 1)",
            "at least one call",
            "never",
        ),
    ],
)
def test_calls_that_are_not_as_asked_are_told(
    effect: str, message: str, expected: str, received: str
) -> None:
    (complaint,) = judged(effect, ScriptedStage(called=[ORDER, ORDER]))
    assert (complaint.what, complaint.message) == ("mock crm", message)
    assert (complaint.expected, complaint.received) == (expected, received)
    assert complaint.place is not None
    assert complaint.place.line == 8


def test_a_count_is_believed_only_after_it_was_quiet() -> None:
    stage = ScriptedStage(called=[ORDER], late_calls=[(0.3, ORDER)])
    (complaint,) = judged('mock = "crm", count = 1', stage)
    assert (complaint.received, stage.slept_s) == ("twice", [0.5])
    assert judged('mock = "crm"', ScriptedStage(called=[ORDER])) == []


def test_what_comes_in_time_is_waited_for_and_no_longer() -> None:
    stage = ScriptedStage(late_calls=[(1.0, ORDER)])
    assert judged('mock = "crm", eventually = "3s"', stage) == []
    assert 1.0 <= stage.clock_s < 1.2
    late = ScriptedStage(late_calls=[(4.0, ORDER)])
    (complaint,) = judged('mock = "crm", eventually = "3s"', late)
    assert complaint.message == "was called never"
    assert 3.0 <= late.clock_s < 3.2


def test_a_count_that_is_reached_has_to_stay() -> None:
    stage = ScriptedStage(late_calls=[(1.0, ORDER), (1.3, ORDER)])
    (complaint,) = judged('mock = "crm", count = 1, eventually = "3s"', stage)
    assert complaint.received == "twice"


def test_what_must_never_come_is_looked_for_the_whole_time() -> None:
    quiet = ScriptedStage()
    assert judged('mock = "crm", never = "2s"', quiet) == []
    assert 2.0 <= quiet.clock_s < 2.2
    (complaint,) = judged('mock = "crm", never = "2s"', ScriptedStage(late_calls=[(1.5, ORDER)]))
    assert (complaint.message, complaint.expected) == ("came to be after 1.5 s", "not within 2 s")


@pytest.mark.parametrize(
    ("effect", "done"),
    [
        ('command = "q"', Completed("", 0)),
        ('command = "q", stdout = "1"', Completed(" 1\n", 0)),
        ('command = "q", matches = "^[0-9]+ rows"', Completed("12 rows\n", 0)),
        ('command = "q", exit = 3', Completed("", 3)),
        ('command = "q", never = "1s"', Completed("", 1)),
    ],
)
def test_a_command_that_does_as_asked_is_silent(effect: str, done: Completed) -> None:
    assert judged(effect, ScriptedStage(command=lambda _: done)) == []


@pytest.mark.parametrize(
    ("effect", "done", "message", "expected", "received"),
    [
        ('command = "q"', Completed("out", 2), "exited with 2: out", "0", "2"),
        ('command = "q"', Completed("out", 2, "why"), "exited with 2: why", "0", "2"),
        ('command = "q"', Completed("", -9), "exited with -9", "0", "-9"),
        ('command = "q", stdout = "1"', Completed("2\n", 0), "printed something else", "1", "2"),
        ('command = "q", matches = "^1"', Completed("2\n", 0), "printed something else", "^1", "2"),
        (
            'command = "q"',
            Completed("", -1, problem="no such file"),
            "no such file",
            "a command that runs",
            "",
        ),
    ],
)
def test_a_command_that_does_not_is_told(
    effect: str, done: Completed, message: str, expected: str, received: str
) -> None:
    (complaint,) = judged(effect, ScriptedStage(command=lambda _: done))
    assert (complaint.what, complaint.message) == ("command q", message)
    assert (complaint.expected, complaint.received) == (expected, received)


def test_a_command_is_given_what_the_delivery_says() -> None:
    stage = ScriptedStage()
    judged('command = ["q", "{event.id}"]', stage)
    assert stage.ran[0].arguments == ("q", "evt_1")


def test_state_is_asked_over_http() -> None:
    stage = ScriptedStage()
    assert judged('get = "/orders/{event.id}", status = 200, body = { ok = true }', stage) == []
    assert stage.gotten == ["/orders/evt_1"]
    (complaint,) = judged('get = "/x", status = 404', ScriptedStage())
    assert (complaint.what, complaint.message) == ("get /x status", "answered 200")
    (refused,) = judged('get = "/x"', ScriptedStage(get_answer=lambda _: REFUSING))
    assert (refused.what, refused.message) == ("get /x", REFUSING.message)


def test_state_may_take_its_time() -> None:
    stage = ScriptedStage(get_answer=lambda stage: 200 if stage.clock_s >= 1 else 404)
    assert judged('get = "/x", status = 200, eventually = "2s"', stage) == []
    (complaint,) = judged('get = "/x", status = 200, never = "2s"', replace(stage, clock_s=0.0, slept_s=[]))
    assert complaint.what == "get /x"


def test_a_command_that_comes_to_succeed_when_it_never_should_is_named() -> None:
    (complaint,) = judged('command = "q", never = "1s"', ScriptedStage())
    assert complaint.what == "command q"


def test_a_field_that_the_delivery_has_not_is_an_error() -> None:
    with pytest.raises(UsageError, match="has no gone"):
        judged('get = "/{event.gone}"', ScriptedStage())
