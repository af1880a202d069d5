"""What `relay serve` and `relay channel` show: lines for people, NDJSON for programs.

Pure but for the streams it is given. Everything that came from the network is made safe here.
"""

import json
import shlex
from collections.abc import Callable, Mapping
from typing import IO

from webhookctl import __version__
from webhookctl.events import (
    DeliveryAnswered,
    DeliveryRefused,
    ErrorOccurred,
    ServeEvent,
    ServingStarted,
    ServingStopped,
    Stopping,
    TunnelClosed,
    TunnelOpened,
)
from webhookctl.formats import safe_line
from webhookctl.output import record, words
from webhookctl.output.painter import Painter, Segments
from webhookctl.output.record import Record

VERSION = 1
_encode = json.JSONEncoder(separators=(",", ":")).encode
_OUTCOME_STYLES = {
    "delivered": "ok",
    "queued": "notice",
    "held": "notice",
    "unavailable": "warn",
    "left": "warn",
}
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_MAX_REQUEST_LINE = 200
_LOUD = (ErrorOccurred, ServingStarted, ServingStopped, Stopping)


class ServeLines:
    """Renders the events of `relay serve` for people; `is_quiet` shows errors, start and end only."""

    def __init__(self, painter: Painter, *, is_quiet: bool, is_data_default: bool = False) -> None:
        self._painter = painter
        self._is_quiet = is_quiet
        self._is_data_default = is_data_default

    def __call__(self, event: ServeEvent) -> None:
        if self._is_quiet and not isinstance(event, _LOUD):
            return
        is_plain = not self._painter.is_live
        if isinstance(event, ServingStarted):
            for line in _banner(event, is_data_default=self._is_data_default):
                self._painter.line(line)
        else:
            self._painter.line(_line(event, is_plain=is_plain))
        if isinstance(event, ErrorOccurred) and event.hint:
            self._painter.line([("hint", f"hint: {safe_line(event.hint)}")])


class ServeNdjson:
    """Writes each event of `relay serve` to `stream` as a JSON object; its fields are API (relay-serve.schema.json)."""

    def __init__(self, stream: IO[str], *, now_s: Callable[[], float]) -> None:
        self._stream = stream
        self._now_s = now_s
        self._seq = 0

    def __call__(self, event: ServeEvent) -> None:
        self._seq += 1
        kind, fields = _shape(event)
        at_s = getattr(event, "at_s", None) or self._now_s()
        line: Record = {"v": VERSION, "type": kind, "ts": record.timestamp(at_s), "seq": self._seq, **fields}
        self._stream.write(_encode(line) + "\n")
        self._stream.flush()


def channel_lines(channel: Mapping[str, object]) -> list[Segments]:
    """A channel and its options, one a line."""
    lines: list[Segments] = [[("strong", safe_line(str(channel["name"]))), *_state(channel)]]
    facts = [(name, channel[name]) for name in channel if name not in ("name", "is_paused", "is_revoked")]
    lines += [[("dim", f"  {_label(name):<19}"), ("plain", _value(name, value))] for name, value in facts]
    return lines


def listing_lines(channels: list[Mapping[str, object]]) -> list[Segments]:
    """One line a channel: name, what waits, state, URL."""
    width = max((len(str(each["name"])) for each in channels), default=0)
    return [
        [
            ("strong", f"{safe_line(str(each['name'])):<{width}}  "),
            ("dim", f"{each['pending']:>5} waiting of {each['received']}  "),
            ("plain", safe_line(str(each["url"]))),
            *_state(each),
        ]
        for each in channels
    ]


