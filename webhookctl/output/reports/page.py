"""Results as one HTML file: no script, nothing fetched, everything from outside escaped.

Readable without colours; light and dark.
"""

from html import escape

from webhookctl.contract.result import CaseResult, Outcome, RunResult
from webhookctl.output.record import timestamp
from webhookctl.output.reports.text import details, headline, title, where

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--bad:#c22;--ok:#297a38;--dim:#777}
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid var(--line);padding:.3rem .6rem;text-align:left;
vertical-align:top}td.time{text-align:right;white-space:nowrap}.failed,.error{color:var(--bad);font-weight:600}
.passed{color:var(--ok)}.skipped,.unsure,.dim{color:var(--dim)}
pre{background:#8881;overflow-x:auto;padding:1rem;white-space:pre-wrap;overflow-wrap:anywhere}
"""


def page(run: RunResult) -> str:
    """Heading with the sum, a table of all cases, details to open of those that went wrong."""
    counts = ", ".join(f"{run.count(outcome)} {outcome.value}" for outcome in Outcome if run.count(outcome))
    rows = "".join(_row(case) for case in run.cases)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>webhookctl test: {counts}</title><style>{_STYLE}</style></head>
<body><h1>{counts}</h1>
<p class="dim">webhookctl test, {timestamp(run.started_at_s)}, {run.duration_s:.1f} s, seed {run.seed}</p>
<table><thead><tr><th>outcome</th><th>case</th><th>time</th></tr></thead><tbody>
{rows}</tbody></table></body></html>
"""


def _row(case: CaseResult) -> str:
    outcome = case.outcome.value
    inside = f"{escape(title(case))}<br><span class=dim>{escape(_place(case))}</span>"
    if case.outcome is not Outcome.PASSED:
        inside += f"<br>{escape(headline(case))}"
    if case.outcome in (Outcome.FAILED, Outcome.ERROR):
        inside += f"<details><summary>details</summary><pre>{escape(details(case))}</pre></details>"
    time = f"{case.duration_s * 1000:,.0f} ms"
    return f'<tr><td class="{outcome}">{outcome}</td><td>{inside}</td><td class="time">{time}</td></tr>\n'


def _place(case: CaseResult) -> str:
    return f"{where(case)}:{case.contract.line}" if case.contract.line else where(case)
