"""`contract learn`, put together: deliveries made and sent to a receiver, its mocks watched, what is read written down.

Runs in the caller's event loop; nothing that it started is left behind.
"""

import asyncio
import os
import random
import secrets as randomness
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from webhookctl import catalogue, config
from webhookctl.address import addressed, is_local, parse_endpoint
from webhookctl.contract.file import read_contract
from webhookctl.contract.learn import Learned, Reaction, learn, require_accepted
from webhookctl.contract.model import Contract, Receiver, Signer
from webhookctl.contract.play import Made
from webhookctl.contract.reads import with_reads
from webhookctl.delivery import prepare
from webhookctl.delivery.prepare import Edits
from webhookctl.errors import FixtureError, UsageError
from webhookctl.fixture import Fixture
from webhookctl.model import Request, Secret
from webhookctl.signing import Scheme
from webhookctl.wiring.project import Project, now_s
from webhookctl.wiring.sources import listener_secret, restored
from webhookctl.wiring.stage import Stage, StageOptions
from webhookctl.wiring.testing import TestPlan, load_contracts

_LOOK_S = 0.005
_QUIET_S = 0.02
NO_EVENT = "(no event)"


@dataclass(frozen=True, slots=True)
class LearnPlan:
    """Everything `contract learn` was told. Without `targets` the deliveries of the contract are taken."""

    targets: tuple[str, ...]
    to: str | None = None
    contract: Path | None = None
    provider: str | None = None
    secrets: tuple[str, ...] = ()
    max_requests: int = 2_000
    timeout_s: float = 10.0
    is_insecure: bool = False
    owns_host: bool = False


Tell = Callable[[str, int, int], None]


async def learn_reads(project: Project, plan: LearnPlan, *, tell: Tell) -> list[Learned]:
    """What the receiver reads of each delivery; `tell` hears label, paths done and paths in all.

    Raises UsageError `host-not-owned`, `deliveries-missing`, EndpointError `baseline-refused`, FixtureError.
    """
    contract = _contract(project, plan)
    saved = _deliveries(project, plan, contract)
    if "{" not in contract.receiver.url:
        _refuse_foreign(contract.receiver.url, owns_host=plan.owns_host)
    options = StageOptions(
        contract,
        timeout_s=plan.timeout_s,
        is_insecure=plan.is_insecure or project.config.insecure,
        ca_file=project.config.ca_file,
        salt=randomness.token_hex(8),
    )
    found = []
    left = plan.max_requests
    async with Stage(project, options) as stage:
        subjects = [(each, _Subject(project, stage, contract, each)) for each in saved]
        if len(subjects) > 1:  # what is wrong with the last one should not show after minutes
            for each, subject in subjects:
                await require_accepted(subject, each.name)
        for each, subject in subjects:
            learned = await learn(
                subject,
                event=each.event or NO_EVENT,
                label=each.name,
                max_requests=left,
                tell=lambda done, total, name=each.name: tell(name, done, total),  # type: ignore[misc]  # a default
            )
            left -= learned.requests
            found.append(learned)
    return found


def write_reads(path: Path, reads: dict[str, dict[str, str]]) -> None:
    """Put `reads` into the contract file at `path`, whole or not at all. Raises UsageError `contract-unwritable`."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = with_reads(file.read(), reads)
        read_contract(text.encode(), origin=str(path), environment=config.whole_environment())
        temporary = path.with_name(f".{path.name}.{randomness.token_hex(4)}")
        try:
            temporary.write_bytes(text.encode())
            temporary.chmod(path.stat().st_mode & 0o777)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError("contract-unwritable", f"{path} cannot be written: {reason}") from error


def _contract(project: Project, plan: LearnPlan) -> Contract:
    if plan.contract is None:
        url = plan.to or project.target(None).url
        return Contract("learn", Receiver(url), Signer(plan.provider, plan.secrets))
    test_plan = TestPlan((str(plan.contract),), to=plan.to, provider=plan.provider, secrets=plan.secrets)
    contracts = load_contracts(project, test_plan)
    return contracts[0]


def _refuse_foreign(url: str, *, owns_host: bool) -> None:
    endpoint = parse_endpoint(url)
    if not owns_host and not is_local(endpoint):
        raise UsageError(
            "host-not-owned",
            f"hundreds of broken deliveries to {endpoint.host} are an attack on somebody's host",
            "if it is yours, say so: --i-own-this-host",
        )


def _deliveries(project: Project, plan: LearnPlan, contract: Contract) -> list[Fixture]:
    """The fixtures that the targets mean, or events forged once; without targets those of the contract's cases."""
    folder = Path(contract.origin).parent
    targets: Sequence[str] = plan.targets or list(
        dict.fromkeys(step.label for case in contract.cases for step in case.steps if step.label)
    )
    if not targets:
        raise UsageError(
            "deliveries-missing",
            "no delivery to learn from",
            "name fixtures or events: webhookctl contract learn payment_intent.succeeded --to URL",
        )
    found: list[Fixture] = []
    for target in targets:
        found += _meant(project, target, folder, contract.signer.provider)
    return found


