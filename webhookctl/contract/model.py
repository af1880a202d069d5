"""A contract as frozen data: a receiver, how deliveries to it are signed, its mocks, and the cases it has to pass.

Knows the words only: no file, no network. `file` reads it from TOML.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from webhookctl.contract.result import Place

NOWHERE = Place("")

Json: TypeAlias = object
"""A value of JSON, as tomllib gives it: dict, list, str, int, float, bool."""


@dataclass(frozen=True, slots=True)
class Ready:
    """When a started command counts as ready, and how long that may take.

    `http`: a path that answers 2xx to 4xx; `output`: a text in its output; neither: its port takes connections.
    """

    http: str = ""
    output: str = ""
    within_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Command:
    """A command; ``{port}`` and ``{mock.url}`` are filled in when it is run, in `environment` too.

    With `is_shell` the only argument is a text for the shell, and what is filled in is quoted for it.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""  # relative to the contract file
    place: Place | None = None
    is_shell: bool = False


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where deliveries go. With `start` the command is started for the file, awaited, and ended after it."""

    url: str
    start: Command | None = None
    ready: Ready = Ready()
    stop_after_s: float = 5.0
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Signer:
    """How deliveries are signed; without a provider each fixture's own. Secrets are references: env:NAME, file:PATH."""

    provider: str | None = None
    secrets: tuple[str, ...] = ()
    tolerance_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a mock answers once."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b"{}"
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Mock:
    """Something that the receiver calls: its replies in order, the last one again and again."""

    name: str
    replies: tuple[Reply, ...] = (Reply(),)
    place: Place | None = None


class SignMode(StrEnum):
    """How a delivery gets its signature. The values are words of contract files."""

    FRESH = "fresh"
    CAPTURED = "captured"
    NONE = "none"


class HangUp(StrEnum):
    """When the sender closes the connection instead of waiting for the answer. Values are words of contract files."""

    AFTER_BODY = "after-body"
    AFTER_HEADERS = "after-headers"


