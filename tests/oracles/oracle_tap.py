"""The TAP report read by npm's tap-parser, in its strict mode. Run by `make test-oracles` alone."""

import json
import subprocess
from typing import Any

import pytest
from judges_npm import NPM

from webhookctl.contract.result import CaseResult, Complaint, Outcome, Place, RunResult
from webhookctl.output.reports import FORMATS
from webhookctl.output.reports.text import details

HOSTILE = [
    "plain",
    "# SKIP",
    "a\\#b",
    "1..9\nok 1\n...\n---",
    "\x1b[31m\x00",
    "'\": {}[] | & * %",
    "\u2028\u0085",
    "é😀",
]


def parsed(text: str) -> dict[str, Any]:
    done = subprocess.run(
        ["node", "tap.mjs"], cwd=NPM, input=text.encode(), capture_output=True, check=True, timeout=60
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.skipif(not (NPM / "node_modules" / "tap-parser").exists(), reason="npm or tap-parser is missing")
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_tap_parser_reads_each_case_and_its_details(text: str) -> None:
    complaint = Complaint(text, text, text, text, Place("a.contract.toml", 3, 1))
    cases = tuple(
        CaseResult(
            Place("a.contract.toml", 3, 1),
            text,
            "",
            outcome,
            (complaint,) if outcome is Outcome.FAILED else (),
            (),
            1_790_000_000.0,
            0.1,
            reason="" if outcome in (Outcome.FAILED, Outcome.PASSED) else text,
        )
        for outcome in Outcome
    )
    found = parsed(FORMATS["tap"](RunResult(cases, 1_790_000_000.0, 1.0, 1)))
    assert (found["count"], found["pass"], found["fail"], found["skip"]) == (5, 3, 2, 2)
    assert (found["plan"], found["strays"]) == (5, 0)
    assert [point["ok"] for point in found["points"]] == [True, False, False, True, True]
    assert [bool(point["skip"]) for point in found["points"]] == [False, False, False, True, True]
    assert found["points"][1]["diag"]["details"] == details(cases[1])
    assert found["points"][2]["diag"]["severity"] == "error"
