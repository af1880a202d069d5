"""A case played on a stage without sockets: what is sent when, and what is made of each answer."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.contract.stages import CLOSING, HANGING, REFUSING, ScriptedStage
from webhookctl.contract.file import read_contract
from webhookctl.contract.model import Contract
from webhookctl.contract.play import play, variants
from webhookctl.contract.result import CaseResult, Outcome
from webhookctl.errors import UsageError
from webhookctl.model import Failure, FailureKind

HEAD = 'version = 1\nsettle = "1s"\n[receiver]\nurl = "http://localhost:3000/hooks"\n[mocks.crm]\n'


def contract(text: str) -> Contract:
    toml = f'{HEAD}[[cases]]\nname = "sample"\n{text}'
    return read_contract(toml.encode(), origin="x.contract.toml", environment={})


def valid(schema: object, value: object) -> Sequence[str]:
    return []


def played(text: str, stage: ScriptedStage | None = None) -> CaseResult:
    (result,) = all_played(text, stage)
    return result


def all_played(text: str, stage: ScriptedStage | None = None) -> list[CaseResult]:
    found = contract(text)
    (case,) = found.cases
    stage = stage or ScriptedStage()
    return [
        asyncio.run(play(found, case, variant, stage, validate=valid)) for variant in variants(case, seed=1)
    ]


def test_a_delivery_that_is_answered_as_asked_passes() -> None:
    result = played('send = "a"\nexpect = { status = 200, body = { ok = true } }\n')
    assert (result.outcome, result.complaints, result.reason, result.output) == (Outcome.PASSED, (), "", "")
    assert (result.contract.path, result.contract.line, result.duration_s) == ("x.contract.toml", 6, 0.01)
    (delivered,) = result.deliveries
    assert (delivered.label, delivered.variant, delivered.attempt.status) == ("a", "", 200)


def test_an_answer_that_is_not_as_asked_fails_and_shows_the_output() -> None:
    result = played('send = "a"\nexpect = { status = 201 }\n')
    assert (result.outcome, result.output) == (Outcome.FAILED, "its last words")
    assert result.complaints[0].place is not None
    assert result.complaints[0].place.line == 9


def test_copies_are_sent_one_after_the_other_with_the_same_id_and_a_gap() -> None:
    stage = ScriptedStage()
    result = played('send = "a"\ntimes = 3\ngap = "2s"\nafter = "5s"\n', stage)
    assert stage.slept_s == [5.0, 2.0, 2.0]
    assert [round(each.offset_s, 2) for each in result.deliveries] == [5.0, 7.01, 9.02]
    assert len({key for _, _, key in stage.made}) == 1


def test_copies_at_once_are_all_made_before_the_first_is_sent() -> None:
    stage = ScriptedStage(on_sent=lambda stage: None)
    made_at_first: list[int] = []
    stage.on_sent = lambda stage: made_at_first.append(len(stage.made))
    played('send = "a"\ntimes = 4\ngap = "concurrent"\n', stage)
    assert made_at_first == [4, 4, 4, 4]


def test_an_error_in_making_copies_is_one_error() -> None:
    result = played('send = "a"\ntimes = 4\ngap = "concurrent"\n', ScriptedStage(broken="no such field"))
    assert (result.outcome, result.reason) == (Outcome.ERROR, "no such field; mend it")


def test_runs_and_variants_have_ids_of_their_own() -> None:
    found = contract('send = "a"\npermute = false\n')
    stage = ScriptedStage()
    variant = variants(found.cases[0], seed=1)[0]
    for run in (0, 1):
        asyncio.run(play(found, found.cases[0], variant, stage, validate=valid, run=run))
    assert len({key for _, _, key in stage.made}) == 2


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (CLOSING, Outcome.FAILED),
        (Failure(FailureKind.PROTOCOL, "no HTTP"), Outcome.FAILED),
        (REFUSING, Outcome.ERROR),
        (Failure(FailureKind.DNS, "no such name"), Outcome.ERROR),
        (Failure(FailureKind.TLS, "not trusted"), Outcome.ERROR),
        (HANGING, Outcome.UNSURE),
    ],
)
def test_what_no_answer_means_depends_on_why_there_is_none(failure: Failure, outcome: Outcome) -> None:
    result = played('send = "a"\ntimes = 2\n', ScriptedStage([failure]))
    assert result.outcome is outcome
    assert failure.message in result.reason or failure.message == result.complaints[0].message


def test_a_hanging_receiver_that_has_a_time_limit_fails_it() -> None:
    stage = ScriptedStage([HANGING], latency_s=30.0)
    (complaint,) = played('send = "a"\nexpect = { within = "2s" }\n', stage).complaints
    assert (complaint.what, complaint.expected, complaint.received) == (
        "within",
        "2,000 ms",
        "nothing in 30,000 ms",
    )
    assert complaint.place is not None
    assert complaint.place.line == 9
    assert played('send = "a"\nexpect = { within = "60s" }\n', stage).outcome is Outcome.UNSURE


def test_nothing_more_is_sent_to_a_receiver_that_is_not_there() -> None:
    stage = ScriptedStage([REFUSING])
    played('deliver = [{ send = "a", times = 3 }, { send = "b" }]\n', stage)
    assert len(stage.sent) == 1


def test_a_receiver_that_dies_is_an_error_even_when_it_shows_late() -> None:
    stage = ScriptedStage([CLOSING], death=lambda stage: "app ended" if stage.slept_s else "")
    result = played('send = "a"\n', stage)
    assert (result.outcome, result.reason, result.output) == (Outcome.ERROR, "app ended", "its last words")


def test_who_hangs_up_judges_no_answer_but_notices_that_nobody_is_there() -> None:
    hung_up = Failure(FailureKind.CLOSED, "hung up without waiting for the answer, as asked")
    text = 'deliver = [{ send = "a", hang_up = "after-body" }, { send = "a" }]\nexpect = { status = 200 }\n'
    stage = ScriptedStage([hung_up, 200])
    assert played(text, stage).outcome is Outcome.PASSED
    assert [hang_up for _, hang_up, _ in stage.sent] == ["after-body", None]
    assert played(text, ScriptedStage([REFUSING])).outcome is Outcome.ERROR


def test_a_retry_schedule_is_played_until_the_delivery_is_accepted() -> None:
    stage = ScriptedStage([500, 503, 204])
    result = played('send = "a"\nretry = "svix"\nexpect = { status = 204 }\n', stage)
    assert (result.outcome, stage.slept_s, len(stage.made)) == (Outcome.PASSED, [1.0, 2.0], 3)
    given_up = played('send = "a"\nretry = "svix"\nexpect = { status = "2xx" }\n', ScriptedStage([500]))
    assert (given_up.outcome, len(given_up.deliveries)) == (Outcome.FAILED, 4)


def test_each_attack_is_a_variant_of_its_own() -> None:
    stage = ScriptedStage([400], inapplicable={"stale": "it has no clock"})
    results = all_played('send = "a"\nforge = ["unsigned", "stale", "tampered"]\n', stage)
    assert [(each.id, each.outcome.value, each.reason) for each in results] == [
        ("sample [unsigned]", "passed", ""),
        ("sample [stale]", "skipped", "it has no clock"),
        ("sample [tampered]", "passed", ""),
    ]
    assert [name for _, name, _ in stage.made] == ["unsigned", "tampered"]
    assert results[0].deliveries[0].variant == "unsigned"


def test_an_attack_that_is_accepted_fails() -> None:
    (result,) = all_played('send = "a"\nforge = "unsigned"\n')
    assert [each.message for each in result.complaints] == ["answered 200"]


def test_a_replay_sends_the_same_bytes_again_when_what_they_did_is_forgotten() -> None:
    stage = ScriptedStage([200, 409])
    (result,) = all_played('send = "a"\nforge = "replayed"\n', stage)
    assert result.outcome is Outcome.PASSED
    (first, _, _), (second, _, _) = stage.sent
    assert first is second
    assert (stage.begun, stage.slept_s) == (2, [1.0])
    assert [each.variant for each in result.deliveries] == ["", "replayed"]


@pytest.mark.parametrize(("answer", "words"), [(500, "500"), (REFUSING, "it refuses connections")])
def test_a_replay_of_what_was_never_accepted_says_nothing(answer: int | Failure, words: str) -> None:
    (result,) = all_played('send = "a"\nforge = "replayed"\n', ScriptedStage([answer]))
    assert (result.outcome, words in result.reason) == (Outcome.ERROR, True)


def test_every_order_of_few_deliveries_is_tried_and_a_sample_of_many() -> None:
    few = all_played('permute = ["a", "b", "c"]\n')
    assert [each.variant for each in few][:3] == ["order 1 2 3", "order 1 3 2", "order 2 1 3"]
    assert len(few) == 6
    assert [each.label for each in few[5].deliveries] == ["c", "b", "a"]
    (case,) = contract('permute = ["a", "b", "c", "d", "e"]\n').cases
    many = variants(case, seed=7)
    assert len(many) == 24
    assert {"order 1 2 3 4 5", "order 5 4 3 2 1"} <= {each.name for each in many}
    assert many == variants(case, seed=7)
    assert many != variants(case, seed=8)


def test_a_skipped_case_sends_nothing() -> None:
    stage = ScriptedStage()
    result = played('send = "a"\nskip = "not yet"\n', stage)
    assert (result.outcome, result.reason, stage.sent, stage.begun) == (Outcome.SKIPPED, "not yet", [], 0)


def test_a_snapshot_is_compared_with_what_was_saved() -> None:
    text = 'send = "a"\nsnapshot = true\n'
    answer = [{"status": 200, "content_type": "", "body": {"ok": True}}]
    assert played(text, ScriptedStage(saved=answer)).outcome is Outcome.PASSED
    (complaint,) = played(text, ScriptedStage(saved=[{**answer[0], "status": 201}])).complaints
    assert complaint.what == "snapshot[0].status"
    assert played(text).complaints[0].what == "snapshot"


def test_the_body_of_an_answer_may_be_asked_to_name_its_delivery() -> None:
    stage = ScriptedStage(body=b'{"ok": true}')
    assert played('send = "a"\nexpect = { body = { ok = "{event.ok}" } }\n', stage).outcome is Outcome.PASSED
    (complaint,) = played('send = "a"\nexpect = { body = { ok = "{event.n}" } }\n').complaints
    assert (complaint.expected, complaint.received) == ("42", "true")
    assert played('send = "a"\nexpect = { body = { ok = "{event.gone}" } }\n').outcome is Outcome.ERROR


def test_an_error_in_sending_copies_is_one_error() -> None:
    def broken(stage: ScriptedStage) -> None:
        raise UsageError("target-invalid", "the target holds a blank")

    result = played('send = "a"\ntimes = 2\ngap = "concurrent"\n', ScriptedStage(on_sent=broken))
    assert (result.outcome, result.reason) == (Outcome.ERROR, "the target holds a blank")
