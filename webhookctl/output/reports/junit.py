"""Results as JUnit XML: one testcase for each case and variant, as CI servers read it.

The format has no standard; elements and attributes are those that Jenkins, GitLab and GitHub actions read.
"""

import re
from xml.etree import ElementTree as ET  # written only, never parsed

from webhookctl.contract.result import CaseResult, Outcome, RunResult
from webhookctl.formats import safe_line
from webhookctl.output.record import timestamp
from webhookctl.output.reports.text import details, headline, title, where

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 §2.2


def junit(run: RunResult) -> str:
    """One testsuite for each contract, in their order."""
    suites = ET.Element("testsuites", _counts(run.cases), name="webhookctl", time=f"{run.duration_s:.3f}")
    contracts: dict[str, list[CaseResult]] = {}
    for case in run.cases:
        contracts.setdefault(case.contract.path, []).append(case)
    for cases in contracts.values():
        suite = ET.SubElement(
            suites,
            "testsuite",
            _counts(cases),
            name=_legal(where(cases[0])),
            time=f"{sum(case.duration_s for case in cases):.3f}",
            timestamp=timestamp(cases[0].started_at_s),
        )
        for case in cases:
            _add(suite, case)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _counts(cases: "list[CaseResult] | tuple[CaseResult, ...]") -> dict[str, str]:
    def count(*outcomes: Outcome) -> str:
        return str(sum(case.outcome in outcomes for case in cases))

    return {
        "tests": str(len(cases)),
        "failures": count(Outcome.FAILED),
        "errors": count(Outcome.ERROR),
        "skipped": count(Outcome.SKIPPED, Outcome.UNSURE),
    }


def _add(suite: ET.Element, case: CaseResult) -> None:
    element = ET.SubElement(
        suite,
        "testcase",
        name=_legal(title(case)),
        classname=_legal(where(case)),
        time=f"{case.duration_s:.3f}",
        file=_legal(where(case)),
    )
    if case.contract.line:
        element.set("line", str(case.contract.line))
    kind = {
        Outcome.FAILED: "failure",
        Outcome.ERROR: "error",
        Outcome.SKIPPED: "skipped",
        Outcome.UNSURE: "skipped",
    }.get(case.outcome)
    if kind is None:
        return
    message = headline(case)
    if case.outcome is Outcome.UNSURE:
        message = f"unsure: {message}"
    result = ET.SubElement(element, kind, message=_legal(message))
    if kind != "skipped":
        result.set("type", _legal(safe_line(case.complaints[0].what)) if case.complaints else "environment")
        result.text = _legal(details(case))


def _legal(text: str) -> str:
    """`text` without the characters that XML cannot hold."""
    return _ILLEGAL.sub("\ufffd", text)
