"""Results as Markdown: a table of all cases, then what went wrong. Also the step summary of GitHub.

Everything from outside is escaped: no link, no HTML, no table cell of a name's own.
"""

import re

from webhookctl.contract.result import CaseResult, Outcome, RunResult
from webhookctl.output.reports.text import details, headline, title, where

MAX_DETAILS_CHARACTERS = 250_000  # GitHub takes a summary of 1 MiB, or none of it
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&@:])")
_SIGNS = {
    Outcome.PASSED: "✅",
    Outcome.FAILED: "❌",
    Outcome.ERROR: "💥",
    Outcome.UNSURE: "❔",
    Outcome.SKIPPED: "⏭️",
}


def markdown(run: RunResult) -> str:
    """Heading with the sum, table, one section for each case that went wrong."""
    counts = ", ".join(f"{run.count(outcome)} {outcome.value}" for outcome in Outcome if run.count(outcome))
    lines = [f"## webhookctl test: {counts}", "", "| | case | contract | time | |", "|---|---|---|---:|---|"]
    lines += [_row(case) for case in run.cases]
    room = MAX_DETAILS_CHARACTERS
    for case in run.cases:
        if case.outcome in (Outcome.FAILED, Outcome.ERROR):
            heading, text = f"### {_SIGNS[case.outcome]} {_escaped(title(case))}", details(case)
            room -= len(text)
            if room < 0:
                lines += ["", "The details of the others are left out: the report has no room for them."]
                break
            lines += ["", heading, "", _fenced(text)]
    return "\n".join(lines) + "\n"


def _row(case: CaseResult) -> str:
    cells = (
        f"{_SIGNS[case.outcome]} {case.outcome.value}",
        _escaped(title(case)),
        _escaped(where(case)),
        f"{case.duration_s * 1000:,.0f} ms",
        _escaped(headline(case)),
    )
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _fenced(text: str) -> str:
    """`text` in a code block whose fence is longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
