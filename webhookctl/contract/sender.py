"""Plays a contract of a sender: it is set off, what it sends is answered as planned, and its attempts are judged.

Must not know sockets, processes, signatures or the clock: they come in through `Ear`.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

from webhookctl.contract.aftermath import Completed
from webhookctl.contract.judge import Validate, judge_attempt
from webhookctl.contract.model import Call, Case, Command, Contract, Expectation, Reply, Sender
from webhookctl.contract.result import CaseResult, Complaint, Delivered, Outcome
from webhookctl.errors import WebhookctlError
from webhookctl.model import Attempt, Request, Response, Verdict

PATH = "/webhooks"
"""Where a sender is told to send."""

_POLL_S = 0.01
_SAME_MOMENT_S = 2.0  # timestamps are whole seconds: nearer attempts may well carry the same
# Jitter and slow machines disturb every gap: one shrinks below this share of the one before; all together
# grow when the last is above this of the first.
_SHRINKS, _GROWS = 0.5, 1.2


@dataclass(frozen=True, slots=True)
class Received:
    """One attempt of the sender: what came in and when (Unix time), what it was answered, what it says of itself.

    `signed_at_s` is the time it was signed, None where it does not say.
    """

    request: Request
    received_at_s: float
    answer: Response
    took_ms: float
    verdict: Verdict
    delivery_id: str | None
    signed_at_s: float | None

    @property
    def is_redirected(self) -> bool:
        """Whether it went where only a redirect leads."""
        return self.request.target.partition("?")[0] != PATH


class Ear(Protocol):
    """Where a sender sends to, and how it is set off."""

    @property
    def listener_url(self) -> str: ...

    def listen(self, answers: Sequence[Reply]) -> None:
        """Forget what came in; answer so from now on, the last answer again and again."""

    def received(self) -> Sequence[Received]: ...

    async def run(self, command: Command) -> Completed: ...

    async def call(self, call: Call) -> Attempt: ...

    def output(self) -> str: ...

    def now_s(self) -> float: ...

    def monotonic_s(self) -> float: ...

    def sleep(self, seconds: float) -> Awaitable[None]: ...


async def play_sender(contract: Contract, case: Case, ear: Ear, *, validate: Validate) -> CaseResult:
    """Play `case`, one of the contract's `sends`; never raises for what the sender does."""
    import asyncio

    sender = case.sender
    assert sender is not None
    play = _Play(sender, ear, ear.now_s(), ear.monotonic_s())
    if not case.skip:
        ear.listen(sender.answers)
        async with asyncio.TaskGroup() as group:
            trigger = group.create_task(play.set_off(), name=f"sets off {case.name}")
            await play.attempts_or_timeout(trigger.done, contract.settle_s)
            trigger.cancel()
        play.judge(validate)
    outcome = Outcome.SKIPPED if case.skip else play.outcome()
    return CaseResult(
        contract=replace(case.place, path=contract.origin),
        name=case.name,
        variant="",
        outcome=outcome,
        complaints=tuple(play.complaints),
        deliveries=tuple(play.delivered()),
        started_at_s=play.started_at_s,
        duration_s=ear.monotonic_s() - play.start_s,
        reason=case.skip or play.error or play.unsure,
        output=ear.output() if outcome in (Outcome.ERROR, Outcome.FAILED) else "",
    )


