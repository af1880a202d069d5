"""The lines of `listen`: arrival, result, saved, hints, banner, summary. Values in, styled lines out.

Pure; decides words and widths, never colours. Layout: one arrival line, one result line, joined by their id.
"""

from webhookctl import __version__
from webhookctl.events import (
    FixtureSaved,
    HandshakeAnswered,
    Ready,
    RequestReceived,
    ResponseReceived,
    Stopped,
    Stopping,
    TargetChanged,
)
from webhookctl.formats import decode_text, safe_line
from webhookctl.model import Attempt, Verdict
from webhookctl.output import words
from webhookctl.output.advice import advice
from webhookctl.output.painter import Segments, text_of
from webhookctl.output.relaying import place_lines

_WIDE, _NARROW = 108, 60
_RESPONSE_LINES = 3


def arrival(
    event: RequestReceived, verdict: Verdict | None, *, width: int | None, is_plain: bool
) -> Segments:
    """`14:02:11.204 → stripe payment_intent.succeeded  POST /hooks  1.2 kB  sig ok  #17`, fit to `width`."""
    detection, request = event.detection, event.capture.request
    provider = safe_line(detection.provider or "unknown")
    name = safe_line(detection.event or "-")
    path = f"{safe_line(request.method)} {safe_line(request.target)}"
    judged = list(words.verdict(verdict)) if verdict is not None else []
    tail: list[tuple[str, str]] = []
    if event.duplicate_of is not None:
        tail.append(("warn", f"  dup of #{event.duplicate_of}"))
    relayed = event.capture.relayed
    if relayed is not None and relayed.attempt > 1:
        tail.append(("warn", f"  sent {relayed.attempt} times"))
    elif relayed is not None:
        tail.append(("dim", "  relay"))
    if event.is_ignored:
        tail.append(("dim", "  left out by --events"))
    tail.append(("id", f"  #{event.id}"))
    head = [
        ("dim", f"{words.clock(event.capture.received_at_s)}  "),
        ("notice", "-> " if is_plain else "→ "),
        ("provider", f"{provider}  "),
        ("event", f"{name}  "),
    ]
    middle = [("plain", f"{path}  "), ("dim", f"{words.size(event.capture.body_bytes)}  ")]
    if width is None:
        return [*head, *middle, *judged, *tail]
    if width < _NARROW:
        short = [("notice", "→ "), ("event", f"{name}  ")]
        return [*short, *_fit(judged, width - len(text_of([*short, *tail]))), *tail]
    if width < _WIDE and len(text_of([*head, *middle, *judged, *tail])) > width:
        middle = []
    room = width - len(text_of([*head, *tail, *middle])) + (len(path) if middle else 0)
    wanted = len(text_of(judged))
    if middle:
        path_room = max(12, room - max(wanted, 8))
        middle[0] = ("plain", f"{words.shortened(path, path_room)}  ")
        room -= min(len(path), path_room)
    return [*head, *middle, *_fit(judged, room), *tail]


def _fit(segments: Segments, room: int) -> list[tuple[str, str]]:
    fitted = []
    for style, text in segments:
        fitted.append((style, words.shortened(text, max(room, 8))))
        room -= len(text)
    return fitted


def result(
    event: ResponseReceived,
    *,
    at_s: float,
    limit_s: float | None,
    is_plain: bool,
    relayed_at_s: float | None = None,
) -> Segments:
    """`14:02:11.241 ← 200 ok  37 ms  #17`; of a delivery that the relay took in at `relayed_at_s` since when."""
    head = [("dim", f"{words.clock(at_s)}  "), ("notice", "<- " if is_plain else "← ")]
    aside = [] if event.is_answer else [("dim", f"  {safe_line(event.attempt.url)}" if event.attempt else "")]
    if relayed_at_s is not None and at_s >= relayed_at_s:
        aside.append(("dim", f"  {words.latency((at_s - relayed_at_s) * 1_000)} after the relay had it"))
    if event.attempt is None:
        return [
            *head,
            ("ok", f"{event.status} accepted"),
            ("dim", "  recorded, forwarded nowhere"),
            *aside,
            ("id", f"  #{event.id}"),
        ]
    return [*head, *words.outcome(event.attempt, limit_s), *aside, ("id", f"  #{event.id}")]


