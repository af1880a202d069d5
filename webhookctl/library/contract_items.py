"""Contract files as pytest tests: one item for each case and variant, the receiver started once for the file.

Loaded only where the ini value `webhook_contracts` asks for it.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from webhookctl.contract.file import read_contract
from webhookctl.contract.model import Case, Contract
from webhookctl.contract.play import Variant, play, variants
from webhookctl.contract.result import CaseResult, Outcome
from webhookctl.errors import WebhookctlError
from webhookctl.library.background import Background
from webhookctl.output.reports.text import details

_TIMEOUT_S = 30.0


class _BrokenContractError(Exception):
    """What a test shows: the text alone, no traceback."""


class ContractFile(pytest.File):
    """One contract file: its stage is set up before its first case and taken down after its last."""

    _contract: Contract

    def collect(self) -> Iterator[pytest.Item]:
        from webhookctl import config

        try:
            origin = str(self.path.relative_to(self.config.rootpath))
        except ValueError:
            origin = str(self.path)
        try:
            self._contract = read_contract(
                self.path.read_bytes(), origin=origin, environment=config.whole_environment()
            )
        except WebhookctlError as error:
            raise self.CollectError(f"{error.message}\nhint: {error.hint}") from None
        for case in self._contract.cases:
            for variant in variants(case, seed=0):
                name = f"{case.name} [{variant.name}]" if variant.name else case.name
                item = ContractItem.from_parent(self, name=name, case=case, variant=variant)
                item.add_marker(pytest.mark.xdist_group(origin))
                yield item

    def setup(self) -> None:
        import secrets

        from webhookctl.wiring.project import open_project
        from webhookctl.wiring.stage import Stage, StageOptions

        contract = self._contract
        self._background = Background(f"webhookctl-{self.name}")
        options = StageOptions(contract, _TIMEOUT_S, False, None, secrets.token_hex(8))
        try:
            self.stage = Stage(open_project(self.config.rootpath), options)
            self._background.run(self.stage.__aenter__())
        except WebhookctlError as error:
            self._background.close()
            output = getattr(error, "output", "")
            raise _BrokenContractError(f"{error.message}\nhint: {error.hint}\n{output}".rstrip()) from None
        self.addfinalizer(self._end)

    def _end(self) -> None:
        self._background.run(self.stage.__aexit__(None, None, None))
        self._background.close()

    def play(self, case: Case, variant: Variant) -> CaseResult:
        from webhookctl.wiring.testing import validate_by_schema

        async def work() -> CaseResult:
            await self.stage.revive()
            return await play(self._contract, case, variant, self.stage, validate=validate_by_schema)

        return self._background.run(work())


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
        if result.outcome is not Outcome.PASSED:
            raise _BrokenContractError(f"{result.outcome.value}\n{details(result)}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, _BrokenContractError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int, str]:
        return self.path, max(self._case.place.line - 1, 0), self.name
