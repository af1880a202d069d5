"""Contract files as pytest tests: one item for each case and variant, the receiver started once for the file.

Loaded only where the ini value `webhook_contracts` asks for it.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from webhookctl import config
from webhookctl.contract.file import read_contract
from webhookctl.contract.model import Case, Contract
from webhookctl.contract.play import Variant, play, variants
from webhookctl.contract.result import CaseResult, Outcome
from webhookctl.contract.sender import play_sender
from webhookctl.errors import WebhookctlError
from webhookctl.formats import safe_text
from webhookctl.library.answer import erased
from webhookctl.library.background import Background
from webhookctl.model import Secret
from webhookctl.output.reports.text import details
from webhookctl.wiring.deliveries import Deliveries
from webhookctl.wiring.project import open_project
from webhookctl.wiring.reporting import Eraser
from webhookctl.wiring.schemas import validate_by_schema
from webhookctl.wiring.stage import Stage, StageOptions

_TIMEOUT_S = 30.0


class ContractFile(pytest.File):
    """One contract file: its stage is set up before its first case and taken down after its last."""

    _contract: Contract
    _deliveries: Deliveries | None = None

    def collect(self) -> Iterator[pytest.Item]:
        origin = self._origin()
        try:
            self._contract = read_contract(
                self.path.read_bytes(), origin=origin, environment=config.whole_environment()
            )
        except WebhookctlError as error:
            raise self.CollectError(_words(error)) from None
        for case in (*self._contract.cases, *self._contract.sends):
            for variant in variants(case, seed=0):
                name = f"{case.name} [{variant.name}]" if variant.name else case.name
                item = ContractItem.from_parent(self, name=name, case=case, variant=variant)
                item.add_marker(pytest.mark.xdist_group(origin))
                yield item

    def _origin(self) -> str:
        """The file as people name it: from the root directory, where it is below it."""
        root = self.config.rootpath
        return str(self.path.relative_to(root) if self.path.is_relative_to(root) else self.path)

    def setup(self) -> None:
        contract, folder, salt = self._contract, self.path.parent, secrets.token_hex(8)
        background = Background(f"webhookctl-{self.name}")
        self.addfinalizer(background.close)
        try:
            project = open_project(self.config.rootpath)
            self._deliveries = deliveries = Deliveries(project, contract, salt=salt, folder=folder)
            deliveries.load(step for case in contract.cases for step in case.steps)
            options = StageOptions(contract, _TIMEOUT_S, False, None, salt, Path(folder))
            stage = Stage(project, options, deliveries=deliveries)
            background.run(stage.__aenter__())
        except WebhookctlError as error:
            self._fail(error)
        self.addfinalizer(lambda: background.run(stage.__aexit__(None, None, None)))
        self._background, self._stage = background, stage
        self._eraser = Eraser(project, deliveries.secret_values())

    def play(self, case: Case, variant: Variant) -> CaseResult:
        """The result of one case in one variant, without secrets."""

        async def work() -> CaseResult:
            await self._stage.quiet()
            await self._stage.revive()
            if case.sender is not None:
                return await play_sender(self._contract, case, self._stage, validate=validate_by_schema)
            return await play(self._contract, case, variant, self._stage, validate=validate_by_schema)

        try:
            return self._eraser.case(self._background.run(work()))
        except WebhookctlError as error:  # the receiver has died and does not come back
            self._fail(error)

    def _fail(self, error: WebhookctlError) -> NoReturn:
        text = f"error: {_words(error)}\n{safe_text(getattr(error, 'output', ''))}".rstrip()
        used = self._deliveries.secret_values() if self._deliveries is not None else ()
        pytest.fail(erased(text, map(Secret, used)), pytrace=False)


class ContractItem(pytest.Item):
    """One case, in one variant."""

    def __init__(self, *, case: Case, variant: Variant, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._case = case
        self._variant = variant

    def runtest(self) -> None:
        assert isinstance(self.parent, ContractFile)
        result = self.parent.play(self._case, self._variant)
        if result.outcome is Outcome.SKIPPED:
            pytest.skip(result.reason)
        if result.outcome is Outcome.UNSURE:
            pytest.skip(f"unsure: {result.reason}")
        if result.outcome is not Outcome.PASSED:
            mark = "error: " if result.outcome is Outcome.ERROR else ""
            pytest.fail(f"{mark}{details(result)}", pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, max(self._case.place.line - 1, 0), self.name


def _words(error: WebhookctlError) -> str:
    return "\n".join([error.message, *getattr(error, "__notes__", [])])