def handshake(event: HandshakeAnswered, *, at_s: float, is_plain: bool) -> list[Segments]:
    """`14:02:11.241 ← 200 handshake Slack  answered by the app  #17`, what is wrong with its answer, and notes."""
    attempt = event.attempt
    if event.is_by_app:
        who = "refused by the app" if event.refusal else "answered by the app"
    else:
        who = "refused by webhookctl" if event.refusal else "answered by webhookctl"
        if attempt is not None:
            said = "the app gave no answer" if attempt.status is None else f"the app said {attempt.status}"
            who += f": {said}"
    style = "bad" if event.complaints and event.is_by_app else "warn" if event.refusal else "ok"
    time = f"  {words.latency(attempt.latency_ms)}" if attempt is not None else ""
    shown: list[Segments] = [
        [
            ("dim", f"{words.clock(at_s)}  "),
            ("notice", "<- " if is_plain else "← "),
            (style, f"{event.status} handshake "),
            ("event", f"{safe_line(event.name)}  "),
            (style, who),
            ("dim", time),
            ("id", f"  #{event.id}"),
        ]
    ]
    if event.refusal:
        shown.append([("warn", f"      refused: {safe_line(event.refusal)}")])
    shown += [[("bad", f"      wrong: {safe_line(complaint)}")] for complaint in event.complaints]
    shown += [[("dim", f"      note: {safe_line(note)}")] for note in event.notes]
    return shown


def failure_details(attempt: Attempt, verdict: Verdict | None, *, replay: str) -> list[Segments]:
    """The first lines the app answered, what that probably means, and how to try again."""
    lines: list[Segments] = []
    response = attempt.response
    if response is not None and response.body:
        text = decode_text(response.body[:2_000], None)
        shown = [line for line in text.splitlines() if line.strip()]
        lines += [[("dim", f"      | {safe_line(line[:200])}")] for line in shown[:_RESPONSE_LINES]]
        if len(shown) > _RESPONSE_LINES:
            lines.append([("dim", "      | …")])
    hint = advice(attempt, verdict)
    if hint:
        lines.append([("hint", f"      hint: {safe_line(hint)}")])
    if replay:
        lines.append([("dim", f"      again: {replay}")])
    return lines


def saved(event: FixtureSaved, *, is_plain: bool) -> Segments:
    """`saved fixtures/stripe/payment_intent.succeeded.toml  #17`."""
    mark = "   saved " if is_plain else "  ↳ saved "
    return [("dim", f"            {mark}{safe_line(event.path)}"), ("id", f"  #{event.id}")]


def target(event: TargetChanged) -> Segments:
    """Which endpoint became reachable or not."""
    if event.is_reachable:
        return [("ok", f"the app at {safe_line(event.url)} is reachable again")]
    return [("warn", f"the app at {safe_line(event.url)} cannot be reached: {safe_line(event.reason)}")]


def banner(event: Ready, *, shown_fixtures: str | None) -> list[Segments]:
    """What a person needs to know at the start: URL, targets and their health, fixtures, secrets, a first command."""
    lines: list[Segments] = [[("strong", f"webhookctl {__version__}")]]
    if event.place is not None:
        lines += place_lines(event.place)
    if not event.targets:
        lines.append(
            [("dim", "  forwards to  "), ("plain", "nothing (records and answers 202; see --forward-to)")]
        )
    for url, problem in event.targets:
        health = ("warn", f"  not reachable now: {safe_line(problem)}") if problem else ("ok", "  reachable")
        lines.append([("dim", "  forwards to  "), ("plain", safe_line(url)), health])
    fixtures = f"{safe_line(shown_fixtures)}" if shown_fixtures else "not saved (--no-save)"
    lines.append([("dim", "  fixtures     "), ("plain", fixtures)])
    for provider, origin in event.providers:
        lines.append([("dim", "  secret       "), ("plain", f"{provider}: {safe_line(origin)}")])
    others = "others: " if event.providers else ""
    lines.append(
        [
            ("dim", "  secret       "),
            ("plain", f"{others}development secret (webhookctl listen --print-secret)"),
        ]
    )
    lines.append([("dim", "  try          "), ("plain", "webhookctl trigger payment_intent.succeeded")])
    if not event.is_loopback:
        lines.append(
            [("warn", "  others on this network can reach it: anybody can send deliveries to your app")]
        )
    lines.append([("ok", "Ready"), ("plain", f" on {event.url}"), ("dim", "  Ctrl-C stops")])
    return lines


def stopping(event: Stopping) -> Segments:
    """What is waited for, and how not to."""
    what = "1 delivery" if event.waiting == 1 else f"{event.waiting} deliveries"
    return [("notice", f"Stopping: {what} under way, up to 5 s"), ("dim", "  Ctrl-C again stops at once")]


def summary(event: Stopped) -> Segments:
    """`42 received, 39 delivered, 3 failed, 40 signatures ok, 2 bad, 5 saved`."""
    parts = [f"{event.received} received"]
    if event.delivered or event.failed:
        parts += [f"{event.delivered} delivered", f"{event.failed} failed"]
    parts += [f"{event.verified} signatures ok"]
    parts += [f"{event.refused_signatures} bad"] if event.refused_signatures else []
    parts += [f"{event.saved} saved as fixtures"]
    parts += [f"{event.left_at_relay:,} wait at the relay for the next run"] if event.left_at_relay else []
    parts += [f"{event.unfinished} recorded but not finished (webhookctl log)"] if event.unfinished else []
    return [("strong", f"Stopped ({event.reason}): "), ("plain", ", ".join(parts))]