@dataclass(slots=True)
class _Play:
    """One case under way."""

    sender: Sender
    ear: Ear
    started_at_s: float
    start_s: float
    problem: str = ""  # of what set the sender off; it matters only when nothing came of it
    error: str = ""
    unsure: str = ""
    complaints: list[Complaint] = field(default_factory=list)

    def outcome(self) -> Outcome:
        if self.error:
            return Outcome.ERROR
        if self.complaints:
            return Outcome.FAILED
        return Outcome.UNSURE if self.unsure else Outcome.PASSED

    async def set_off(self) -> None:
        """Run the command or make the call; a command may go on until its last attempt."""
        trigger = self.sender.trigger
        try:
            if isinstance(trigger, Command):
                done = await self.ear.run(trigger)
                if done.problem or done.exit_code:
                    said = (done.stderr.strip() or done.stdout.strip())[-300:]
                    self.problem = (
                        done.problem or f"{trigger.arguments[0]} exited with {done.exit_code}: {said}"
                    )
            else:
                attempt = await self.ear.call(trigger)
                if not attempt.is_success:
                    answer = attempt.failure.message if attempt.failure else f"answered {attempt.status}"
                    self.problem = f"{trigger.method} {trigger.url}: {answer}"
        except WebhookctlError as error:
            self.problem = f"{error.message}; {error.hint}" if error.hint else error.message

    async def attempts_or_timeout(self, is_set_off: Callable[[], bool], settle_s: float) -> None:
        """Until the attempts asked for are there, or their time is over; then until it is quiet."""
        wanted = self.sender.expect.attempts or 1
        deadline_s = self.start_s + self.sender.within_s
        while self.ear.monotonic_s() < deadline_s and len(self._attempts()) < wanted:
            if is_set_off() and self.problem and not self.ear.received():
                return
            await self.ear.sleep(_POLL_S)
        quiet_s = settle_s if self.sender.quiet_s is None else self.sender.quiet_s
        count, since_s = -1, self.ear.monotonic_s()
        while self.ear.monotonic_s() - since_s < quiet_s and self.ear.monotonic_s() < deadline_s + quiet_s:
            if len(self.ear.received()) != count:
                count, since_s = len(self.ear.received()), self.ear.monotonic_s()
            await self.ear.sleep(_POLL_S)

    def judge(self, validate: Validate) -> None:
        attempts, expect = self._attempts(), self.sender.expect
        if not attempts and self.problem:
            self.error = self.problem
            return
        wanted = expect.attempts
        if len(attempts) != wanted and (wanted is not None or not attempts):
            text = "at least one" if wanted is None else str(wanted)
            message = f"made {_times(len(attempts))} in {self.ear.monotonic_s() - self.start_s:.1f} s"
            self._complain("attempts", message, text, str(len(attempts)))
        if expect.no_redirect_followed and (
            astray := [each for each in self.ear.received() if each.is_redirected]
        ):
            target = astray[0].request.target
            self._complain(
                "no_redirect_followed", "followed the redirect", "no request", f"a request to {target}"
            )
        if expect.is_signed:
            for number, each in enumerate(attempts, start=1):
                if not each.verdict.is_ok:
                    what = f"signature of attempt {number}"
                    self._complain("signature", each.verdict.reason, "valid", each.verdict.kind.value, what)
        if expect.same_id:
            self._judge_ids(attempts)
        if expect.fresh_timestamp:
            self._judge_times(attempts)
        if expect.backoff:
            self._judge_gaps(attempts)
        for number, each in enumerate(attempts, start=1):
            self.complaints += _content(expect.content, each, number, validate)

    def _judge_ids(self, attempts: Sequence[Received]) -> None:
        ids = [each.delivery_id for each in attempts]
        if None in ids:
            self._complain("same_id", f"attempt {ids.index(None) + 1} carries no id", "one id", "none")
        elif len(set(ids)) > 1:
            shown = ", ".join(dict.fromkeys(str(each) for each in ids))
            self._complain(
                "same_id", "attempts carry different ids: nobody can tell retries from news", "one id", shown
            )

    def _judge_times(self, attempts: Sequence[Received]) -> None:
        for number, each in enumerate(attempts, start=1):
            if each.signed_at_s is None:
                self._complain(
                    "fresh_timestamp", f"attempt {number} does not say when it was signed", "a time", "none"
                )
                return
            age_s = each.received_at_s - each.signed_at_s
            if abs(age_s) > _SAME_MOMENT_S:
                when = "ago" if age_s > 0 else "ahead"
                self._complain(
                    "fresh_timestamp",
                    f"attempt {number} was signed {abs(age_s):.0f} s {when}",
                    "now",
                    f"{age_s:.0f} s old",
                )
                return
        times = {each.signed_at_s for each in attempts}
        span_s = attempts[-1].received_at_s - attempts[0].received_at_s if attempts else 0.0
        if len(attempts) > 1 and len(times) == 1 and span_s <= _SAME_MOMENT_S:
            self.unsure = (
                f"all attempts came within {span_s:.1f} s: whether each is stamped anew cannot be told"
            )

    def _judge_gaps(self, attempts: Sequence[Received]) -> None:
        gaps = list(_gaps(attempts))
        if len(gaps) < 2:
            self.unsure = "back-off shows from three attempts on: answer more of them with an error"
            return
        shrinks = any(later < _SHRINKS * earlier for earlier, later in pairwise(gaps))
        if shrinks or gaps[-1] < _GROWS * gaps[0]:
            shown = ", ".join(f"{gap:.2f} s" for gap in gaps)
            self._complain("backoff", "the gaps between attempts do not grow", "growing gaps", shown)

    def _complain(self, key: str, message: str, expected: str, received: str, what: str = "") -> None:
        place = self.sender.expect.place.get(key) or self.sender.expect.place.get("")
        self.complaints.append(Complaint(what or key, message, expected, received, place))

    def _attempts(self) -> list[Received]:
        return [each for each in self.ear.received() if not each.is_redirected]

    def delivered(self) -> Iterator[Delivered]:
        for number, each in enumerate(self.ear.received(), start=1):
            attempt = Attempt(self.ear.listener_url, each.received_at_s, each.took_ms, each.answer)
            offset_s = max(0.0, each.received_at_s - self.started_at_s)
            yield Delivered(f"attempt {number}", "", each.request, attempt, offset_s)


def _gaps(attempts: Sequence[Received]) -> Iterator[float]:
    return (later.received_at_s - earlier.received_at_s for earlier, later in pairwise(attempts))


def _content(expect: Expectation, each: Received, number: int, validate: Validate) -> Iterator[Complaint]:
    """What is wrong with the headers and the body of an attempt."""
    as_answer = Response(200, "", each.request.headers, each.request.body)
    for complaint in judge_attempt(expect, Attempt("", 0.0, 0.0, as_answer), validate=validate):
        yield replace(complaint, what=f"{complaint.what} of attempt {number}")


def _times(count: int) -> str:
    return {0: "no attempt", 1: "one attempt"}.get(count, f"{count} attempts")
