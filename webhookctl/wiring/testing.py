"""`test`, put together: contracts found, receivers and mocks started, cases played, results told as they come.

Runs in the caller's event loop; nothing that it started is left behind.
"""

import asyncio
import os
import secrets as randomness
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from time import monotonic

from webhookctl import config
from webhookctl.address import parse_endpoint
from webhookctl.contract.expectation import read_expectation
from webhookctl.contract.file import read_contract
from webhookctl.contract.judge import Validate
from webhookctl.contract.model import Case, Contract, Expectation, Receiver, Signer, Step
from webhookctl.contract.play import Variant, play, variants
from webhookctl.contract.result import CaseResult, Outcome, Place, RunResult
from webhookctl.contract.sender import play_sender
from webhookctl.errors import FixtureError, UsageError, WebhookctlError
from webhookctl.wiring.attacking import refuse_foreign
from webhookctl.wiring.deliveries import Deliveries
from webhookctl.wiring.last_failed import last_failed, remember
from webhookctl.wiring.project import Project, now_s
from webhookctl.wiring.schemas import validate_by_schema
from webhookctl.wiring.senders import sender_secrets
from webhookctl.wiring.stage import Stage, StageOptions

__all__ = ["SUFFIX", "TestPlan", "TestRun", "load_contracts", "validate_by_schema"]

SUFFIX = ".contract.toml"
_FOLDER = "contracts"
_MAX_FILE_BYTES = 1024 * 1024
_PATH_HINT = "name contract files, fixtures, or folders of them"
_SUCCESS = read_expectation({"status": "2xx"}, origin="the default")


@dataclass(frozen=True, slots=True)
class TestPlan:
    """Everything `test` was told. Times in seconds; `selects` says of a result id whether it is to be played."""

    __test__ = False  # pytest would take it for tests

    paths: tuple[str, ...] = ()
    to: str | None = None
    provider: str | None = None
    secrets: tuple[str, ...] = ()
    selects: Callable[[str], bool] = lambda _: True
    jobs: int = 1
    repeat: int = 1
    seed: int = 0
    max_failures: int | None = None
    timeout_s: float = 30.0
    is_insecure: bool = False
    ca_file: Path | None = None
    is_updating: bool = False  # snapshots are written anew
    is_last_failed: bool = False  # only what failed last time, everything when nothing did
    owns_host: bool = False  # forgeries may go to a host that is not local


def load_contracts(project: Project, plan: TestPlan) -> list[Contract]:
    """The contracts that the paths mean; without paths those of the project's `contracts` folder, else its fixtures.

    Raises UsageError `contract-invalid`, `contract-unreadable`, `endpoint-missing`, FixtureError `fixture-unknown`.
    """
    paths = plan.paths or _usual_paths(project)
    contracts: list[Contract] = []
    for text in paths:
        path = Path(text)
        found = sorted(path.rglob(f"*{SUFFIX}")) if os.path.isdir(path) else []
        if path.name.endswith(SUFFIX):
            found = [path]
        if found:
            contracts.extend(_overridden(_read(each), plan) for each in found)
        else:
            contracts.append(_of_fixtures(project, text, plan))
    return contracts


def _usual_paths(project: Project) -> tuple[str, ...]:
    folder = project.config.root / _FOLDER
    if any(folder.rglob(f"*{SUFFIX}")):
        return (str(folder),)
    if project.config.fixtures.is_dir():
        return (str(project.config.fixtures),)
    raise FixtureError(
        "tests-missing",
        f"nothing to test: no {_FOLDER}/*{SUFFIX} and no fixtures in this project",
        "webhookctl test FIXTURES --to http://localhost:3000/webhooks tests with saved deliveries",
    )


def _read(path: Path) -> Contract:
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError("contract-unreadable", f"{path} is no plain file", _PATH_HINT)
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(
            "contract-unreadable", f"{path} cannot be read: {error.strerror}", _PATH_HINT
        ) from error
    if len(data) > _MAX_FILE_BYTES:
        raise UsageError("contract-unreadable", f"{path} is larger than 1 MiB", "a contract is a few lines")
    return read_contract(data, origin=_shown(path), environment=config.whole_environment())


def _overridden(contract: Contract, plan: TestPlan) -> Contract:
    """`contract` with what the command line says instead: --to, --provider, --secret."""
    if plan.to:
        contract = replace(contract, receiver=Receiver(plan.to, place=contract.receiver.place))
    if plan.provider or plan.secrets:
        signer = contract.signer
        contract = replace(
            contract,
            signer=replace(
                signer, provider=plan.provider or signer.provider, secrets=plan.secrets or signer.secrets
            ),
        )
    return contract


