"""Results as TAP 14: a line for each case, a YAML block below what went wrong.

Source: testanything.org, version 14.
"""

import json

from webhookctl.contract.result import CaseResult, Outcome, RunResult
from webhookctl.output.reports.text import details, headline, title, where


def tap(run: RunResult) -> str:
    """``ok``/``not ok`` lines; skipped and unsure cases are ``ok`` with the directive SKIP."""
    lines = ["TAP version 14", f"1..{len(run.cases)}"]
    for number, case in enumerate(run.cases, start=1):
        lines += _lines(number, case)
    return "\n".join(lines) + "\n"


def _lines(number: int, case: CaseResult) -> list[str]:
    is_bad = case.outcome in (Outcome.FAILED, Outcome.ERROR)
    line = f"{'not ok' if is_bad else 'ok'} {number} - {_described(case)}"
    if case.outcome in (Outcome.SKIPPED, Outcome.UNSURE):
        line += f" # SKIP {_plain(f'{case.outcome.value}: {headline(case)}')}"
    if not is_bad:
        return [line]
    # JSON strings are YAML strings; nothing of theirs can end the block.
    return [
        line,
        "  ---",
        f"  message: {json.dumps(headline(case))}",
        f"  severity: {'error' if case.outcome is Outcome.ERROR else 'fail'}",
        f"  file: {json.dumps(where(case))}",
        f"  line: {case.contract.line}",
        f"  details: {json.dumps(details(case))}",
        "  ...",
    ]


def _described(case: CaseResult) -> str:
    return _plain(f"{where(case)}: {title(case)}")


def _plain(text: str) -> str:
    """`text` in one line; what begins a directive is escaped."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("#", "\\#")