def key_lines(channel: Mapping[str, object]) -> list[Segments]:
    """What to do with a new channel: URL, key, and how to listen. The key is shown this once."""
    name = safe_line(str(channel["name"]))
    relay = shlex.quote(str(channel["relay_url"]))
    command = f"WEBHOOKCTL_RELAY_KEY={channel['key']} webhookctl listen --relay {relay}"
    return [
        [("strong", name), *_state(channel)],
        [("dim", "  url     "), ("plain", safe_line(str(channel["url"])))],
        [("dim", "  key     "), ("plain", safe_line(str(channel["key"])))],
        [("dim", "          "), ("hint", "shown this once: keep it as you keep a password")],
        [("dim", "  listen  "), ("plain", safe_line(command))],
    ]


def _state(channel: Mapping[str, object]) -> Segments:
    state = [
        word for field, word in (("is_paused", "paused"), ("is_revoked", "revoked")) if channel.get(field)
    ]
    return [("warn", f"  {', '.join(state)}")] if state else []


def _value(name: str, value: object) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return safe_line(" ".join(str(each) for each in value.values()))
    if isinstance(value, list):
        return safe_line(", ".join(map(str, value)))
    if name.endswith("_bytes") and isinstance(value, int):
        return words.size(value) if value or name == "pending_bytes" else "no limit"
    if name == "burst" and not value:
        return "twice the rate"
    if isinstance(value, int | float) and not value and name not in ("received", "pending"):
        return "no limit"
    if name.endswith("_s") and name != "rate_per_s" and isinstance(value, float):
        return _duration(value)
    if name == "rate_per_s":
        return f"{value:g}/s"
    return safe_line(f"{value:g}" if isinstance(value, float) else str(value))


def _label(name: str) -> str:
    return name.removesuffix("_per_s").removesuffix("_s").replace("_bytes", " bytes").replace("_", " ")


def _duration(seconds: float) -> str:
    """`250 ms`, `10 s`, `12 h`, `7 d`: in the largest unit that gives a whole number."""
    if seconds < 1:
        return f"{seconds * 1000:g} ms"
    unit, size = next(each for each in _UNITS if seconds % each[1] == 0 or each[1] == 1)
    return f"{seconds / size:g} {unit}"


def _banner(event: ServingStarted, *, is_data_default: bool) -> list[Segments]:
    data = "" if is_data_default else f" --data {shlex.quote(event.data_folder)}"
    counts = f"{words.counted(event.channels, 'channel')}, {event.pending} waiting"
    lines: list[Segments] = [
        [("strong", f"webhookctl {__version__} relay")],
        [("dim", "  listens on   "), ("plain", safe_line(event.url))],
        [("dim", "  public url   "), ("plain", safe_line(event.public_url)), ("dim", _host(event.domain))],
        [("dim", "  data         "), ("plain", safe_line(event.data_folder)), ("dim", f"  {counts}")],
        [
            ("dim", "  admin API    "),
            ("plain", "with the admin key" if event.has_admin_key else "this machine only"),
        ],
    ]
    if event.is_open:
        lines.append([("warn", "  anybody who reaches it can make channels (--open-channels)")])
    elif event.has_guests:
        lines.append(
            [("warn", "  anybody who reaches it can make channels that end by themselves (--anonymous)")]
        )
    lines += [
        [("dim", "  new channel  "), ("plain", safe_line(f"webhookctl relay channel new my-app{data}"))],
        [("dim", "  listen       "), ("plain", safe_line(f"webhookctl listen --relay {event.public_url}"))],
    ]
    if not event.is_loopback and not event.public_url.startswith("https://"):
        lines.append(
            [
                ("warn", "  others can reach it and nothing is encrypted, keys neither: "),
                ("hint", "--tls-cert and --tls-key, or a proxy with TLS and --public-url https://…"),
            ]
        )
    lines.append([("ok", "Ready"), ("plain", f" on {safe_line(event.url)}"), ("dim", "  Ctrl-C stops")])
    return lines


def _host(domain: str) -> str:
    return f"  and <channel>.{safe_line(domain)}" if domain else ""


