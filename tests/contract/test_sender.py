"""Attempts of senders judged: what came in is written down here, time stands still but for sleep."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from webhookctl.contract.aftermath import Completed
from webhookctl.contract.model import (
    Call,
    Case,
    Command,
    Contract,
    Receiver,
    Reply,
    Sender,
    SenderExpectation,
    Signer,
)
from webhookctl.contract.result import CaseResult, Outcome, Place
from webhookctl.contract.sender import PATH, Received, play_sender
from webhookctl.errors import UsageError
from webhookctl.model import Attempt, Failure, FailureKind, Request, Response, Verdict, VerdictKind

NOW_S = 1_790_000_000.0
OK = Verdict(VerdictKind.OK, "acme", "ok")


def attempt(at_s: float = 0.0, **changes: Any) -> Received:
    """An attempt that comes `at_s` after the start."""
    base = Received(
        request=Request("POST", PATH, ((b"X-Kind", b"order"),), b'{"id": 1}'),
        received_at_s=NOW_S + at_s,
        answer=Response(200, "", (), b""),
        took_ms=1.0,
        verdict=OK,
        delivery_id="msg_1",
        signed_at_s=NOW_S + at_s,
    )
    return replace(base, **changes)


@dataclass
class Ear:
    """What comes in, in time; how what sets the sender off ends."""

    comes: Sequence[Received] = ()
    done: Completed | UsageError = field(default_factory=lambda: Completed("", 0))
    called: Attempt = field(default_factory=lambda: Attempt("", 0, 0, Response(202, "", (), b"")))
    listener_url: str = "http://127.0.0.1:1/webhooks"
    passed_s: float = 0.0
    answers: Sequence[Reply] = ()

    def listen(self, answers: Sequence[Reply]) -> None:
        self.answers = answers

    def received(self) -> Sequence[Received]:
        return [each for each in self.comes if each.received_at_s <= NOW_S + self.passed_s]

    async def run(self, command: Command) -> Completed:
        if isinstance(self.done, UsageError):
            raise self.done
        return self.done

    async def call(self, call: Call) -> Attempt:
        return self.called

    def output(self) -> str:
        return "the service's last words"

    def now_s(self) -> float:
        return NOW_S + self.passed_s

    def monotonic_s(self) -> float:
        return self.passed_s

    async def sleep(self, seconds: float) -> None:
        self.passed_s += seconds
        await asyncio.sleep(0)


def played(ear: Ear, expect: SenderExpectation, **changes: Any) -> CaseResult:
    sender = Sender(Command(("notify",)), within_s=changes.pop("within_s", 5.0), expect=expect)
    sender = replace(sender, **{key: changes.pop(key) for key in ("trigger", "quiet_s") if key in changes})
    case = Case("a case", (), sender=sender, place=Place("", 3, 1), **changes)
    contract = Contract("a.contract.toml", Receiver(""), Signer(), sends=(case,), settle_s=0.1)
    return asyncio.run(play_sender(contract, case, ear, validate=lambda *_: ()))


def complaints(result: CaseResult) -> list[tuple[str, str]]:
    assert result.outcome is (Outcome.FAILED if result.complaints else result.outcome)
    return [(each.what, each.message) for each in result.complaints]


def test_one_attempt_is_enough_where_no_number_is_asked_for() -> None:
    result = played(Ear([attempt(0.5)]), SenderExpectation())
    assert result.outcome is Outcome.PASSED
    assert 0.5 < result.duration_s < 0.7
    assert result.contract == Place("a.contract.toml", 3, 1)
    (delivered,) = result.deliveries
    assert delivered.label == "attempt 1"
    assert round(delivered.offset_s, 3) == 0.5
    assert delivered.attempt.status == 200


def test_none_at_all_is_a_failure_unless_none_is_asked_for() -> None:
    assert complaints(played(Ear(), SenderExpectation()))[0][0] == "attempts"
    assert played(Ear(), SenderExpectation(attempts=0)).outcome is Outcome.PASSED
    assert played(Ear([attempt()]), SenderExpectation(attempts=0)).outcome is Outcome.FAILED


def test_the_number_of_attempts_is_believed_only_after_quiet() -> None:
    ear = Ear([attempt(0.0), attempt(1.0), attempt(1.4)])
    assert complaints(played(replace(ear), SenderExpectation(attempts=2))) == []
    late = played(replace(ear), SenderExpectation(attempts=2), quiet_s=0.5)
    assert complaints(late) == [("attempts", "made 3 attempts in 1.9 s")]
    assert (late.complaints[0].expected, late.complaints[0].received) == ("2", "3")


def test_too_few_attempts_are_waited_for_until_the_time_is_over() -> None:
    result = played(Ear([attempt(0.0)]), SenderExpectation(attempts=2), within_s=3.0)
    assert complaints(result)[0] == ("attempts", "made one attempt in 3.1 s")
    assert result.output == "the service's last words"


def test_every_attempt_has_to_be_signed() -> None:
    bad = Verdict(VerdictKind.WRONG_SECRET, "acme", "no secret fits")
    ear = Ear([attempt(), attempt(0.1, verdict=bad)])
    assert complaints(played(ear, SenderExpectation(attempts=2, is_signed=True))) == [
        ("signature of attempt 2", "no secret fits")
    ]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (("a", "a"), ""),
        (("a", "b"), "attempts carry different ids: nobody can tell retries from news"),
        (("a", None), "attempt 2 carries no id"),
    ],
)
def test_ids_have_to_stay(ids: tuple[str | None, ...], said: str) -> None:
    ear = Ear([attempt(number / 10, delivery_id=each) for number, each in enumerate(ids)])
    found = complaints(played(ear, SenderExpectation(attempts=2, same_id=True)))
    assert found == ([("same_id", said)] if said else [])


def test_each_attempt_is_stamped_when_it_is_sent() -> None:
    expect = SenderExpectation(attempts=2, fresh_timestamp=True)
    assert played(Ear([attempt(), attempt(3.0)]), expect).outcome is Outcome.PASSED
    stale = played(Ear([attempt(), attempt(3.0, signed_at_s=NOW_S)]), expect)
    assert complaints(stale) == [("fresh_timestamp", "attempt 2 was signed 3 s ago")]
    ahead = played(Ear([attempt(signed_at_s=NOW_S + 60), attempt(0.1)]), expect)
    assert complaints(ahead) == [("fresh_timestamp", "attempt 1 was signed 60 s ahead")]
    silent = played(Ear([attempt(signed_at_s=None), attempt(0.1)]), expect)
    assert complaints(silent) == [("fresh_timestamp", "attempt 1 does not say when it was signed")]


def test_attempts_of_one_moment_cannot_show_that_each_is_stamped_anew() -> None:
    ear = Ear([attempt(), attempt(0.5, signed_at_s=NOW_S)])
    result = played(ear, SenderExpectation(attempts=2, fresh_timestamp=True))
    assert (result.outcome, "cannot be told" in result.reason) == (Outcome.UNSURE, True)


@pytest.mark.parametrize(
    ("times", "outcome"),
    [
        ((0.0, 0.1, 0.3, 0.7), Outcome.PASSED),
        ((0.0, 0.1, 0.2, 0.3), Outcome.FAILED),
        ((0.0, 0.4, 0.7, 1.5), Outcome.PASSED),
        ((0.0, 0.4, 0.5, 1.5), Outcome.FAILED),
        ((0.0, 0.4, 0.7, 1.1), Outcome.FAILED),
        ((0.0, 0.1), Outcome.UNSURE),
    ],
)
def test_gaps_have_to_grow(times: tuple[float, ...], outcome: Outcome) -> None:
    ear = Ear([attempt(each) for each in times])
    assert played(ear, SenderExpectation(attempts=len(times), backoff=True)).outcome is outcome


def test_what_is_requested_elsewhere_is_a_redirect_followed_and_no_attempt() -> None:
    astray = attempt(0.1, request=Request("GET", f"{PATH}/elsewhere", (), b""))
    ear = Ear([attempt(), astray])
    expect = SenderExpectation(attempts=1)
    assert played(replace(ear), expect).outcome is Outcome.PASSED
    strict = played(ear, replace(expect, no_redirect_followed=True))
    assert complaints(strict) == [("no_redirect_followed", "followed the redirect")]


@pytest.mark.parametrize(
    ("ear", "changes", "said"),
    [
        (Ear(done=Completed("said", 3, "broken")), {}, "notify exited with 3: broken"),
        (Ear(done=Completed("", -1, problem="no such program")), {}, "no such program"),
        (Ear(done=UsageError("x", "cannot", "do so")), {}, "cannot; do so"),
        (
            Ear(called=Attempt("", 0, 0, failure=Failure(FailureKind.REFUSED, "it refuses"))),
            {"trigger": Call("POST", "http://x")},
            "POST http://x: it refuses",
        ),
        (
            Ear(called=Attempt("", 0, 0, Response(404, "", (), b""))),
            {"trigger": Call("POST", "http://x")},
            "POST http://x: answered 404",
        ),
    ],
)
def test_what_never_set_it_off_is_an_error_that_is_told_at_once(
    ear: Ear, changes: dict[str, Any], said: str
) -> None:
    result = played(ear, SenderExpectation(attempts=1), **changes)
    assert (result.outcome, result.reason) == (Outcome.ERROR, said)
    assert result.duration_s < 1


def test_a_command_that_ends_badly_after_it_sent_is_judged_by_what_it_sent() -> None:
    ear = Ear([attempt()], done=Completed("", 1, "refused with 410"))
    assert played(ear, SenderExpectation(attempts=1)).outcome is Outcome.PASSED


def test_a_case_that_is_skipped_sets_nothing_off() -> None:
    result = played(Ear(), SenderExpectation(), skip="later")
    assert (result.outcome, result.reason, result.deliveries) == (Outcome.SKIPPED, "later", ())
