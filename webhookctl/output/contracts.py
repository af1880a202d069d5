"""Results of contract tests for people: dense where all is well, everything that helps where it is not.

Knows results only. What came from outside is made safe for a terminal here.
"""

import sys
from typing import IO

from webhookctl.contract.result import CaseResult, Complaint, Outcome, RunResult
from webhookctl.formats import safe_line
from webhookctl.output.painter import Painter

_WORDS = {
    Outcome.PASSED: ("ok", "passed"),
    Outcome.FAILED: ("bad", "FAILED"),
    Outcome.ERROR: ("bad", "ERROR"),
    Outcome.UNSURE: ("warn", "unsure"),
    Outcome.SKIPPED: ("dim", "skipped"),
}
_OUTPUT_LINES = 20


class TestReport:
    """Shows each result as it comes, and the sum at the end."""

    __test__ = False

    def __init__(self, painter: Painter) -> None:
        self._painter = painter
        self._contract = ""

    def show(self, result: CaseResult) -> None:
        """One line, and below it what went wrong."""
        if result.contract.path != self._contract:
            self._contract = result.contract.path
            self._line(0, ("strong", self._contract))
        style, word = _WORDS[result.outcome]
        took = f"  {result.duration_s * 1000:,.0f} ms"
        self._line(2, (style, f"{word:<8}"), ("plain", result.id), ("dim", took))
        if result.reason:
            self._line(10, ("plain", result.reason))
        for complaint in result.complaints:
            self._complain(complaint)
        if result.outcome not in (Outcome.FAILED, Outcome.ERROR):
            return
        if result.output:
            self._line(10, ("dim", "last output of the receiver:"))
            for line in result.output.splitlines()[-_OUTPUT_LINES:]:
                self._line(10, ("dim", "| "), ("plain", line))
        if result.reproduction:
            self._line(10, ("hint", "again: "), ("plain", result.reproduction))

    def _complain(self, complaint: Complaint) -> None:
        self._line(10, ("error", complaint.what), ("plain", f": {complaint.message}"))
        if complaint.expected or complaint.received:
            self._line(12, ("plain", f"expected {complaint.expected}, received {complaint.received}"))
        if complaint.place is not None and complaint.place.line:
            self._line(12, ("dim", f"asked for in {complaint.place.path}:{complaint.place.line}"))

    def _line(self, indent: int, *segments: tuple[str, str]) -> None:
        safe = [(style, safe_line(text)) for style, text in segments]
        self._painter.line([("plain", " " * indent), *safe])

    def sum_up(self, run: RunResult) -> None:
        """``5 passed, 1 failed in 0.8 s``"""
        counts = [f"{run.count(outcome)} {outcome.value}" for outcome in Outcome if run.count(outcome)]
        self._line(0, ("strong", f"{', '.join(counts)} in {run.duration_s:.1f} s"))


class Progress:
    """One line on stderr that tells what is played now; drawn only where a person watches a terminal."""

    def __init__(self, *, total: int, is_shown: bool, stream: IO[str] | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._is_shown = is_shown and self._stream.isatty()
        self._total = total
        self._done = 0
        self._is_drawn = False

    def begin(self, name: str) -> None:
        """A case begins."""
        if not self._is_shown:
            return
        from shutil import get_terminal_size

        text = f"  {self._done + 1}/{self._total}  {safe_line(name)}"
        self._write("\r\x1b[2K" + text[: max(get_terminal_size().columns - 1, 0)])
        self._is_drawn = True

    def end(self) -> None:
        """A case ended: the line makes room for what is shown of it."""
        self._done += 1
        self.clear()

    def clear(self) -> None:
        """Take the line away."""
        if self._is_drawn:
            self._write("\r\x1b[2K")
            self._is_drawn = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
