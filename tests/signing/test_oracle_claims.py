"""What the schemes say of their witnesses is what the oracle files run, no more and no less."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from webhookctl.signing import load, provider_ids

FOLDER = Path(__file__).parents[1] / "oracles"
OWN_TEST = {("paypal", "paypalrestsdk")}  # of its SDK only the text that is signed: oracle_signers.py


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """Every (provider, package) that `make test-oracles` lets judge."""
    monkeypatch.syspath_prepend(str(FOLDER))
    found = set()
    for path in sorted(FOLDER.glob("judges_*.py")):
        module = import_module(path.stem)
        found |= {(oracle.provider, oracle.package) for oracle in module.ORACLES}
    for name in [name for name in sys.modules if name == "judge" or name.startswith("judges_")]:
        del sys.modules[name]
    return found


def package(witness: str) -> str:
    """``stripe`` of ``pypi:stripe==16.1.0 …``, ``npm:pusher`` of ``npm:pusher@5.3.4 …``."""
    name = witness.partition(" ")[0]
    return name[5:].partition("==")[0] if name.startswith("pypi:") else name.rpartition("@")[0]


def test_every_witness_is_run_and_every_judge_is_named(judged: set[tuple[str, str]]) -> None:
    claimed = {(one, package(witness)) for one in provider_ids() for witness in load(one).verified_with}
    assert claimed == judged | OWN_TEST


def test_a_witness_that_is_not_run_again_is_not_claimed_to_be(judged: set[tuple[str, str]]) -> None:
    once = {(one, package(witness)) for one in provider_ids() for witness in load(one).verified_once}
    assert len(once) > 20
    assert not once & judged


def test_what_is_verified_has_a_witness_and_nothing_else_has_one() -> None:
    for provider in provider_ids():
        assert load(provider).is_verified is bool(load(provider).verified_with)
