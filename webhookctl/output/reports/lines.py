"""Results as NDJSON: a line for each case, then one for the run.

Must not know how they are told while the run goes on.
"""

import json

from webhookctl.contract.result import CaseResult, RunResult
from webhookctl.output.reports.record import case_record, run_record


def ndjson(run: RunResult) -> str:
    """``case.finished`` lines, then ``run.finished``."""
    return "".join(case_line(case) for case in run.cases) + run_line(run)


def case_line(case: CaseResult) -> str:
    return json.dumps({"v": 1, "type": "case.finished", **case_record(case)}) + "\n"


def run_line(run: RunResult) -> str:
    shape = run_record(run)
    del shape["cases"]
    return json.dumps({"v": 1, "type": "run.finished", **shape}) + "\n"
