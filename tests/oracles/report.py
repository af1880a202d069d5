"""Tells at the end of an oracle run which package, in which release, judged which scheme."""

from collections import Counter

import pytest


class Report:
    """A plugin; the tests name their oracle in the property ``oracle``."""

    @staticmethod
    def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
        passed, failed = Counter[str](), Counter[str]()
        for outcome, counts in (("passed", passed), ("failed", failed)):
            for report in terminalreporter.getreports(outcome):
                counts.update(str(value) for name, value in report.user_properties if name == "oracle")
        for oracle in sorted(passed | failed):
            verdict = f"{failed[oracle]} FAILED" if failed[oracle] else f"{passed[oracle]} checks passed"
            terminalreporter.write_line(f"oracle {oracle}: {verdict}")
        schemes = {oracle.partition(" ")[0] for oracle in passed}
        terminalreporter.write_line(f"{len(schemes)} schemes judged by code of others")
