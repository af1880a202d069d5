"""Results as GitHub workflow commands: an annotation at the line of each case that went wrong.

Source: docs.github.com, workflow commands: data escapes %, CR and LF; properties also colon and comma.
"""

from webhookctl.contract.result import CaseResult, Outcome, RunResult
from webhookctl.formats import safe_line
from webhookctl.output.reports.text import headline, title

MAX_ANNOTATIONS = 10  # of a kind are shown for one step; the summary has them all
_COMMANDS = {Outcome.FAILED: "error", Outcome.ERROR: "error", Outcome.UNSURE: "warning"}


def annotations(run: RunResult) -> str:
    """``::error file=…,line=…,title=…::message`` lines; "" when all is well."""
    bad = [case for case in run.cases if case.outcome in _COMMANDS]
    lines = [_line(case) for case in bad[:MAX_ANNOTATIONS]]
    if len(bad) > MAX_ANNOTATIONS:
        lines.append(f"::notice::{len(bad) - MAX_ANNOTATIONS} more are in the step summary")
    return "".join(f"{line}\n" for line in lines)


def _line(case: CaseResult) -> str:
    place = next(
        (each.place for each in case.complaints if each.place is not None and each.place.line), case.contract
    )
    properties = {"file": safe_line(place.path), "title": title(case)}
    if place.line:
        properties["line"] = str(place.line)
        properties["col"] = str(place.column)
    shown = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    message = headline(case, limit=1_000)
    if case.reproduction:
        message += f"\nagain: {case.reproduction}"
    return f"::{_COMMANDS[case.outcome]} {shown}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
