"""Reports of contract tests: each format a pure function from results that are redacted already to text.

Must not know files, contracts or how a run is played.
"""

from collections.abc import Callable, Mapping

from webhookctl.contract.result import RunResult
from webhookctl.output.reports.annotations import annotations
from webhookctl.output.reports.junit import junit
from webhookctl.output.reports.lines import ndjson
from webhookctl.output.reports.markdown import markdown
from webhookctl.output.reports.page import page
from webhookctl.output.reports.record import json_report
from webhookctl.output.reports.tap import tap

FORMATS: Mapping[str, Callable[[RunResult], str]] = {
    "json": json_report,
    "ndjson": ndjson,
    "junit": junit,
    "tap": tap,
    "github": annotations,
    "md": markdown,
    "html": page,
}
"""``pretty`` is shown while the run goes on: see output/contracts.py."""

__all__ = ["FORMATS", "markdown"]
