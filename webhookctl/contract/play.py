"""Plays one case against a receiver: its deliveries in order, the judgement of each answer, then the effects.

Must not know sockets, processes, files or the clock: they come in through `Stage`.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from random import Random
from typing import Protocol

from webhookctl.contract.judge import Validate, judge_attempt, judge_body
from webhookctl.contract.model import (
    Case,
    CommandEffect,
    Contract,
    Effect,
    Expectation,
    HangUp,
    HttpEffect,
    MockEffect,
    Step,
)
from webhookctl.contract.result import CaseResult, Complaint, Delivered, Outcome
from webhookctl.errors import WebhookctlError
from webhookctl.model import Attempt, FailureKind, Request
from webhookctl.signing.attack import Attack, NotApplicable, attack_named

MAX_ORDERS = 24  # of a permuted case; beyond that a seeded sample
_POLL_S = 0.05
_EVENT = re.compile(r"\{event\.([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Made:
    """A request ready to be sent, made at this moment."""

    label: str
    request: Request


@dataclass(frozen=True, slots=True)
class Completed:
    """What a command did: its standard output, its exit code, and why it could not run ("" when it could)."""

    stdout: str
    exit_code: int
    problem: str = ""


class Stage(Protocol):
    """Everything around a case that is not pure: one contract's receiver, mocks, commands, clock."""

    def make(self, step: Step, *, attack: Attack | None, case_key: str) -> Made | NotApplicable:
        """The request of `step`, signed now. The same `case_key` gives the same fresh ids. Raises WebhookctlError."""

    def schedule_s(self, provider: str) -> Sequence[float]:
        """Seconds before each further attempt of the provider. Raises UsageError for one that is not known."""

    async def send(self, made: Made, *, hang_up: HangUp | None) -> Attempt: ...

    async def get(self, url: str) -> Attempt: ...

    async def run(self, effect: CommandEffect, arguments: Sequence[str]) -> Completed: ...

    def calls(self, mock: str) -> Sequence[Request]:
        """What the mock was sent since `begin`."""

    def begin(self) -> None:
        """A case begins: forget the calls of the mocks."""

    def dead(self) -> str:
        """Why the receiver's process is no more, "" while it lives or is not ours."""

    def output(self) -> str:
        """The last output of the receiver's process."""

    def now_s(self) -> float: ...

    def monotonic_s(self) -> float: ...

    def sleep(self, seconds: float) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Variant:
    """One way a case is played: `name` "" for the only one; the order of its steps, and the attack if it is one."""

    name: str
    steps: tuple[Step, ...]
    attack: Attack | None = None


