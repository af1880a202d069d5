"""What came of a run of contracts, as frozen data: every report is made from this and nothing else.

Knows the words only: no file, no terminal, no report format.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from webhookctl.model import Attempt, Request


class Outcome(StrEnum):
    """What became of a case. The values are API."""

    PASSED = "passed"
    FAILED = "failed"  # an expectation was not met
    ERROR = "error"  # the environment: receiver unreachable, command died, secret missing
    UNSURE = "unsure"  # the evidence is not enough, for example no answer after the bytes had left
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something is written; line and column count from 1, 0 when not known."""

    path: str
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Complaint:
    """One expectation that was not met: `what` (``status``, ``body.received``, ``mock crm``), in words and values.

    `expected` and `received` are short texts for a reader (redacted already); `place` is where it was asked for.
    """

    what: str
    message: str
    expected: str = ""
    received: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """One delivery of a case as it was sent: the request (before redaction), how it went, and what it stood for."""

    label: str  # fixture or event
    variant: str  # "" or the attack: "tampered"
    request: Request
    attempt: Attempt
    offset_s: float  # since the case began


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case, or one variant of it (each attack and each permutation is its own)."""

    contract: Place  # the contract file (or the folder of fixtures) and the case's place in it
    name: str
    variant: str
    outcome: Outcome
    complaints: tuple[Complaint, ...]
    deliveries: tuple[Delivered, ...]
    started_at_s: float  # Unix time
    duration_s: float
    reason: str = ""  # of error, unsure and skipped, in words
    output: str = ""  # the last output of the receiver's process, where it matters
    reproduction: str = ""  # one line to copy

    @property
    def id(self) -> str:
        """``a redelivery changes nothing [tampered]``"""
        return f"{self.name} [{self.variant}]" if self.variant else self.name


@dataclass(frozen=True, slots=True)
class RunResult:
    """Everything one `webhookctl test` did."""

    cases: tuple[CaseResult, ...] = field(repr=False)  # asyncio shows a task's result in its own repr
    started_at_s: float
    duration_s: float
    seed: int
    notes: tuple[str, ...] = ()  # for example: 3 fixtures were skipped, and why

    def count(self, outcome: Outcome) -> int:
        """How many cases ended so."""
        return sum(1 for case in self.cases if case.outcome is outcome)