def _meant(project: Project, target: str, folder: Path, provider: str | None) -> list[Fixture]:
    fixtures = project.fixture_folder()
    beside = folder / target
    try:
        paths = fixtures.resolve(str(beside) if os.path.exists(beside) else target)
    except FixtureError as unknown:
        try:
            template = catalogue.resolve(target, provider=provider)
        except UsageError as error:
            hint = "; ".join(each for each in (unknown.hint, error.hint) if each)
            raise FixtureError(unknown.code, f"{unknown.message}, and no event either", hint) from None
        forged = catalogue.build(template, seed=1, now_s=now_s())
        request = Request(forged.method, forged.target, forged.headers, forged.body)
        return [Fixture(forged.event, request, forged.provider, forged.event, delivery_id=forged.delivery_id)]
    return [restored(project, fixtures.load(path)) for path in paths]


class _Subject:
    """One delivery to the receiver on the stage; implements `contract.learn.Subject`."""

    def __init__(self, project: Project, stage: Stage, contract: Contract, saved: Fixture) -> None:
        self._stage = stage
        self._contract = contract
        self._saved = saved
        provider = contract.signer.provider or saved.provider
        self._scheme: Scheme | None = None
        self._secrets: tuple[Secret, ...] = ()
        if provider is not None and (contract.signer.provider or provider in project.provider_ids()):
            self._scheme = project.scheme(provider)
            flag = contract.signer.secrets or listener_secret(project)
            self._secrets = project.secrets(provider, flag=flag)

    @property
    def body(self) -> bytes:
        return self._saved.request.body

    async def react(
        self, assignments: Sequence[tuple[str, bytes]], removals: Sequence[str], *, calls: int | None
    ) -> Reaction:
        request = self._made(Edits(tuple(assignments), tuple(removals)))
        await self._stage.revive()
        self._stage.begin()
        attempt = await self._stage.send(Made(self._saved.name, request), hang_up=None)
        await self._settle(calls)
        names = [mock.name for mock in self._contract.mocks]
        return Reaction(attempt, tuple((name, call) for name in names for call in self._stage.calls(name)))

    def _made(self, edits: Edits) -> Request:
        endpoint = parse_endpoint(self._stage.url)
        saved = self._saved
        if self._scheme is None:
            return addressed(replace(saved.request, body=edits.body(saved.request.body)), endpoint)
        url = endpoint.origin + addressed(saved.request, endpoint).target
        choose = random.Random(randomness.token_bytes(16)).choice  # noqa: S311  (an id, no secret)
        made = prepare.resign(
            saved,
            edits,
            scheme=self._scheme,
            secrets=self._secrets,
            now_s=now_s(),
            url=url,
            fresh_id=lambda old: prepare.renewed(old, choose),
        )
        return addressed(made.request, endpoint)

    async def _settle(self, calls: int | None) -> None:
        """Until the mocks had `calls` calls, at most the settle time; nothing to wait for without mocks."""
        mocks = self._contract.mocks
        if not mocks:
            return
        # Where a whole delivery calls nothing, a changed one hardly does: not worth the settle time of each.
        deadline_s = monotonic() + (_QUIET_S if calls == 0 else self._contract.settle_s)
        while monotonic() < deadline_s:
            if calls and sum(len(self._stage.calls(mock.name)) for mock in mocks) >= calls:
                return
            await asyncio.sleep(_LOOK_S)