def _of_fixtures(project: Project, target: str, plan: TestPlan) -> Contract:
    """Each fixture that `target` means as a case: delivered, answered 2xx within the provider's own time limit."""
    folder = project.fixture_folder()
    paths = folder.resolve(target)
    url = plan.to or project.target(None).url
    cases = []
    for path in paths:
        saved = folder.load(path)
        provider = plan.provider or saved.provider
        limit_s = None
        if provider in project.provider_ids():
            limit_s = project.scheme(provider).delivery.timeout_s
        own = _own_expectation(saved.expect, origin=str(path))
        name = _shown(path)
        cases.append(
            Case(
                name=name,
                steps=(Step(send=str(path.resolve())),),
                expect=own.over(replace(_SUCCESS, within_s=limit_s)),
                place=Place(target),
            )
        )
    return Contract(target, Receiver(url), Signer(plan.provider, plan.secrets), cases=tuple(cases))


def _own_expectation(content: Mapping[str, object] | None, *, origin: str) -> Expectation:
    """``[expect]`` of a fixture. Raises FixtureError `fixture-invalid`."""
    if not content:
        return Expectation()
    try:
        return read_expectation(content, origin=origin)
    except UsageError as error:
        raise FixtureError("fixture-invalid", error.message, error.hint) from error


