"""Lines and records about a listener's public URL and its webhook at the provider.

Pure; values in, styled lines or fields out.
"""

from webhookctl.events import (
    BackfillAsked,
    BecamePublic,
    ExposureEvent,
    HookRegistered,
    HookRemoved,
    TunnelStarting,
)
from webhookctl.formats import safe_line
from webhookctl.output import words
from webhookctl.output.painter import Segments
from webhookctl.output.record import Record


def exposure_lines(event: ExposureEvent) -> list[Segments]:
    """What a person is told."""
    match event:
        case TunnelStarting(program):
            return [[("dim", f"public URL: {program} is starting")]]
        case BecamePublic(place):
            return [
                [
                    ("ok", "public URL "),
                    ("strong", safe_line(place.url)),
                    ("dim", f"  {safe_line(place.channel)}"),
                ],
                [("dim", f"           {safe_line(place.note)}")],
            ]
        case HookRegistered():
            events = "all events" if event.events == ("*",) else ", ".join(event.events)
            what = f"webhook at {safe_line(event.place)}  {safe_line(event.how)}"
            return [
                [("ok", what), ("plain", f"  {safe_line(events)}"), ("id", f"  {safe_line(event.hook_id)}")]
            ]
        case HookRemoved():
            removed = f"webhook at {safe_line(event.place)}  removed"
            return [[("notice", removed), ("id", f"  {safe_line(event.hook_id)}")]]
        case BackfillAsked(total=0):
            return [[("dim", f"nothing was missed at {safe_line(event.place)}")]]
        case BackfillAsked():
            total = words.counted(event.total, "missed deliver", "y", "ies")
            return [[("notice", f"asked {safe_line(event.place)} again for {event.asked} of {total}")]]


def exposure_record(event: ExposureEvent) -> tuple[str, Record]:
    """The type and the fields of the line for programs."""
    match event:
        case TunnelStarting(program):
            return "tunnel.starting", {"tunnel": program}
        case BecamePublic(place):
            return "public", {"url": place.url, "tunnel": place.channel, "note": place.note}
        case HookRegistered():
            fields: Record = {
                "place": event.place,
                "hook_id": event.hook_id,
                "url": event.url,
                "events": list(event.events),
                "how": event.how,
            }
            return "hook.registered", fields
        case HookRemoved():
            return "hook.removed", {"place": event.place, "hook_id": event.hook_id}
        case BackfillAsked():
            return "backfill", {"place": event.place, "asked": event.asked, "total": event.total}