@dataclass(frozen=True, slots=True)
class Statuses:
    """Which statuses are expected: numbers and classes (2 for ``2xx``), or with `is_negated` which not."""

    text: str
    codes: frozenset[int] = frozenset()
    classes: frozenset[int] = frozenset()
    is_negated: bool = False

    def allows(self, status: int) -> bool:
        """Whether `status` is one of those expected."""
        return (status in self.codes or status // 100 in self.classes) is not self.is_negated


@dataclass(frozen=True, slots=True)
class BodyExpectation:
    """What a body has to be, each None when not asked for. `subset` allows more keys, `exactly` none."""

    subset: Json = None
    exactly: Json = None
    text: str | None = None
    matches: str | None = None  # regular expression, searched
    schema: Json = None  # a JSON Schema
    absent: tuple[str, ...] = ()  # paths that must not be there

    @property
    def is_empty(self) -> bool:
        return self is ANY_BODY or self == ANY_BODY


ANY_BODY = BodyExpectation()


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the answer to a delivery has to be; None where it is not asked for.

    `headers`: by name a regular expression, or None for absent. `place` tells where each part is written (``status``,
    ``within``, ``headers``, ``body``).
    """

    statuses: Statuses | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: BodyExpectation = ANY_BODY
    within_s: float | None = None
    place: Mapping[str, Place] = field(default_factory=dict, compare=False)

    def over(self, defaults: "Expectation") -> "Expectation":
        """This one, with what it leaves open taken from `defaults`."""
        return Expectation(
            self.statuses or defaults.statuses,
            {**defaults.headers, **self.headers},
            defaults.body if self.body.is_empty else self.body,
            defaults.within_s if self.within_s is None else self.within_s,
            {**defaults.place, **self.place},
        )


@dataclass(frozen=True, slots=True)
class Timing:
    """When an effect is judged: once after the settle time, until it is there, or that it stays away."""

    eventually_s: float | None = None
    never_s: float | None = None


@dataclass(frozen=True, slots=True)
class MockEffect:
    """That the receiver called mock `mock` so often, with requests like these (method, path, body)."""

    mock: str
    count: int | None = None
    method: str | None = None
    path: str | None = None
    body: BodyExpectation = BodyExpectation()
    timing: Timing = Timing()
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class CommandEffect:
    """That a command says so: `stdout` (trimmed, exact) or `matches` (regular expression) and its exit code."""

    command: Command
    stdout: str | None = None
    matches: str | None = None
    exit_code: int = 0
    timing: Timing = Timing()
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class HttpEffect:
    """That a GET of `url` answers so."""

    url: str
    expect: Expectation
    timing: Timing = Timing()
    place: Place | None = None


Effect: TypeAlias = MockEffect | CommandEffect | HttpEffect


@dataclass(frozen=True, slots=True)
class Step:
    """One delivery of a case: a fixture (`send`) or a forged event (`trigger`), and how it is sent.

    `times` copies, `gap_s` apart, or with `is_concurrent` released at one barrier. `after_s` waits before the first.
    `edits` are (path, JSON text). `retry` names the provider whose schedule is played.
    """

    send: str | None = None
    trigger: str | None = None
    edits: tuple[tuple[str, bytes], ...] = ()
    removals: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()  # "Name: value"
    times: int = 1
    gap_s: float = 0.0
    after_s: float = 0.0
    is_concurrent: bool = False
    hang_up: HangUp | None = None
    sign: SignMode = SignMode.FRESH
    keeps_id: bool = False
    retry: str | None = None
    expect: Expectation = Expectation()
    place: Place | None = None

    @property
    def label(self) -> str:
        return self.send or self.trigger or ""


@dataclass(frozen=True, slots=True)
class Call:
    """An HTTP call that sets a sender off; ``{listener.url}`` is filled in when it is made."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class SenderExpectation:
    """What a sender has to do; what is False, None or empty is not asked for. `content` is of each attempt.

    `backoff`: the gaps between attempts grow. `place` tells where each key is written, "" the whole.
    """

    attempts: int | None = None
    is_signed: bool = False
    same_id: bool = False
    fresh_timestamp: bool = False
    backoff: bool = False
    no_redirect_followed: bool = False
    content: Expectation = Expectation()
    place: Mapping[str, Place] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Sender:
    """A sender's own contract: what sets it off, the answers to its attempts in order, how long it may take.

    `quiet_s` without an attempt have to pass before their number is believed (None: the contract's settle time).
    """

    trigger: Command | Call
    answers: tuple[Reply, ...] = (Reply(),)
    within_s: float = 10.0
    quiet_s: float | None = None
    expect: SenderExpectation = SenderExpectation()


@dataclass(frozen=True, slots=True)
class Case:
    """Deliveries in order, what has to be answered to each, and what has to have happened in the end.

    `attacks` makes a variant of each (of the one step there is); `permutations` one of each order of the steps.
    """

    name: str
    steps: tuple[Step, ...]
    attacks: tuple[str, ...] = ()
    is_permuted: bool = False
    expect: Expectation = Expectation()
    effects: tuple[Effect, ...] = ()
    has_snapshot: bool = False  # the answers are compared with those saved beside the contract
    unstable: tuple[str, ...] = ()  # paths of the answers' bodies that a snapshot leaves out
    skip: str = ""  # why it is not run now
    place: Place = NOWHERE
    sender: Sender | None = None  # a case of `sends`, without steps


@dataclass(frozen=True, slots=True)
class Contract:
    """One contract file. `origin` is its path as the user knows it; fixture paths in it are relative to its folder."""

    origin: str
    receiver: Receiver
    signer: Signer
    mocks: tuple[Mock, ...] = ()
    cases: tuple[Case, ...] = ()
    settle_s: float = 0.3
    is_parallel: bool = False
    speed: float | None = (
        None  # how much faster than the provider's a retry schedule is played; None: in seconds
    )
    reads: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # event → path → type, for drift
    sends: tuple[Case, ...] = ()  # what a sender has to do
    listener_port: int = 0  # where senders send to; 0: any that is free