def _shown(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


@dataclass(frozen=True, slots=True)
class Work:
    """One case in one variant; `number` tells repetitions apart."""

    contract: Contract
    case: Case
    variant: Variant
    number: int = 0

    @property
    def name(self) -> str:
        """``a redelivery changes nothing [tampered]``"""
        return f"{self.case.name} [{self.variant.name}]" if self.variant.name else self.case.name

    @property
    def id(self) -> str:
        """``contracts/stripe.contract.toml::a redelivery changes nothing [tampered]``: what -k and --case look at."""
        return f"{self.contract.origin}::{self.name}"


def selected(project: Project, contracts: Sequence[Contract], plan: TestPlan) -> list[Work]:
    """Everything that would be played once, in order."""
    found = [
        work
        for contract in contracts
        for case in (*contract.cases, *contract.sends)
        for variant in variants(case, seed=plan.seed)
        if plan.selects((work := Work(contract, case, variant)).id)
    ]
    if plan.is_last_failed:
        failed = last_failed(project.state)
        return [work for work in found if work.id in failed] or found
    return found


@dataclass(slots=True)
class TestRun:
    """One run of `test`: made from contracts (everything they need is read), then played.

    Raises FixtureError `tests-missing` when nothing is selected, and what a delivery that cannot be made raises.
    """

    __test__ = False

    project: Project
    contracts: Sequence[Contract]
    plan: TestPlan
    results: list[CaseResult] = field(default_factory=list)
    _salt: str = field(default_factory=lambda: randomness.token_hex(8))
    _deliveries: dict[str, Deliveries] = field(default_factory=dict)
    _work: list[Work] = field(default_factory=list)
    _tell: Callable[[CaseResult], None] = lambda _: None
    _begin: Callable[[Work], None] = lambda _: None

    def __post_init__(self) -> None:
        self._work = selected(self.project, self.contracts, self.plan)
        if not self._work:
            raise FixtureError(
                "tests-missing", "no case is selected", "webhookctl test --list shows them all"
            )
        for work in self._work:
            if work.case.attacks and not self.plan.owns_host:
                _refuse_foreign(work.contract.receiver.url)
        for contract in self.contracts:
            steps = [step for work in self._work if work.contract is contract for step in work.case.steps]
            folder = Path(contract.origin).parent
            deliveries = Deliveries(self.project, contract, salt=self._salt, folder=folder)
            deliveries.load(iter(steps))
            self._deliveries[contract.origin] = deliveries

    @property
    def total(self) -> int:
        """How many results there will be."""
        return len(self._work) * self.plan.repeat

    def secret_values(self) -> set[str]:
        """The secrets that its deliveries are signed with, to be erased wherever they stand."""
        mine = {value for each in self._deliveries.values() for value in each.secret_values()}
        return mine.union(*(sender_secrets(self.project, contract) for contract in self.contracts))

    async def play(
        self,
        *,
        validate: Validate,
        tell: Callable[[CaseResult], None],
        begin: Callable[[Work], None] = lambda _: None,
    ) -> RunResult:
        """Play it all; `begin` is told of each case before, `tell` gets each result as it is there."""
        started_at_s, start_s = now_s(), monotonic()
        self._tell, self._begin = tell, begin
        turns = asyncio.Semaphore(self.plan.jobs)

        async def in_turn(contract: Contract) -> None:
            async with turns:
                await self._play_contract(contract, validate)

        try:
            async with asyncio.TaskGroup() as group:
                for contract in self.contracts:
                    group.create_task(in_turn(contract), name=f"test {contract.origin}")
        except ExceptionGroup as several:
            raise _first(several) from None
        place = {work.id: number for number, work in enumerate(self._work)}
        self.results.sort(key=lambda result: place[f"{result.contract.path}::{result.id}"])
        self._remember()
        return RunResult(tuple(self.results), started_at_s, monotonic() - start_s, self.plan.seed)

    async def _play_contract(self, contract: Contract, validate: Validate) -> None:
        mine = [work for work in self._work if work.contract is contract]
        work = [replace(each, number=number) for number in range(self.plan.repeat) for each in mine]
        if not work or self._is_enough:
            return
        plan = self.plan
        options = StageOptions(
            contract,
            timeout_s=plan.timeout_s,
            is_insecure=plan.is_insecure,
            ca_file=plan.ca_file,
            salt=self._salt,
            is_updating=plan.is_updating,
        )
        async with AsyncExitStack() as stack:
            try:
                stage = Stage(self.project, options, deliveries=self._deliveries[contract.origin])
                await stack.enter_async_context(stage)
            except WebhookctlError as error:
                for each in work:
                    self._take(self._unplayed(each, error))
                return
            if not contract.is_parallel:
                for each in work:
                    await self._play_one(each, stage, validate)
                return
            turns = asyncio.Semaphore(plan.jobs)

            async def in_turn(each: Work) -> None:
                async with turns:
                    await self._play_one(each, stage, validate)

            async with asyncio.TaskGroup() as group:
                for each in work:
                    group.create_task(in_turn(each), name=each.id)

    async def _play_one(self, work: Work, stage: Stage, validate: Validate) -> None:
        if self._is_enough:
            return
        self._begin(work)
        try:
            await stage.quiet()
            await stage.revive()
        except WebhookctlError as error:
            self._take(self._unplayed(work, error))
            return
        if work.case.sender is not None:
            result = await play_sender(work.contract, work.case, stage, validate=validate)
        else:
            result = await play(
                work.contract, work.case, work.variant, stage, validate=validate, run=work.number
            )
        if result.outcome is not Outcome.PASSED:  # nobody plays again what is well, and making the line costs
            result = replace(result, reproduction=self._reproduction(work))
        self._take(result)

    @property
    def _is_enough(self) -> bool:
        limit = self.plan.max_failures
        return limit is not None and sum(_is_bad(result) for result in self.results) >= limit

    def _take(self, result: CaseResult) -> None:
        self.results.append(result)
        self._tell(result)

    def _unplayed(self, work: Work, error: WebhookctlError) -> CaseResult:
        """The result of a case whose receiver never came up."""
        return CaseResult(
            contract=work.case.place,
            name=work.case.name,
            variant=work.variant.name,
            outcome=Outcome.ERROR,
            complaints=(),
            deliveries=(),
            started_at_s=now_s(),
            duration_s=0.0,
            reason=f"{error.message}; {error.hint}" if error.hint else error.message,
            output=getattr(error, "output", ""),
            reproduction=self._reproduction(work),
        )

    def _reproduction(self, work: Work) -> str:
        """The command that plays this case alone."""
        plan = self.plan
        words = ["webhookctl", "test", quote(work.contract.origin), "--case", quote(work.name)]
        if plan.to:
            words += ["--to", quote(plan.to)]
        if plan.provider:
            words += ["--provider", quote(plan.provider)]
        for secret in plan.secrets:
            words += ["--secret", quote(secret) if secret.startswith(("env:", "file:")) else "env:NAME"]
        return " ".join([*words, *(["--seed", str(plan.seed)] if work.case.is_permuted else [])])

    def _remember(self) -> None:
        ids: dict[str, bool] = {}
        for result in self.results:
            each = f"{result.contract.path}::{result.id}"
            ids[each] = ids.get(each, False) or _is_bad(result)
        remember(self.project.state, failed=_those(ids, is_bad=True), passed=_those(ids, is_bad=False))


def _refuse_foreign(url: str) -> None:
    if "{" not in url:  # else it is started here
        refuse_foreign(parse_endpoint(url))


def _first(error: Exception) -> Exception:
    """The one error that a user can act on, out of groups in groups."""
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


def _is_bad(result: CaseResult) -> bool:
    return result.outcome in (Outcome.FAILED, Outcome.ERROR)


def _those(ids: Mapping[str, bool], *, is_bad: bool) -> Collection[str]:
    return [each for each, bad in ids.items() if bad is is_bad]
