"""Judges what has to have happened when the deliveries of a case are over: calls of mocks, commands, HTTP state.

Must not know sockets, processes or the clock: they come in through `Witness`.
"""

import re
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol

from webhookctl.contract.event import filled_effect
from webhookctl.contract.judge import Validate, judge_attempt, judge_body
from webhookctl.contract.model import Command, CommandEffect, Effect, HttpEffect, Json, MockEffect
from webhookctl.contract.result import Complaint
from webhookctl.model import Attempt, Request

_POLL_S = 0.05
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Completed:
    """What a command did: its output, its exit code, its errors, and why it could not run ("" when it could)."""

    stdout: str
    exit_code: int
    stderr: str = ""
    problem: str = ""


class Witness(Protocol):
    """Where effects are looked at, and the clock."""

    def calls(self, mock: str) -> Sequence[Request]:
        """What the mock was sent since the case began."""

    async def run(self, command: Command) -> Completed: ...

    async def get(self, url: str) -> Attempt: ...

    def monotonic_s(self) -> float: ...

    def sleep(self, seconds: float) -> Awaitable[None]: ...


async def judge_effects(
    effects: Sequence[Effect], *, settle_s: float, event: Json, witness: Witness, validate: Validate
) -> list[Complaint]:
    """What is wrong with the effects. An exact count of calls is believed only after `settle_s` of quiet.

    Raises UsageError `event-field-missing`.
    """
    effects = [filled_effect(effect, event) for effect in effects]
    eye = _Eye(witness, validate)
    complaints: list[Complaint] = []
    late: list[Effect] = []
    for effect in effects:
        if effect.timing.eventually_s is not None:
            found = await eye.eventually(effect, effect.timing.eventually_s)
            complaints += found
            if not found and _is_counted(effect):
                late.append(effect)
        elif effect.timing.never_s is None:
            late.append(effect)
    complaints += await eye.never([effect for effect in effects if effect.timing.never_s is not None])
    if any(_is_counted(effect) for effect in late):
        await witness.sleep(settle_s)
    for effect in late:
        complaints += await eye.complaints(effect)
    return complaints


def _is_counted(effect: Effect) -> bool:
    return isinstance(effect, MockEffect) and effect.count is not None


@dataclass(frozen=True, slots=True)
class _Eye:
    """Looks at effects, once or as long as it takes."""

    witness: Witness
    validate: Validate

    async def eventually(self, effect: Effect, limit_s: float) -> list[Complaint]:
        deadline_s = self.witness.monotonic_s() + limit_s
        while True:
            complaints = await self.complaints(effect)
            if not complaints or self.witness.monotonic_s() >= deadline_s:
                return complaints
            await self.witness.sleep(_POLL_S)

    async def never(self, effects: Sequence[Effect]) -> list[Complaint]:
        """Complaints about those that came to be within their time; all are looked at side by side."""
        start_s = self.witness.monotonic_s()
        waiting, complaints = list(effects), []
        while waiting:
            passed_s = self.witness.monotonic_s() - start_s
            for effect in tuple(waiting):
                limit_s = effect.timing.never_s or 0.0
                if not await self.complaints(effect):
                    message = f"came to be after {passed_s:.1f} s"
                    complaints.append(
                        Complaint(_name(effect), message, f"not within {limit_s:g} s", "there", effect.place)
                    )
                    waiting.remove(effect)
                elif passed_s >= limit_s:
                    waiting.remove(effect)
            if waiting:
                await self.witness.sleep(_POLL_S)
        return complaints

    async def complaints(self, effect: Effect) -> list[Complaint]:
        """What is wrong with it at this moment."""
        if isinstance(effect, MockEffect):
            return _of_mock(effect, self.witness.calls(effect.mock), self.validate)
        if isinstance(effect, CommandEffect):
            return _of_command(effect, await self.witness.run(effect.command))
        return _of_url(effect, await self.witness.get(effect.url), self.validate)


def _name(effect: Effect) -> str:
    if isinstance(effect, MockEffect):
        return f"mock {effect.mock}"
    if isinstance(effect, CommandEffect):
        return f"command {effect.command.arguments[0]}"
    return f"get {effect.url}"


def _of_mock(effect: MockEffect, calls: Sequence[Request], validate: Validate) -> list[Complaint]:
    problems = [_unlike(effect, call, validate) for call in calls]
    fitting = problems.count("")
    wanted = effect.count
    if fitting == wanted or (wanted is None and fitting):
        return []
    expected = "at least one call" if wanted is None else _times(wanted)
    message = f"was called {_times(fitting)}"
    if len(calls) != fitting:
        why = next(problem for problem in problems if problem)
        message += f" in that way, {_times(len(calls))} in all ({why})"
    return [Complaint(_name(effect), message, expected, _times(fitting), effect.place)]


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _unlike(effect: MockEffect, call: Request, validate: Validate) -> str:
    """Why `call` is not one of those meant, "" when it is."""
    if effect.method is not None and call.method != effect.method:
        return f"the method was {call.method}"
    if effect.path is not None and effect.path not in (call.target, call.target.partition("?")[0]):
        return f"the path was {call.target}"
    for path, message, wanted, got in judge_body(effect.body, call.body, validate=validate):
        return f"body{path} {message}: {got} for {wanted}"
    return ""


def _of_command(effect: CommandEffect, done: Completed) -> list[Complaint]:
    what, place, text = _name(effect), effect.place, done.stdout.strip()
    if done.problem:
        return [Complaint(what, done.problem, "a command that runs", text[-_SHOWN:], place)]
    if done.exit_code != effect.exit_code:
        said = (done.stderr.strip() or text)[-_SHOWN:]
        message = f"exited with {done.exit_code}" + (f": {said}" if said else "")
        return [Complaint(what, message, str(effect.exit_code), str(done.exit_code), place)]
    if effect.stdout is not None and text != effect.stdout.strip():
        return [Complaint(what, "printed something else", effect.stdout.strip(), text[:_SHOWN], place)]
    if effect.matches is not None and not re.search(effect.matches, text):
        return [Complaint(what, "printed something else", effect.matches, text[:_SHOWN], place)]
    return []


def _of_url(effect: HttpEffect, attempt: Attempt, validate: Validate) -> list[Complaint]:
    what = _name(effect)
    if attempt.failure is not None:
        return [Complaint(what, attempt.failure.message, "an answer", "none", effect.place)]
    return [
        Complaint(f"{what} {each.what}", each.message, each.expected, each.received, each.place)
        for each in judge_attempt(effect.expect, attempt, validate=validate)
    ]
