"""A stage without sockets, processes or time: answers come from a script, and the clock moves when somebody sleeps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from webhookctl.contract.aftermath import Completed
from webhookctl.contract.model import Command, HangUp, Json, Step
from webhookctl.contract.play import Made
from webhookctl.errors import UsageError
from webhookctl.model import Attempt, Failure, FailureKind, Request, Response
from webhookctl.signing.attack import Attack, NotApplicable

URL = "http://localhost:3000/hooks"
Answer = int | Response | Failure
HANGING = Failure(FailureKind.TIMEOUT, "no answer within 30 s")
REFUSING = Failure(FailureKind.REFUSED, "it refuses connections")
CLOSING = Failure(FailureKind.CLOSED, "it closed the connection")


@dataclass(slots=True)
class ScriptedStage:
    """Answers deliveries by `answers` in order, the last one again and again; keeps all that was asked of it."""

    answers: Sequence[Answer] = (200,)
    latency_s: float = 0.01
    body: bytes = b'{"id": "evt_1", "n": 42}'
    inapplicable: Mapping[str, str] = field(default_factory=dict)
    broken: str = ""
    death: Callable[["ScriptedStage"], str] = lambda _: ""
    saved: Json | None = None
    on_sent: Callable[["ScriptedStage"], None] = lambda _: None
    get_answer: Callable[["ScriptedStage"], Answer] = lambda _: 200
    command: Callable[["ScriptedStage"], Completed] = lambda _: Completed("", 0)
    clock_s: float = 0.0
    made: list[tuple[Step, str, str]] = field(default_factory=list)
    sent: list[tuple[Request, HangUp | None, float]] = field(default_factory=list)
    slept_s: list[float] = field(default_factory=list)
    begun: int = 0
    called: list[Request] = field(default_factory=list)
    late_calls: list[tuple[float, Request]] = field(default_factory=list)
    gotten: list[str] = field(default_factory=list)
    ran: list[Command] = field(default_factory=list)

    def make(self, step: Step, *, attack: Attack | None, case_key: str) -> Made | NotApplicable:
        if self.broken:
            raise UsageError("sample", self.broken, "mend it")
        if attack is not None and attack.name in self.inapplicable:
            return NotApplicable(attack, self.inapplicable[attack.name])
        self.made.append((step, attack.name if attack else "", case_key))
        return Made(step.label, Request("POST", "/hooks", ((b"N", b"%d" % len(self.made)),), self.body))

    def schedule_s(self, provider: str) -> Sequence[float]:
        assert provider == "svix"
        return [1.0, 2.0, 4.0]

    async def send(self, made: Made, *, hang_up: HangUp | None) -> Attempt:
        answer = self.answers[min(len(self.sent), len(self.answers) - 1)]
        self.sent.append((made.request, hang_up, self.clock_s))
        self.clock_s += self.latency_s
        self.on_sent(self)
        return self._attempt(answer)

    def _attempt(self, answer: Answer) -> Attempt:
        if isinstance(answer, Failure):
            return Attempt(URL, 0.0, self.latency_s * 1000, failure=answer)
        response = Response(answer, "", (), b'{"ok": true}') if isinstance(answer, int) else answer
        return Attempt(URL, 0.0, self.latency_s * 1000, response)

    async def get(self, url: str) -> Attempt:
        self.gotten.append(url)
        return self._attempt(self.get_answer(self))

    async def run(self, command: Command) -> Completed:
        self.ran.append(command)
        return self.command(self)

    def snapshot(self, name: str, answers: Json) -> Json | None:
        return self.saved

    def calls(self, mock: str) -> Sequence[Request]:
        assert mock == "crm"
        return [*self.called, *(request for at_s, request in self.late_calls if at_s <= self.clock_s)]

    def begin(self) -> None:
        self.begun += 1
        self.called.clear()

    def dead(self) -> str:
        return self.death(self)

    def output(self) -> str:
        return "its last words"

    def now_s(self) -> float:
        return 1_790_000_000.0 + self.clock_s

    def monotonic_s(self) -> float:
        return self.clock_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.clock_s += seconds
