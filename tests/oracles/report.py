"""Tells at the end of an oracle run which package, in which release, judged a scheme or answered a handshake."""

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
        judged = {oracle.partition(" ")[0] for oracle in passed}
        greeted = {each for each in judged if each.startswith("handshake:")}
        schemes, handshakes = len(judged - greeted), len(greeted)
        terminalreporter.write_line(
            f"{schemes} schemes judged by code of others, {handshakes} handshakes answered by it"
        )
