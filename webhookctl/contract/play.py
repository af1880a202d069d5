"""Plays one case against a receiver: its deliveries in order, the judgement of each answer, then the effects.

Must not know sockets, processes, files or the clock: they come in through `Stage`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations
from random import Random
from typing import Protocol

from webhookctl.contract.aftermath import Completed, Witness, judge_effects
from webhookctl.contract.event import document, filled_expectation
from webhookctl.contract.judge import Validate, judge_attempt
from webhookctl.contract.model import Case, Contract, Expectation, HangUp, Json, Step
from webhookctl.contract.result import CaseResult, Complaint, Delivered, Outcome
from webhookctl.contract.snapshot import answers, judge_snapshot
from webhookctl.errors import WebhookctlError
from webhookctl.model import Attempt, FailureKind, Request
from webhookctl.signing.attack import FORGERIES, REPLAYED, Attack, NotApplicable

__all__ = ["Completed", "Made", "Stage", "Variant", "play", "variants"]

MAX_ORDERS = 24  # of a permuted case; beyond that a seeded sample
_DYING_S = 0.02  # a connection ends a moment before the process that held it


@dataclass(frozen=True, slots=True)
class Made:
    """A request ready to be sent, made at this moment."""

    label: str
    request: Request


class Stage(Witness, Protocol):
    """Everything around a case that is not pure: one contract's receiver, mocks, commands, clock."""

    def make(self, step: Step, *, attack: Attack | None, case_key: str) -> Made | NotApplicable:
        """The request of `step`, signed now. The same `case_key` gives the same fresh ids. Raises WebhookctlError."""

    def schedule_s(self, provider: str) -> Sequence[float]:
        """Seconds before each further attempt of the provider. Raises UsageError for one that is not known."""

    async def send(self, made: Made, *, hang_up: HangUp | None) -> Attempt: ...

    def snapshot(self, name: str, answers: Json) -> Json | None:
        """The answers saved for the case or variant `name`, None when there are none; `answers` may be saved now."""

    def begin(self) -> None:
        """A case begins: forget the calls of the mocks."""

    def dead(self) -> str:
        """Why the receiver's process is no more, "" while it lives or is not ours."""

    def output(self) -> str:
        """The last output of the receiver's process."""

    def now_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Variant:
    """One way a case is played: `name` "" for the only one; the order of its steps, and the attack if it is one."""

    name: str
    steps: tuple[Step, ...]
    attack: Attack | None = None


def variants(case: Case, *, seed: int) -> tuple[Variant, ...]:
    """Every way to play `case`: one for each attack, or each order (a seeded sample beyond `MAX_ORDERS`)."""
    if case.attacks:
        attacks = [attack for name in case.attacks for attack in FORGERIES if attack.name == name]
        return tuple(Variant(attack.name, case.steps, attack) for attack in attacks)
    if case.is_permuted:
        return tuple(
            Variant(
                "order " + " ".join(str(number + 1) for number in order),
                tuple(case.steps[position] for position in order),
            )
            for order in _orders(len(case.steps), seed)
        )
    return (Variant("", case.steps),)


def _orders(count: int, seed: int) -> list[tuple[int, ...]]:
    if count <= 4:
        return list(permutations(range(count)))
    random = Random(seed)  # noqa: S311  (a sample, no secret)
    orders = {tuple(range(count)), tuple(reversed(range(count)))}
    while len(orders) < MAX_ORDERS:
        orders.add(tuple(random.sample(range(count), count)))
    return sorted(orders)


async def play(
    contract: Contract, case: Case, variant: Variant, stage: Stage, *, validate: Validate, run: int = 0
) -> CaseResult:
    """Play `variant` of `case` once; never raises for what the receiver does. `run` tells repeated runs apart."""
    started_at_s, start_s = stage.now_s(), stage.monotonic_s()
    state = _Play(contract, stage, validate, start_s, f"{contract.origin}|{case.name}|{variant.name}|{run}")
    state.skipped = case.skip
    if not case.skip:
        stage.begin()
        try:
            await state.deliver(case, variant)
            if not state.error:
                await state.judge_the_rest(case, variant)
        except WebhookctlError as error:
            state.error = f"{error.message}; {error.hint}" if error.hint else error.message
        if dead := await state.cause_of_death():
            state.error = dead
    outcome = state.outcome()
    return CaseResult(
        contract=case.place,
        name=case.name,
        variant=variant.name,
        outcome=outcome,
        complaints=tuple(state.complaints),
        deliveries=tuple(state.delivered),
        started_at_s=started_at_s,
        duration_s=stage.monotonic_s() - start_s,
        reason=state.skipped or state.error or state.unsure,
        output=stage.output() if outcome in (Outcome.ERROR, Outcome.FAILED) else "",
    )


