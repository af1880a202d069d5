"""Lines for recorded exchanges: one each in `log`, everything in `show`.

Pure; every text is made safe here.
"""

from collections.abc import Sequence

from webhookctl.formats import safe_line
from webhookctl.model import Exchange, Headers
from webhookctl.output import words
from webhookctl.output.listening import body_lines
from webhookctl.output.painter import Segments


def log_lines(exchanges: Sequence[Exchange], *, width: int | None) -> list[Segments]:
    """One line an exchange, in columns."""
    rows = [_row(exchange) for exchange in exchanges]
    widths = [max((len(row[column][1]) for row in rows), default=0) for column in range(5)]
    lines: list[Segments] = []
    for row, exchange in zip(rows, exchanges, strict=True):
        cells = [(style, text.ljust(wide) + "  ") for (style, text), wide in zip(row, widths, strict=True)]
        used = sum(len(text) for _, text in cells)
        end = _outcome(exchange)
        if width is not None:
            room = max(width - used, 10)
            end = [(style, words.shortened(text, room)) for style, text in end]
        lines.append([*cells, *end])
    return lines


def _row(exchange: Exchange) -> list[tuple[str, str]]:
    detection, request = exchange.detection, exchange.capture.request
    return [
        ("id", f"#{exchange.id}"),
        ("dim", words.moment(exchange.capture.received_at_s)),
        ("provider", safe_line(detection.provider or "unknown")),
        ("event", safe_line(detection.event or f"{request.method} {request.target}"[:40])),
        ("bad", "sig BAD")
        if exchange.verdict.is_bad
        else ("ok", "sig ok")
        if exchange.verdict.is_ok
        else ("dim", "sig -"),
    ]


def _outcome(exchange: Exchange) -> list[tuple[str, str]]:
    repeated = [("warn", f"dup of #{exchange.duplicate_of}  ")] if exchange.duplicate_of else []
    if not exchange.attempts:
        return [*repeated, ("dim", "not forwarded")]
    again = [("dim", f"  ({len(exchange.attempts)} attempts)")] if len(exchange.attempts) > 1 else []
    return [*repeated, *words.outcome(exchange.attempts[-1]), *again]


def exchange_lines(exchange: Exchange) -> list[Segments]:
    """Request, verdict and each attempt with its response, bodies laid out."""
    capture, detection = exchange.capture, exchange.detection
    request = capture.request
    lines: list[Segments] = [
        [
            ("id", f"#{exchange.id}  "),
            ("provider", f"{safe_line(detection.provider or 'unknown')}  "),
            ("event", safe_line(detection.event or "-")),
        ],
        [
            (
                "dim",
                f"received {words.moment(capture.received_at_s)} from {safe_line(capture.peer or 'unknown')}",
            )
        ],
        list(words.verdict(exchange.verdict)),
    ]
    finding = exchange.verdict.finding
    if finding is not None:
        causes = ", ".join((finding.cause, *finding.also))
        lines += [[("dim", f"cause {safe_line(causes)}")], [("dim", f"fix {safe_line(finding.fix)}")]]
    if capture.relayed:
        sent = f", sent {capture.relayed.attempt} times" if capture.relayed.attempt > 1 else ""
        lines.append([("dim", f"through the relay as {safe_line(capture.relayed.delivery_id)}{sent}")])
    if capture.url:
        lines.append([("dim", f"called at {safe_line(capture.url)}")])
    if detection.delivery_id:
        lines.append([("dim", f"delivery id {safe_line(detection.delivery_id)}")])
    if exchange.duplicate_of:
        lines.append([("warn", f"repeats #{exchange.duplicate_of}")])
    lines.append([("plain", "")])
    lines.append(
        [("strong", f"{safe_line(request.method)} {safe_line(request.target)} HTTP/{capture.http_version}")]
    )
    lines += _headers(request.headers)
    if request.body:
        lines += [[("plain", "")], *body_lines(request, None)]
    if capture.large_body:
        size = f"{words.size(capture.large_body.size)}, SHA-256 {safe_line(capture.large_body.sha256)}"
        lines += [[("plain", "")], [("warn", f"(body not kept: too large to be held; {size})")]]
    for attempt in exchange.attempts:
        lines.append([("plain", "")])
        lines.append(
            [("strong", f"-> {safe_line(attempt.url)}  "), ("dim", words.moment(attempt.started_at_s))]
        )
        lines.append(list(words.outcome(attempt)))
        if attempt.response is not None:
            lines += _headers(attempt.response.headers)
            if attempt.response.body:
                lines += [[("plain", "")], *body_lines(attempt.response, None)]
    return lines


def _headers(headers: Headers) -> list[Segments]:
    return [
        [("key", safe_line(name.decode("latin-1"))), ("plain", f": {safe_line(value.decode('latin-1'))}")]
        for name, value in headers
    ]