def variants(case: Case, *, seed: int) -> tuple[Variant, ...]:
    """Every way to play `case`: one for each attack, or each order (a seeded sample beyond `MAX_ORDERS`)."""
    if case.attacks:
        attacks = [attack for name in case.attacks if (attack := attack_named(name)) is not None]
        return tuple(Variant(attack.name, case.steps, attack) for attack in attacks)
    if case.is_permuted:
        return tuple(
            Variant("order " + " ".join(str(number + 1) for number in order), _picked(case.steps, order))
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


def _picked(steps: tuple[Step, ...], order: tuple[int, ...]) -> tuple[Step, ...]:
    return tuple(steps[position] for position in order)


@dataclass(slots=True)
class _Play:
    """One variant under way."""

    stage: Stage
    start_s: float
    case_key: str
    delivered: list[Delivered] = field(default_factory=list)
    complaints: list[Complaint] = field(default_factory=list)
    error: str = ""
    unsure: str = ""
    event: object = None  # the body of the last delivery, for {event.…}


class _SkippedError(Exception):
    """The variant cannot be made; its text says why."""


async def play(
    contract: Contract, case: Case, variant: Variant, stage: Stage, *, validate: Validate, run: int = 0
) -> CaseResult:
    """Play `variant` of `case` once; never raises for what the receiver does. `run` tells repeated runs apart."""
    started_at_s, start_s = stage.now_s(), stage.monotonic_s()
    state = _Play(stage, start_s, f"{contract.origin}|{case.name}|{variant.name}|{run}")
    skipped = case.skip
    if not skipped:
        stage.begin()
        try:
            await _deliver(case, variant, state, validate)
            if not state.error:
                await _judge_effects(contract, case, state, validate)
        except _SkippedError as reason:
            skipped = str(reason)
        except WebhookctlError as error:
            state.error = f"{error.message}; {error.hint}" if error.hint else error.message
    dead = stage.dead()
    if dead and not skipped:
        state.error = dead
    outcome = _outcome(state, skipped)
    return CaseResult(
        contract=case.place,
        name=case.name,
        variant=variant.name,
        outcome=outcome,
        complaints=tuple(state.complaints),
        deliveries=tuple(state.delivered),
        started_at_s=started_at_s,
        duration_s=stage.monotonic_s() - start_s,
        reason=skipped or state.error or state.unsure,
        output=stage.output() if outcome in (Outcome.ERROR, Outcome.FAILED) else "",
    )


def _outcome(state: _Play, skipped: str) -> Outcome:
    if skipped:
        return Outcome.SKIPPED
    if state.error:
        return Outcome.ERROR
    if state.complaints:
        return Outcome.FAILED
    return Outcome.UNSURE if state.unsure else Outcome.PASSED


async def _deliver(case: Case, variant: Variant, state: _Play, validate: Validate) -> None:
    for step in variant.steps:
        if step.after_s:
            await state.stage.sleep(step.after_s)
        expect = step.expect.over(case.expect)
        if step.retry is not None:
            await _retry(step, expect, state, validate)
        elif step.is_concurrent:
            async with asyncio.TaskGroup() as group:
                for _ in range(step.times):
                    group.create_task(_once(step, variant.attack, expect, state, validate), name="copy")
        else:
            for copy in range(step.times):
                if copy and step.gap_s:
                    await state.stage.sleep(step.gap_s)
                await _once(step, variant.attack, expect, state, validate)
                if state.error:
                    return


async def _once(
    step: Step, attack: Attack | None, expect: Expectation, state: _Play, validate: Validate
) -> Attempt:
    attempt = await _send(step, attack, state)
    if step.hang_up is None:
        _judge(expect, attempt, state, validate)
    return attempt


async def _send(step: Step, attack: Attack | None, state: _Play) -> Attempt:
    made = state.stage.make(step, attack=attack, case_key=state.case_key)
    if isinstance(made, NotApplicable):
        raise _SkippedError(made.reason)
    state.event = _document(made.request.body)
    offset_s = state.stage.monotonic_s() - state.start_s
    attempt = await state.stage.send(made, hang_up=step.hang_up)
    variant = attack.name if attack else ""
    state.delivered.append(Delivered(made.label, variant, made.request, attempt, offset_s))
    return attempt


async def _retry(step: Step, expect: Expectation, state: _Play, validate: Validate) -> None:
    """The provider's own schedule: the same delivery, signed anew, until it is accepted; the last answer is judged."""
    assert step.retry is not None
    waits_s = state.stage.schedule_s(step.retry)
    attempt = await _send(step, None, state)
    for wait_s in waits_s:
        if attempt.is_success:
            break
        await state.stage.sleep(wait_s)
        attempt = await _send(step, None, state)
    _judge(expect, attempt, state, validate)


def _judge(expect: Expectation, attempt: Attempt, state: _Play, validate: Validate) -> None:
    failure = attempt.failure
    if failure is None:
        state.complaints += judge_attempt(expect, attempt, validate=validate)
    elif failure.kind in (FailureKind.CLOSED, FailureKind.PROTOCOL):
        state.complaints.append(
            Complaint("answer", failure.message, "an HTTP response", "none", expect.place.get("status"))
        )
    elif failure.kind is FailureKind.TIMEOUT and expect.within_s is None:
        state.unsure = failure.message
    else:
        state.error = failure.message


async def _judge_effects(contract: Contract, case: Case, state: _Play, validate: Validate) -> None:
    is_settling = any(isinstance(effect, MockEffect) and effect.count is not None for effect in case.effects)
    waited_s = max((effect.timing.never_s or 0.0 for effect in case.effects), default=0.0)
    at_once = [effect for effect in case.effects if effect.timing.eventually_s is None]
    for effect in case.effects:
        if effect.timing.eventually_s is not None:
            state.complaints += await _eventually(effect, effect.timing.eventually_s, state, validate)
    if is_settling or waited_s:
        await state.stage.sleep(max(waited_s, contract.settle_s if is_settling else 0.0))
    for effect in at_once:
        state.complaints += await _complaints(effect, state, validate)


async def _eventually(effect: Effect, limit_s: float, state: _Play, validate: Validate) -> list[Complaint]:
    deadline_s = state.stage.monotonic_s() + limit_s
    while True:
        complaints = await _complaints(effect, state, validate)
        if not complaints or state.stage.monotonic_s() >= deadline_s:
            return complaints
        await state.stage.sleep(_POLL_S)


async def _complaints(effect: Effect, state: _Play, validate: Validate) -> list[Complaint]:
    if isinstance(effect, MockEffect):
        return _of_mock(effect, state.stage.calls(effect.mock), validate)
    if isinstance(effect, CommandEffect):
        arguments = [_filled(text, state.event) for text in effect.command.arguments]
        return _of_command(effect, await state.stage.run(effect, arguments))
    return await _of_url(effect, state, validate)


def _of_mock(effect: MockEffect, calls: Sequence[Request], validate: Validate) -> list[Complaint]:
    what = f"mock {effect.mock}"
    fitting, first_problem = 0, ""
    for call in calls:
        problem = _unlike(effect, call, validate)
        fitting += not problem
        first_problem = first_problem or problem
    wanted = effect.count
    if fitting == wanted or (wanted is None and fitting):
        return []
    expected = "at least one call" if wanted is None else _times(wanted)
    message = f"was called {_times(fitting)}"
    if len(calls) != fitting:
        message += f" in that way, {_times(len(calls))} in all ({first_problem})"
    return [Complaint(what, message, expected, _times(fitting), effect.place)]


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _unlike(effect: MockEffect, call: Request, validate: Validate) -> str:
    """Why `call` is not one of those meant, "" when it is."""
    if effect.method is not None and call.method != effect.method:
        return f"the method was {call.method}"
    if (
        effect.path is not None
        and call.target.partition("?")[0] != effect.path
        and call.target != effect.path
    ):
        return f"the path was {call.target}"
    for path, message, wanted, got in judge_body(effect.body, call.body, validate=validate):
        return f"body{path} {message}: {got} for {wanted}"
    return ""


def _of_command(effect: CommandEffect, done: Completed) -> list[Complaint]:
    what, place = f"command {effect.command.arguments[0]}", effect.place
    if done.problem:
        return [Complaint(what, done.problem, "a command that runs", "", place)]
    if done.exit_code != effect.exit_code:
        return [Complaint(what, "exited otherwise", str(effect.exit_code), str(done.exit_code), place)]
    text = done.stdout.strip()
    if effect.stdout is not None and text != effect.stdout.strip():
        return [Complaint(what, "printed something else", effect.stdout, text[:200], place)]
    if effect.matches is not None and not re.search(effect.matches, text):
        return [Complaint(what, "printed something else", effect.matches, text[:200], place)]
    return []


async def _of_url(effect: HttpEffect, state: _Play, validate: Validate) -> list[Complaint]:
    url = _filled(effect.url, state.event)
    attempt = await state.stage.get(url)
    if attempt.failure is not None:
        return [Complaint(f"get {url}", attempt.failure.message, "an answer", "none", effect.place)]
    return [
        Complaint(f"get {url} {each.what}", each.message, each.expected, each.received, each.place)
        for each in judge_attempt(effect.expect, attempt, validate=validate)
    ]


def _document(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _filled(text: str, event: object) -> str:
    """`text` with ``{event.data.object.id}`` replaced by what the last delivery says there."""

    def value(match: re.Match[str]) -> str:
        found = event
        for step in match[1].split("."):
            if isinstance(found, Mapping) and step in found:
                found = found[step]
            elif isinstance(found, Sequence) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            else:
                return match[0]
        return found if isinstance(found, str) else json.dumps(found)

    return _EVENT.sub(value, text)


Tell = Callable[[CaseResult], None]
"""Takes each result as it is there."""
