"""What a receiver reads, for people and as a record. What came from outside is made safe for a terminal here.

Knows what was learned only.
"""

from collections.abc import Iterator, Mapping, Sequence

from webhookctl.contract.learn import Learned
from webhookctl.formats import safe_line
from webhookctl.output.painter import Segments
from webhookctl.output.record import Record
from webhookctl.output.words import counted


def learned_lines(learned: Learned) -> Iterator[Segments]:
    """One line for the delivery, one for each field that is read with what showed it, remarks below."""
    counts = f"{len(learned.readings)} of {counted(learned.paths, 'path')} are read"
    sent = counted(learned.requests, "request")
    yield [("event", safe_line(learned.label)), ("plain", f"  {counts}"), ("dim", f", {sent}")]
    width = max((len(safe_line(reading.path)) for reading in learned.readings), default=0)
    for reading in learned.readings:
        path = safe_line(reading.path)
        yield [
            ("plain", "  "),
            ("key", f"{path:<{width}}"),
            ("dim", f"  {safe_line('; '.join(reading.evidence))}"),
        ]
    for remark in learned.remarks:
        yield [("plain", "  "), ("warn", "remark"), ("plain", f"  {safe_line(remark)}")]
    if not learned.readings:
        text = "nothing that was taken away changed an answer or a call: give the contract mocks, if it calls out"
        yield [("plain", "  "), ("warn", "remark"), ("plain", f"  {text}")]
    if learned.untried:
        text = f"{counted(learned.untried, 'path')} not tried: --max-requests was reached"
        yield [("plain", "  "), ("warn", "remark"), ("plain", f"  {text}")]


def learned_record(several: Sequence[Learned], reads: Mapping[str, Mapping[str, str]]) -> Record:
    """`deliveries` with what was found with each, and `reads` by event."""
    return {
        "deliveries": [
            {
                "label": each.label,
                "event": each.event,
                "paths": each.paths,
                "requests": each.requests,
                "untried": each.untried,
                "remarks": list(each.remarks),
                "readings": [
                    {"path": reading.path, "type": reading.type, "evidence": list(reading.evidence)}
                    for reading in each.readings
                ],
            }
            for each in several
        ],
        "reads": {event: dict(paths) for event, paths in reads.items()},
    }
