"""Lines about the relay while `listen` runs: connection, what is held or skipped, and how far a backlog is through.

Pure but for `BacklogRenderer`, which writes its progress to a stream of its own.
"""

from collections.abc import Callable
from typing import IO

from webhookctl.events import (
    Event,
    Place,
    RelayConnected,
    RelayDisconnected,
    RelayDraining,
    RelayHeld,
    RelayKnown,
    RelaySkipped,
)
from webhookctl.formats import safe_line
from webhookctl.output import words
from webhookctl.output.painter import Segments

_FEW = 10  # so many missed deliveries need no progress
_EVERY_S, _EVERY_PLAIN_S = 2.0, 10.0


def place_lines(place: Place) -> list[Segments]:
    """The public URL, on a line of its own to be copied; channel and policy; what is wrong with it."""
    lines: list[Segments] = [
        [("dim", "  public URL   "), ("strong", safe_line(place.url or "not known yet"))]
    ]
    policy = f", {safe_line(place.policy)} while nobody answers" if place.policy else ""
    if place.channel:
        lines.append([("dim", "  channel      "), ("plain", safe_line(place.channel)), ("dim", policy)])
    if place.note:
        lines.append([("warn", f"  {safe_line(place.note)}")])
    return lines


class RelayLines:
    """Turns events of the relay into lines; says once that it is gone, however often it is tried."""

    def __init__(self) -> None:
        self._is_gone = False

    def __call__(self, event: Event, *, is_verbose: bool) -> Segments | None:
        """The line for `event`; None when it needs none or is not about the relay."""
        match event:
            case RelayConnected():
                return self._connected(event)
            case RelayDisconnected():
                return self._disconnected(event, is_verbose)
            case RelaySkipped():
                what = words.counted(event.count, "deliver", "y", "ies")
                one, last = event.first, event.last
                numbers = f"numbers {one} to {last}" if last > one else f"number {one}"
                why = f"{safe_line(event.reason)} ({numbers})"
                return [("warn", f"the relay does not send {what}: "), ("plain", why)]
            case RelayHeld():
                behind = f", {event.waiting:,} more behind it" if event.waiting else ""
                why = safe_line(event.reason)
                return [
                    (
                        "warn",
                        f"held: the app {why.removeprefix('it ')}"
                        if why.startswith("it ")
                        else f"held: {why}",
                    ),
                    ("dim", f"{behind}; tried until it answers"),
                ]
            case RelayKnown() if is_verbose:
                return [
                    (
                        "dim",
                        f"known already, not sent to the app again: delivery {safe_line(event.delivery_id)}",
                    )
                ]
        return None

    def _connected(self, event: RelayConnected) -> Segments | None:
        was_gone, self._is_gone = self._is_gone, False
        if not (was_gone or event.missed):
            return None
        waited = (
            f"; {words.counted(event.missed, 'deliver', 'y', 'ies')} waited there" if event.missed else ""
        )
        return [("ok", "connected to the relay"), ("plain", waited)]

    def _disconnected(self, event: RelayDisconnected, is_verbose: bool) -> Segments | None:
        was_gone, self._is_gone = self._is_gone, True
        if was_gone and not is_verbose:
            return None
        wait = f"; next try in {event.retry_in_s:.1f} s" if is_verbose else "; trying again"
        return [("warn", f"the relay is not connected: {safe_line(event.reason)}"), ("dim", wait)]


class BacklogRenderer:
    """Writes how far the missed deliveries are through: now and then, one line each time."""

    def __init__(self, stream: IO[str], *, now_s: Callable[[], float]) -> None:
        self._stream = stream
        self._now_s = now_s
        self._every_s = _EVERY_S if stream.isatty() else _EVERY_PLAIN_S
        self._began_s = self._told_s = 0.0

    def __call__(self, event: Event) -> None:
        if not isinstance(event, RelayDraining) or event.total < _FEW:
            return
        now_s = self._now_s()
        if event.done == 0:
            self._began_s = self._told_s = now_s
            self._write(f"draining {event.total:,} missed deliveries")
        elif event.done == event.total:
            self._write(f"drained {event.total:,} missed deliveries in {now_s - self._began_s:.1f} s")
        elif now_s - self._told_s >= self._every_s:
            self._told_s = now_s
            self._write(f"draining: {event.done:,}/{event.total:,}, {event.per_s:.0f}/s")

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()
