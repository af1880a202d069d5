"""Reads found by taking fields away from deliveries to receivers that are functions."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import pytest

from webhookctl import jsontext
from webhookctl.contract.learn import Learned, Reaction, Reading, learn, merged
from webhookctl.errors import EndpointError, SignatureError, UsageError
from webhookctl.model import Attempt, Failure, FailureKind, Request, Response

EVENT = {
    "id": "evt_0",
    "type": "order.paid",
    "data": {"total": 10, "note": None, "lines": [{"sku": "a", "count": 1}, {"sku": "b", "count": 2}]},
    "live": False,
}
Answer = tuple[int, object] | tuple[int, object, Sequence[object]]
Receiver = Callable[[Any], Answer]


class Subject:
    """Deliveries to `receiver`; what it answers is status, body and calls. KeyError and the like are a 500."""

    def __init__(self, receiver: Receiver, event: object = EVENT, *, has_fresh_id: bool = True) -> None:
        self.body = json.dumps(event).encode()
        self._receiver = receiver
        self._ids = count(1) if has_fresh_id else None
        self.seen: list[Any] = []

    async def react(
        self, assignments: Sequence[tuple[str, bytes]], removals: Sequence[str], *, calls: int | None
    ) -> Reaction:
        body = jsontext.edit(self.body, assignments=assignments, removals=removals)
        event = json.loads(body)
        if self._ids is not None and isinstance(event, dict) and isinstance(event.get("id"), str):
            event["id"] = f"evt_{next(self._ids)}"
        self.seen.append(event)
        try:
            status, answer, *called = self._receiver(event)
        except (KeyError, TypeError, AttributeError, IndexError):
            status, answer, called = 500, "error", []
        except TimeoutError:
            return Reaction(
                Attempt("http://x", 0, 1, failure=Failure(FailureKind.TIMEOUT, "no answer in 10 s"))
            )
        except ConnectionError:
            return Reaction(Attempt("http://x", 0, 1, failure=Failure(FailureKind.CLOSED, "closed")))
        text = answer if isinstance(answer, str) else json.dumps(answer)
        made = [
            ("crm", Request("POST", "/orders", (), json.dumps(each).encode())) for each in (called or [()])[0]
        ]
        return Reaction(Attempt("http://x", 0, 1, Response(status, "", (), text.encode())), tuple(made))


def study(receiver: Receiver, event: object = EVENT, *, max_requests: int = 1_000) -> Learned:
    subject = Subject(receiver, event)
    return asyncio.run(
        learn(subject, event="order.paid", label="order", max_requests=max_requests, tell=lambda *_: None)
    )


def types(learned: Learned) -> Mapping[str, str]:
    return {reading.path: reading.type for reading in learned.readings}


def test_a_field_without_which_it_fails_is_read() -> None:
    learned = study(lambda event: (200, str(event["data"]["total"] + 0) and "ok"))
    assert types(learned) == {"data.total": "integer"}
    (reading,) = learned.readings
    assert reading.evidence == (
        "removed: 500 instead of 200",
        "null: 500 instead of 200",
        "retyped: 500 instead of 200",
    )
    assert (learned.paths, learned.untried, learned.remarks) == (10, 0, ())


def test_a_field_that_shows_in_the_answer_or_in_a_call_is_read() -> None:
    assert types(study(lambda event: (200, {"got": event.get("live")}))) == {"live": "boolean"}
    called = study(lambda event: (200, "ok", [{"total": event["data"].get("total")}]))
    assert types(called) == {"data.total": "integer"}
    assert called.readings[0].evidence[0] == "removed: the body of call 1 of crm.total is another"


def test_a_call_that_is_no_longer_made_shows_what_decided_it() -> None:
    learned = study(lambda event: (200, "ok", [1] if event.get("type") == "order.paid" else []))
    assert types(learned) == {"type": "string"}
    assert "call 1 of crm is missing" in learned.readings[0].evidence[0]


def test_elements_of_a_list_are_changed_together_and_containers_go_without_saying() -> None:
    learned = study(lambda event: (200, "ok", [[line["sku"] for line in event["data"]["lines"]]]))
    assert types(learned) == {"data.lines[].sku": "string"}


def test_a_container_is_named_when_nothing_in_it_is_read() -> None:
    assert types(study(lambda event: (200, "ok" if event["data"] else "no"))) == {"data": "object"}


def test_a_field_that_may_be_missing_is_learned_as_such() -> None:
    def tolerant(event: Any) -> Answer:
        return 200, "ok" + (event["data"].get("total") or 10).__index__().__class__.__name__

    assert types(study(tolerant)) == {"data.total": "integer | null | absent"}


def test_what_stands_in_for_a_missing_field_is_found_too() -> None:
    def receiver(event: Any) -> Answer:
        return 200, ("total" in event["data"] or "live" in event or event["none"]) and "ok"

    learned = study(receiver)
    assert types(learned) == {"data": "object", "live": "boolean"}  # live cannot be missed with total gone
    assert learned.readings[1].evidence == ("removed with others: 500 instead of 200",)


def test_what_changes_by_itself_is_no_evidence() -> None:
    ticks = count()
    learned = study(lambda event: (200, {"seen": event.get("id"), "at": next(ticks)}))
    assert types(learned) == {"id": "string"}  # its kind still shows
    assert study(lambda _: (200, f"answered at {next(ticks)} for evt_{next(ticks):08}")).readings == ()


def test_a_receiver_that_knows_a_delivery_again_by_more_than_its_id_is_told_of() -> None:
    seen: set[int] = set()

    def receiver(event: Any) -> Answer:
        is_new = event["data"].get("total") not in seen
        seen.add(event["data"].get("total"))
        return 200, "ok", [1] if is_new else []

    assert "comes and goes" in study(receiver).remarks[0]


def test_a_receiver_that_changes_its_mind_is_not_to_be_trusted() -> None:
    answers = count()
    learned = study(lambda _: (200, "ok" if next(answers) < 10 else "tired"))
    assert "do not trust this" in learned.remarks[-1]


def test_a_delivery_that_is_not_accepted_is_no_beginning() -> None:
    with pytest.raises(EndpointError, match="not accepted as it is: 401") as error:
        study(lambda _: (401, "no"))
    assert error.value.code == "baseline-refused"


def test_a_receiver_that_hangs_up_is_asked_again_before_going_on() -> None:
    def fragile(event: Any) -> Answer:
        if "type" not in event:
            raise ConnectionError
        return 200, "ok"

    assert types(study(fragile)) == {"type": "string"}
    is_dead = False

    def mortal(event: Any) -> Answer:
        nonlocal is_dead
        is_dead = is_dead or "type" not in event
        if is_dead:
            raise ConnectionError
        return 200, "ok"

    with pytest.raises(EndpointError, match="no longer accepted: closed"):
        study(mortal)


def test_what_the_signature_is_made_of_is_left_alone_with_a_remark() -> None:
    class Signed(Subject):
        async def react(
            self, assignments: Sequence[tuple[str, bytes]], removals: Sequence[str], *, calls: int | None
        ) -> Reaction:
            if "id" in removals:
                raise SignatureError("body-malformed", "there is no id to sign")
            return await super().react(assignments, removals, calls=calls)

    subject = Signed(lambda _: (200, "ok"))
    learned = asyncio.run(learn(subject, event="e", label="l", max_requests=99, tell=lambda *_: None))
    assert "id: there is no id to sign" in learned.remarks


def test_the_number_of_requests_is_bounded_and_what_was_not_tried_is_counted() -> None:
    learned = study(lambda _: (200, "ok"), max_requests=12)
    assert learned.untried == 7
    assert learned.requests <= 13


@pytest.mark.parametrize("event", ["text", 5, None])
def test_a_body_that_holds_no_fields_is_refused(event: object) -> None:
    with pytest.raises(UsageError) as error:
        study(lambda _: (200, "ok"), event)
    assert error.value.code == "body-not-json"


def test_a_broken_body_is_refused() -> None:
    subject = Subject(lambda _: (200, "ok"))
    subject.body = b"{"
    with pytest.raises(UsageError, match="no JSON object"):
        asyncio.run(learn(subject, event="e", label="l", max_requests=99, tell=lambda *_: None))


def test_progress_is_told_from_the_first_path_to_the_last() -> None:
    heard: list[tuple[int, int]] = []
    subject = Subject(lambda _: (200, "ok"))
    asyncio.run(
        learn(
            subject,
            event="e",
            label="l",
            max_requests=99,
            tell=lambda done, total: heard.append((done, total)),
        )
    )
    assert heard == [(number, 10) for number in range(11)]


def test_several_deliveries_of_an_event_are_joined() -> None:
    first = Learned("e", "a", (Reading("id", "string", ()), Reading("data", "object", ())), 2, 5)
    second = Learned("e", "b", (Reading("id", "integer | absent", ()), Reading("data.x", "string", ())), 2, 5)
    other = Learned("f", "c", (), 2, 5)
    assert merged([first, second, other]) == {
        "e": {"id": "string | integer | absent", "data.x": "string"},
        "f": {},
    }


def test_a_field_without_which_it_hangs_is_tried_once() -> None:
    def slow(event: Any) -> Answer:
        if "type" not in event:
            raise TimeoutError
        return 200, event["type"] == "order.paid" and "ok"

    learned = study(slow)
    (reading,) = learned.readings
    assert (reading.path, reading.evidence) == ("type", ("removed: no answer in 10 s instead of 200",))