def _request_line(method: str, target: str) -> str:
    """For people; senders nobody knows may write kilobytes into a target. `--json` has all of it."""
    return words.shortened(f"{safe_line(method)} {safe_line(target)}", _MAX_REQUEST_LINE)


def _line(event: ServeEvent, *, is_plain: bool) -> Segments:
    if isinstance(event, DeliveryAnswered):
        return [
            ("dim", f"{words.clock(event.at_s)}  "),
            ("notice", "-> " if is_plain else "→ "),
            ("event", f"{safe_line(event.channel)}  "),
            ("plain", f"{_request_line(event.method, event.target)}  "),
            ("dim", f"{words.size(event.body_bytes)}  {safe_line(event.peer)}  "),
            (_OUTCOME_STYLES.get(event.outcome, "plain"), f"{event.status} {event.outcome}"),
            ("dim", f"  {words.latency(event.latency_ms)}"),
            ("id", f"  #{event.seq}"),
        ]
    if isinstance(event, DeliveryRefused):
        detail = f": {safe_line(event.detail)}" if event.detail and event.detail not in event.peer else ""
        return [
            ("dim", f"{words.clock(event.at_s)}  "),
            ("bad", "x  " if is_plain else "✗ "),
            ("event", f"{safe_line(event.channel) or '-'}  "),
            ("plain", f"{_request_line(event.method, event.target)}  "),
            ("dim", f"{safe_line(event.peer)}  "),
            ("bad", f"{event.status} refused: {event.reason}"),
            ("plain", detail),
        ]
    if isinstance(event, TunnelOpened):
        waiting = f"  {event.pending} waiting" if event.pending else ""
        return _tunnel(event.at_s, event.channel, event.peer, f"{event.mode} connected{waiting}", is_plain)
    if isinstance(event, TunnelClosed):
        return _tunnel(event.at_s, event.channel, event.peer, f"gone: {safe_line(event.reason)}", is_plain)
    if isinstance(event, ErrorOccurred):
        return [("bad", "error: "), ("plain", safe_line(event.message))]
    if isinstance(event, Stopping):
        waiting = words.counted(event.waiting, "sender")
        return [("notice", f"Stopping: {waiting} to answer"), ("dim", "  Ctrl-C again stops at once")]
    assert isinstance(event, ServingStopped)
    parts = f"{event.received} received, {event.refused} refused, {event.pending} waiting on disk"
    return [("strong", f"Stopped ({event.reason}): "), ("plain", parts)]


def _tunnel(at_s: float, channel: str, peer: str, text: str, is_plain: bool) -> Segments:
    return [
        ("dim", f"{words.clock(at_s)}  "),
        ("notice", "<> " if is_plain else "⇄ "),
        ("event", f"{safe_line(channel)}  "),
        ("dim", f"{safe_line(peer)}  "),
        ("plain", text),
    ]


def _shape(event: ServeEvent) -> tuple[str, Record]:
    if isinstance(event, DeliveryAnswered):
        names = "channel delivery_id peer method target body_bytes status outcome latency_ms"
        return "answered", {**_picked(event, names), "delivery_seq": event.seq}
    if isinstance(event, DeliveryRefused):
        return "refused", _picked(event, "channel peer method target status reason detail")
    if isinstance(event, TunnelOpened):
        return "tunnel_opened", _picked(event, "channel peer mode pending")
    if isinstance(event, TunnelClosed):
        return "tunnel_closed", _picked(event, "channel peer reason")
    if isinstance(event, ErrorOccurred):
        return "error", _picked(event, "code message hint")
    if isinstance(event, Stopping):
        return "stopping", {"waiting": event.waiting}
    if isinstance(event, ServingStopped):
        return "stopped", _picked(event, "reason received refused pending")
    names = "url public_url domain data_folder channels pending has_admin_key is_open has_guests"
    return "ready", _picked(event, names)


def _picked(event: ServeEvent, names: str) -> Record:
    return {name: getattr(event, name) for name in names.split()}