@dataclass(slots=True)
class _Play:
    """One variant under way."""

    contract: Contract
    stage: Stage
    validate: Validate
    start_s: float
    case_key: str
    delivered: list[Delivered] = field(default_factory=list)
    complaints: list[Complaint] = field(default_factory=list)
    skipped: str = ""
    error: str = ""
    unsure: str = ""
    event: bytes = b""  # the body of the last delivery, for {event.…}

    def outcome(self) -> Outcome:
        if self.skipped:
            return Outcome.SKIPPED
        if self.error:
            return Outcome.ERROR
        if self.complaints:
            return Outcome.FAILED
        return Outcome.UNSURE if self.unsure else Outcome.PASSED

    async def deliver(self, case: Case, variant: Variant) -> None:
        """All deliveries of the variant, each judged; ends early when there is no use in going on."""
        for step in variant.steps:
            if step.after_s:
                await self.stage.sleep(step.after_s)
            expect = step.expect.over(case.expect)
            if variant.attack is REPLAYED:
                await self._replay(step, expect)
            elif step.retry is not None:
                await self._retry(step, expect, step.retry)
            elif step.is_concurrent:
                await self._send_at_once(step, variant.attack, expect)
            else:
                await self._send_in_turn(step, variant.attack, expect)
            if self.error or self.skipped:
                return

    async def _send_in_turn(self, step: Step, attack: Attack | None, expect: Expectation) -> None:
        for copy in range(step.times):
            if copy and step.gap_s:
                await self.stage.sleep(step.gap_s)
            made = self._make(step, attack)
            if made is None:
                return
            self._judge(step, expect, made, await self._send(made, step.hang_up, attack))
            if self.error:
                return

    async def _send_at_once(self, step: Step, attack: Attack | None, expect: Expectation) -> None:
        """All copies are made before the first is sent, so that they leave together."""
        made = [each for _ in range(step.times) if (each := self._make(step, attack)) is not None]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._send(each, step.hang_up, attack), name=f"copy of {each.label}")
                    for each in made
                ]
        except ExceptionGroup as several:  # each copy fails in the same way
            raise several.exceptions[0] from None
        for each, task in zip(made, tasks, strict=True):
            self._judge(step, expect, each, task.result())

    async def _retry(self, step: Step, expect: Expectation, provider: str) -> None:
        """The provider's schedule: the same delivery, signed anew, until it is accepted; the last answer is judged."""
        made, attempt = None, None
        for wait_s in (0.0, *self.stage.schedule_s(provider)):
            if wait_s:
                await self.stage.sleep(wait_s)
            made = self._make(step, None)
            assert made is not None
            attempt = await self._send(made, None, None)
            if attempt.is_success:
                break
        assert made is not None
        assert attempt is not None
        self._judge(step, expect, made, attempt)

    async def _replay(self, step: Step, expect: Expectation) -> None:
        """The delivery as it should be, and once what it did is forgotten, the same bytes again: these are judged."""
        made = self._make(step, None)
        assert made is not None
        first = await self._send(made, None, None)
        if first.failure is not None or not first.is_success:
            answer = first.status or (first.failure.message if first.failure else "")
            self.error = f"the delivery that was to be played again was not accepted: {answer}"
            return
        await self.stage.sleep(self.contract.settle_s)
        self.stage.begin()
        self._judge(step, expect, made, await self._send(made, None, REPLAYED))

    def _make(self, step: Step, attack: Attack | None) -> Made | None:
        """The request, or None when it cannot be made; then the variant is skipped."""
        made = self.stage.make(step, attack=attack, case_key=self.case_key)
        if isinstance(made, NotApplicable):
            self.skipped = made.reason
            return None
        self.event = made.request.body
        return made

    async def _send(self, made: Made, hang_up: HangUp | None, attack: Attack | None) -> Attempt:
        offset_s = self.stage.monotonic_s() - self.start_s
        attempt = await self.stage.send(made, hang_up=hang_up)
        self.delivered.append(
            Delivered(made.label, attack.name if attack else "", made.request, attempt, offset_s)
        )
        return attempt

    def _judge(self, step: Step, expect: Expectation, made: Made, attempt: Attempt) -> None:
        failure = attempt.failure
        if failure is None:
            expect = filled_expectation(expect, made.request.body)
            self.complaints += judge_attempt(expect, attempt, validate=self.validate)
        elif failure.kind is FailureKind.CLOSED and step.hang_up is not None:
            return
        elif failure.kind in (FailureKind.CLOSED, FailureKind.PROTOCOL):
            place = expect.place.get("status")
            self.complaints.append(
                Complaint("answer", failure.message, "an HTTP response", "none", place or step.place)
            )
        elif failure.kind is not FailureKind.TIMEOUT:
            self.error = f"{attempt.url}: {failure.message}"
        elif expect.within_s is not None and attempt.latency_ms >= expect.within_s * 1000:
            self.complaints.append(
                Complaint(
                    "within",
                    failure.message,
                    f"{expect.within_s * 1000:,.0f} ms",
                    f"nothing in {attempt.latency_ms:,.0f} ms",
                    expect.place.get("within"),
                )
            )
        else:
            self.unsure = f"{failure.message}: it may have taken the delivery all the same"

    async def judge_the_rest(self, case: Case, variant: Variant) -> None:
        """Effects and the snapshot."""
        if self.skipped:
            return
        if case.effects:
            self.complaints += await judge_effects(
                case.effects,
                settle_s=self.contract.settle_s,
                event=document(self.event),
                witness=self.stage,
                validate=self.validate,
            )
        if case.has_snapshot:
            name = f"{case.name} [{variant.name}]" if variant.name else case.name
            got = answers(self.delivered, case.unstable)
            self.complaints += judge_snapshot(self.stage.snapshot(name, got), got, case.place)

    async def cause_of_death(self) -> str:
        """Why the receiver's process is no more, "" when it lives."""
        if any(each.attempt.failure is not None for each in self.delivered) and not self.stage.dead():
            await self.stage.sleep(_DYING_S)
        return self.stage.dead()
