"""`test`, put together: contracts found, receivers and mocks started, cases played, results told as they come.

Runs in the caller's event loop; nothing that it started is left behind.
"""

import asyncio
import secrets as randomness
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from time import monotonic

from webhookctl import config
from webhookctl.contract import play
from webhookctl.contract.file import read_contract, read_expectation
from webhookctl.contract.model import Case, Contract, Expectation, Receiver, Signer, Step
from webhookctl.contract.play import Variant, variants
from webhookctl.contract.result import CaseResult, Outcome, Place, RunResult
from webhookctl.errors import FixtureError, UsageError, WebhookctlError
from webhookctl.wiring.project import Project, now_s
from webhookctl.wiring.stage import Stage, StageOptions

SUFFIX = ".contract.toml"
_FOLDER = "contracts"
_MAX_FILE_BYTES = 1024 * 1024
_SUCCESS = read_expectation({"status": "2xx"}, origin="the default")

Validate = Callable[[object, object], Sequence[str]]


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


def load_contracts(project: Project, plan: TestPlan) -> list[Contract]:
    """The contracts that the paths mean; without paths those of the project's `contracts` folder, else its fixtures.

    Raises UsageError `contract-invalid`, `contract-unreadable`, `endpoint-missing`, FixtureError `fixture-unknown`.
    """
    paths = plan.paths or _usual_paths(project)
    contracts: list[Contract] = []
    for text in paths:
        path = Path(text)
        found = sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else []
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
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError("contract-unreadable", f"{path} cannot be read: {error.strerror}") from error
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
    url = plan.to or project.target(None).url
    folder = project.fixture_folder()
    cases = []
    for path in folder.resolve(target):
        saved = folder.load(path)
        provider = plan.provider or saved.provider
        limit_s = None
        if provider in project.provider_ids():
            limit_s = project.scheme(provider).delivery.timeout_s
        own = read_expectation(saved.expect, origin=str(path)) if saved.expect else Expectation()
        name = _shown(path)
        cases.append(
            Case(
                name=name,
                steps=(Step(send=str(path.resolve())),),
                expect=own.over(replace(_SUCCESS, within_s=limit_s)),
                place=Place(name),
            )
        )
    return Contract(target, Receiver(url), Signer(plan.provider, plan.secrets), cases=tuple(cases))


