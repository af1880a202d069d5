"""The receivers of examples/: each passes its contract, and each mistake fails exactly the case that is about it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
DEADLINE_S = 120.0  # far above what it takes, so that a busy machine passes
FORGED = "forged deliveries are refused and do nothing"
FORGERIES = (
    "unsigned",
    "empty-signature",
    "truncated-signature",
    "wrong-secret",
    "tampered",
    "reserialised",
    "weak-algorithm",
)


@dataclass(frozen=True, slots=True)
class Example:
    """One app; `reorder` is its case about the order of events, `untimely` are the forgeries of another time."""

    folder: str
    secret_name: str
    secret: str
    reorder: str
    untimely: tuple[str, ...]

    @property
    def contract(self) -> Path:
        return next((EXAMPLES / self.folder / "contracts").glob("*.contract.toml"))

    @property
    def mistakes(self) -> dict[str, Collection[str]]:
        """Every value of BROKEN and the cases that have to fail."""
        mistakes = {
            "no-signature-check": forged(*FORGERIES, *self.untimely),
            "reserialised": forged("reserialised"),
            "accepts-stale": forged(*self.untimely),
            "not-idempotent": {"a redelivery changes nothing"},
            "dies-on-reorder": {self.reorder},
            "too-slow": {"the answer is quick"},
        }
        return {mistake: failing for mistake, failing in mistakes.items() if failing}


def forged(*names: str) -> set[str]:
    return {f"{FORGED} [{name}]" for name in names}


REFUND = "a refund may come before its payment"
VOIDING = "voiding may come before the payment"
STRIPE = ("STRIPE_WEBHOOK_SECRET", "whsec_example")
STANDARD = ("WEBHOOK_SECRET", "whsec_c2FtcGxlIHNlY3JldCBmb3IgYW4gZXhhbXBsZQ==")
ALL = [
    Example("fastapi", *STRIPE, REFUND, ("stale",)),
    Example("flask", *STANDARD, VOIDING, ("stale", "future")),
    Example("django", "GITHUB_WEBHOOK_SECRET", "example-secret", "closing may come before opening", ()),
    Example("express", *STRIPE, REFUND, ("stale",)),
]
each_example = pytest.mark.parametrize("example", ALL, ids=lambda example: example.folder)


@pytest.fixture(autouse=True)
def express_is_installed(request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["example"].folder == "express":
        if shutil.which("node") is None:
            pytest.skip("node is missing")
        if not (EXAMPLES / "express" / "node_modules" / "express").exists():
            pytest.skip("express is not installed: npm install --prefix examples/express")


def play(
    example: Example,
    folder: Path,
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    command: str = "test",
) -> "subprocess.CompletedProcess[str]":
    """`webhookctl test`, or another command, in a project of its own, so that nothing is written into examples/."""
    return subprocess.run(
        [sys.executable, "-m", "webhookctl", command, *arguments],
        cwd=folder,
        env={
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PYTHON": sys.executable,
            "PYTHONDONTWRITEBYTECODE": "1",
            example.secret_name: example.secret,
            **(environ or {}),
        },
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def cases(done: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    """The cases of the JSON report."""
    envelope = json.loads(done.stdout)
    assert envelope["exit_code"] == done.returncode
    found: list[dict[str, Any]] = envelope["data"]["cases"]
    return found


def name(case: Mapping[str, Any]) -> str:
    return f"{case['name']} [{case['variant']}]" if case["variant"] else str(case["name"])


def with_mistakes(example: Example, folder: Path) -> Path:
    """A folder of contracts, one for each mistake: the example's own, whose receiver is started with BROKEN."""
    contract = example.contract.read_text()
    contracts = folder / "contracts"
    contracts.mkdir()
    for mistake in example.mistakes:
        text = contract.replace('folder = ".."', f"folder = {json.dumps(str(EXAMPLES / example.folder))}")
        text = text.replace("env = { ", f'env = {{ BROKEN = "{mistake}", ')
        assert text.count(mistake) > contract.count(mistake)
        (contracts / f"{mistake}.contract.toml").write_text(text)
    return contracts


@each_example
def test_the_receiver_passes_its_contract(example: Example, tmp_path: Path) -> None:
    done = play(example, tmp_path, str(example.contract), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    played = cases(done)
    assert {case["outcome"] for case in played} == {"passed"}
    names = {name(case) for case in played}
    assert set().union(*example.mistakes.values()) < names  # every mistake has its case, and there are more


@each_example
def test_every_mistake_fails_exactly_the_case_that_is_about_it(example: Example, tmp_path: Path) -> None:
    done = play(example, tmp_path, str(with_mistakes(example, tmp_path)), "--json", "-j", "6")
    assert done.returncode == 1, done.stdout + done.stderr
    outcomes: dict[str, dict[str, str]] = {mistake: {} for mistake in example.mistakes}
    for case in cases(done):
        mistake = Path(case["contract"]).name.partition(".")[0]
        outcomes[mistake][name(case)] = case["outcome"]
    for mistake, failing in example.mistakes.items():
        found = {each for each, outcome in outcomes[mistake].items() if outcome == "failed"}
        assert found == failing, f"{mistake}: {done.stdout}"
        assert set(outcomes[mistake].values()) == {"passed", "failed"}


@each_example
def test_a_mistake_chosen_by_the_environment_ends_with_1_and_a_report_that_names_the_case(
    example: Example, tmp_path: Path
) -> None:
    report = tmp_path / "junit.xml"
    arguments = (str(example.contract), "--plain", "-k", "before or quick", "--report", f"junit={report}")
    done = play(example, tmp_path, *arguments, environ={"BROKEN": "dies-on-reorder"})
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"FAILED  {example.reorder}" in done.stdout
    assert "answered 500" in done.stdout
    assert "last output of the receiver:" in done.stdout  # the app's own traceback is there
    assert f"--case '{example.reorder}'" in done.stdout
    assert "1 passed, 1 failed" in done.stdout
    assert example.reorder in report.read_text()
    assert example.secret not in done.stdout + report.read_text()
