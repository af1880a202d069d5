"""Shows what `trigger` and `replay` sent and what came back; a progress bar when there are many and a person watches.

Must not know how anything is sent.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from webhookctl.delivery.prepare import Prepared
from webhookctl.delivery.run import Sent
from webhookctl.formats import decode_text, safe_line
from webhookctl.model import Request, Verdict
from webhookctl.output import lines, record, words
from webhookctl.output.painter import Painter, Segments
from webhookctl.output.record import Record

_MANY = 20  # from this many on, successes are counted and not listed one by one


class SendReport:
    """Shows each delivery as it ends. `total` tells whether there are many."""

    def __init__(self, painter: Painter, *, total: int, judge: Callable[[Sent], Verdict | None]) -> None:
        self._painter = painter
        self._total = total
        self._judge = judge
        self._progress: Any = None
        self._task: Any = None

    def watching(self) -> AbstractContextManager[object]:
        """A progress bar on stderr while the block runs, when many are sent and stderr is a terminal."""
        if self._total < _MANY or not self._painter.is_live or not sys.stderr.isatty():
            return nullcontext()
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("sending"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("sending", total=self._total)
        return self._progress  # type: ignore[no-any-return]  # typed Any so that rich is imported only here

    def show(self, sent: Sent) -> None:
        """One delivery that ended: always when it failed, else when there are few."""
        attempt = sent.attempt
        if self._progress is not None:
            self._progress.advance(self._task)
        if self._total < _MANY or not attempt.is_success:
            self._painter.line(sent_line(sent, is_plain=not self._painter.is_live))
            self._painter.line(answer_line(sent, is_plain=not self._painter.is_live))
            for remark in sent.prepared.remarks:
                self._painter.line([("dim", f"      note: {safe_line(remark)}")])
        if not attempt.is_success:
            for line in lines.failure_details(attempt, self._judge(sent), replay=""):
                self._painter.line(line)
        elif self._total < _MANY and attempt.response is not None and attempt.response.body:
            self._painter.line([("dim", f"      | {_first_line(attempt.response.body)}")])

    def sum_up(self, delivered: int, elapsed_s: float) -> None:
        """The line at the end, when several were sent."""
        if self._total > 1:
            style = "ok" if delivered == self._total else "bad"
            rate = f", {self._total / elapsed_s:,.0f}/s" if self._total >= _MANY and elapsed_s > 0 else ""
            self._painter.line([(style, f"{delivered} of {self._total} delivered"), ("dim", rate)])


def _first_line(body: bytes) -> str:
    return safe_line(decode_text(body[:500], None).strip().split("\n", 1)[0][:200])


def sent_line(sent: Sent, *, is_plain: bool) -> Segments:
    """What was sent where, and how it was made."""
    prepared = sent.prepared
    return [
        ("dim", f"{words.clock(sent.attempt.started_at_s)}  "),
        ("notice", "-> " if is_plain else "→ "),
        ("provider", f"{safe_line(prepared.detection.provider or 'unknown')}  "),
        ("event", f"{safe_line(prepared.label)}  "),
        ("plain", f"{sent.request.method} {safe_line(sent.attempt.url)}  "),
        ("dim", f"{words.size(len(sent.request.body))}  {prepared.mode.value}"),
    ]


def answer_line(sent: Sent, *, is_plain: bool) -> Segments:
    """What came of it, against the sender's time limit."""
    ended_s = sent.attempt.started_at_s + sent.attempt.latency_ms / 1_000
    limit_s = sent.prepared.scheme.delivery.timeout_s if sent.prepared.scheme else None
    return [
        ("dim", f"{words.clock(ended_s)}  "),
        ("notice", "<- " if is_plain else "← "),
        *words.outcome(sent.attempt, limit_s),
    ]


def show_request(painter: Painter, prepared: Prepared, request: Request, url: str) -> None:
    """A request that would be sent, whole: request line, headers, body laid out."""
    from webhookctl.output.listening import body_lines

    painter.line(
        [("strong", f"{request.method} "), ("plain", safe_line(url)), ("dim", f"  {prepared.mode.value}")]
    )
    for name, value in request.headers:
        shown = (safe_line(name.decode("latin-1")), safe_line(value.decode("latin-1")))
        painter.line([("key", shown[0]), ("plain", f": {shown[1]}")])
    painter.line([("plain", "")])
    for line in body_lines(request, None):
        painter.line(line)


def sent_record(sent: Sent) -> Record:
    """One of `data.attempts[]`."""
    error = record.failure(sent.attempt)
    return {
        **prepared_record(sent.prepared, sent.request, sent.attempt.url),
        "status": sent.attempt.status,
        "latency_ms": round(sent.attempt.latency_ms, 3),
        "error": error["message"] if error else None,
        "error_kind": error["kind"] if error else None,
        "response": record.attempt(sent.attempt).get("response"),
    }


def prepared_record(prepared: Prepared, request: Request, url: str) -> Record:
    """`request` and `mode`: what `--dry-run` gives."""
    return {
        "request": {
            "method": request.method,
            "url": url,
            "headers": record.headers(request.headers),
            **record.body(request.body),
        },
        "mode": prepared.mode.value,
        **record.detection(prepared.detection),
    }