def _shown(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


@dataclass(slots=True)
class _Run:
    """What the contracts of one run share."""

    project: Project
    plan: TestPlan
    validate: Validate
    tell: Callable[[CaseResult], None]
    results: list[CaseResult]
    salt: str

    @property
    def is_enough(self) -> bool:
        limit = self.plan.max_failures
        bad = (Outcome.FAILED, Outcome.ERROR)
        return limit is not None and sum(result.outcome in bad for result in self.results) >= limit

    def take(self, result: CaseResult) -> None:
        self.results.append(result)
        self.tell(result)


async def run_tests(
    project: Project,
    contracts: Sequence[Contract],
    plan: TestPlan,
    *,
    validate: Validate,
    tell: Callable[[CaseResult], None],
) -> RunResult:
    """Play every case of `contracts` that is selected; `tell` gets each result as it is there.

    Raises FixtureError `tests-missing` when nothing is selected.
    """
    started_at_s, start_s = now_s(), monotonic()
    if not selected_ids(contracts, plan):
        raise FixtureError("tests-missing", "no case is selected", "webhookctl test --list shows them all")
    run = _Run(project, plan, validate, tell, [], randomness.token_hex(8))
    turns = asyncio.Semaphore(plan.jobs)

    async def play_one(contract: Contract) -> None:
        async with turns:
            await _play_contract(contract, run)

    async with asyncio.TaskGroup() as group:
        for contract in contracts:
            group.create_task(play_one(contract), name=f"test {contract.origin}")
    order = {contract.origin: number for number, contract in enumerate(contracts)}
    run.results.sort(key=lambda result: order.get(result.contract.path, 0))
    return RunResult(tuple(run.results), started_at_s, monotonic() - start_s, plan.seed)


def selected_ids(contracts: Sequence[Contract], plan: TestPlan) -> list[str]:
    """The ids of everything that would be played, in order."""
    return [
        each
        for contract in contracts
        for case in contract.cases
        for variant in variants(case, seed=plan.seed)
        if plan.selects(each := case_id(contract, case, variant))
    ]


def case_id(contract: Contract, case: Case, variant: Variant) -> str:
    """``contracts/stripe.contract.toml::a redelivery changes nothing [tampered]``: what -k and --case look at."""
    shown = f"{case.name} [{variant.name}]" if variant.name else case.name
    return f"{contract.origin}::{shown}"


async def _play_contract(contract: Contract, run: _Run) -> None:
    plan = run.plan
    work = [
        (case, variant, number)
        for number in range(plan.repeat)
        for case in contract.cases
        for variant in variants(case, seed=plan.seed)
        if plan.selects(case_id(contract, case, variant))
    ]
    if not work or run.is_enough:
        return
    options = StageOptions(
        contract, timeout_s=plan.timeout_s, is_insecure=plan.is_insecure, ca_file=plan.ca_file, salt=run.salt
    )
    async with AsyncExitStack() as stack:
        try:
            stage = await stack.enter_async_context(Stage(run.project, options))
        except WebhookctlError as error:
            for case, variant, _ in work:
                run.take(_unplayed(contract, case, variant, error, plan))
            return
        if contract.is_parallel and plan.jobs > 1:
            turns = asyncio.Semaphore(plan.jobs)

            async def one(case: Case, variant: Variant, number: int) -> None:
                async with turns:
                    await _play_case(contract, case, variant, number, stage, run)

            async with asyncio.TaskGroup() as group:
                for case, variant, number in work:
                    group.create_task(one(case, variant, number), name=case.name)
        else:
            for case, variant, number in work:
                await _play_case(contract, case, variant, number, stage, run)


async def _play_case(
    contract: Contract, case: Case, variant: Variant, number: int, stage: Stage, run: _Run
) -> None:
    if run.is_enough:
        return
    try:
        await stage.revive()
    except WebhookctlError as error:
        run.take(_unplayed(contract, case, variant, error, run.plan))
        return
    result = await play.play(contract, case, variant, stage, validate=run.validate, run=number)
    run.take(
        replace(
            result,
            contract=_place(contract, case),
            reproduction=reproduction(contract, case, variant, run.plan),
        )
    )


def _place(contract: Contract, case: Case) -> Place:
    return replace(case.place, path=contract.origin)


def _unplayed(
    contract: Contract, case: Case, variant: Variant, error: WebhookctlError, plan: TestPlan
) -> CaseResult:
    """The result of a case whose receiver never came up."""
    return CaseResult(
        contract=_place(contract, case),
        name=case.name,
        variant=variant.name,
        outcome=Outcome.ERROR,
        complaints=(),
        deliveries=(),
        started_at_s=now_s(),
        duration_s=0.0,
        reason=f"{error.message}; {error.hint}" if error.hint else error.message,
        output=getattr(error, "output", ""),
        reproduction=reproduction(contract, case, variant, plan),
    )


def reproduction(contract: Contract, case: Case, variant: Variant, plan: TestPlan) -> str:
    """The command that plays this case alone."""
    words = ["webhookctl", "test", quote(contract.origin), "--case", quote(_case_name(case, variant))]
    if plan.to:
        words += ["--to", quote(plan.to)]
    if plan.provider:
        words += ["--provider", quote(plan.provider)]
    for secret in plan.secrets:
        words += ["--secret", quote(secret) if secret.startswith(("env:", "file:")) else "env:NAME"]
    return " ".join([*words, "--seed", str(plan.seed)])


def _case_name(case: Case, variant: Variant) -> str:
    return f"{case.name} [{variant.name}]" if variant.name else case.name


def validate_by_schema(schema: object, value: object) -> list[str]:
    """What is wrong with `value` by the JSON Schema. Raises UsageError `schema-missing` without jsonschema."""
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        raise UsageError(
            "schema-missing",
            "expectations with `schema` need the package jsonschema",
            "pip install 'webhookctl[schema]'",
        ) from None
    errors = sorted(Draft202012Validator(schema).iter_errors(value), key=lambda error: list(error.path))
    return [
        f"{'.'.join(str(step) for step in error.path) or 'the body'}: {error.message}" for error in errors[:5]
    ]
