"""The CI templates of docs/ci: right by their schemas, and their scripts run as the runners would run them."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "docs" / "ci" / "action.yml"
GITLAB = ROOT / "docs" / "ci" / "gitlab-ci.yml"
GUIDE = ROOT / "docs" / "how-to" / "ci.md"
FASTAPI = ROOT / "examples" / "fastapi"
FORGED = "forged deliveries are refused and do nothing"
DEADLINE_S = 120.0


def read(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def snippets() -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def complaints(schema: str, path: Path) -> str:
    """What the packaged schema of the runner's makers has to say, "" when nothing."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "path"),
    [("vendor.github-actions", ACTION), ("vendor.gitlab-ci", GITLAB)],
    ids=["github", "gitlab"],
)
def test_the_templates_are_right_by_the_schema_of_their_runner(schema: str, path: Path) -> None:
    assert complaints(schema, path) == ""


def test_the_workflows_of_the_guide_are_right_by_their_schemas(tmp_path: Path) -> None:
    seen = set()
    for number, snippet in enumerate(snippets()):
        kind = "github-workflows" if "on" in read(snippet) else "gitlab-ci"
        path = tmp_path / f"{number}.yml"
        path.write_text(snippet)
        assert complaints(f"vendor.{kind}", path) == "", snippet
        seen.add(kind)
    assert seen == {"github-workflows", "gitlab-ci"}


def test_the_workflows_of_the_guide_give_the_action_only_inputs_it_has() -> None:
    inputs = read(ACTION.read_text())["inputs"].keys()
    given = [
        step.get("with", {})
        for snippet in snippets()
        for job in read(snippet).get("jobs", {}).values()
        for step in job["steps"]
        if step.get("uses", "").endswith("webhookctl-test")
    ]
    assert given
    assert {name for each in given for name in each} <= set(inputs)


def test_every_script_is_one_that_bash_can_read() -> None:
    steps = read(ACTION.read_text())["runs"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    scripts += read(GITLAB.read_text())[".webhookctl-test"]["script"]
    assert len(scripts) >= 6
    for script in scripts:
        done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), script


def test_no_input_is_pasted_into_a_script() -> None:
    """Else whoever names a branch could run a command of theirs: inputs go through the environment."""
    assert "${{" not in "".join(step.get("run", "") for step in read(ACTION.read_text())["runs"]["steps"])


class Runner:
    """As much of a runner as the action needs: its inputs, and its steps run by name in one workspace."""

    def __init__(self, workspace: Path, inputs: Mapping[str, str], environ: Mapping[str, str]) -> None:
        action = read(ACTION.read_text())
        self._steps = {step["name"]: step for step in action["runs"]["steps"]}
        self._inputs = {
            **{name: str(each["default"]) for name, each in action["inputs"].items()},
            **inputs,
        }
        self.workspace = workspace
        self.summary = workspace / "summary.md"
        self._environ = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(workspace),
            "RUNNER_TEMP": str(workspace),
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(workspace),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "STRIPE_WEBHOOK_SECRET": "whsec_example",
            **environ,
        }
        self._groups: list[int] = []

    def run(self, name: str) -> tuple[int, str]:
        """Exit code and output of the step, whose processes live on until `close`."""
        step = self._steps[name]
        given = {
            key: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", self._input, text)
            for key, text in step["env"].items()
        }
        output = self.workspace / "output"
        with output.open("wb") as stdout:
            process = subprocess.Popen(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=self.workspace,
                env=self._environ | given,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._groups.append(process.pid)
            code = process.wait(DEADLINE_S)
        return code, output.read_text()

    def _input(self, match: re.Match[str]) -> str:
        return str(self._inputs[match[1]])

    def close(self) -> None:
        for group in self._groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue


def copied(tmp_path: Path) -> Path:
    """The FastAPI example in a repository of its own."""
    shutil.copytree(FASTAPI, tmp_path, ignore=shutil.ignore_patterns(".webhookctl"), dirs_exist_ok=True)
    return tmp_path


def test_the_action_annotates_a_broken_receiver_sums_it_up_and_keeps_a_report(tmp_path: Path) -> None:
    runner = Runner(copied(tmp_path), {"options": "-k stale"}, {"BROKEN": "accepts-stale"})
    try:
        code, output = runner.run("Play the contracts")
    finally:
        runner.close()
    assert code == 1, output
    assert re.search(r"^::error file=contracts/stripe\.contract\.toml,.*line=\d+", output, re.MULTILINE), (
        output
    )
    assert f"{FORGED} [stale]" in runner.summary.read_text()
    assert "<testcase" in (tmp_path / "webhookctl.junit.xml").read_text()


def test_the_action_starts_a_receiver_awaits_it_and_plays_against_it(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    inputs = {
        "start": f"{sys.executable} -m uvicorn app:app --port {port}",
        "url": f"http://127.0.0.1:{port}/webhooks/stripe",
        "options": "-k quick",
    }
    runner = Runner(copied(tmp_path), inputs, {})
    try:
        code, output = runner.run("Start the receiver")
        assert code == 0, output
        code, output = runner.run("Play the contracts")
    finally:
        runner.close()
    assert code == 0, output
    assert "1 passed" in output
    assert '"POST /webhooks/stripe HTTP/1.1" 200' in (tmp_path / "receiver.log").read_text()
