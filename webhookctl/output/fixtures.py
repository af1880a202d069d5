"""Lines for fixtures: one each in `fixtures list`, everything in `fixtures show`.

Pure; every text is made safe here.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePath
from typing import Protocol

from webhookctl.fixture import Fixture
from webhookctl.formats import safe_line
from webhookctl.output import words
from webhookctl.output.listening import body_lines
from webhookctl.output.painter import Segments


class Entry(Protocol):
    """What a listing knows of a fixture."""

    @property
    def path(self) -> PurePath: ...
    @property
    def received_at(self) -> datetime | None: ...
    @property
    def size(self) -> int: ...
    @property
    def is_edited(self) -> bool: ...
    @property
    def problem(self) -> str: ...


def listing_lines(entries: Sequence[Entry]) -> list[Segments]:
    """Name, time, size and state of each."""
    names = [safe_line(f"{entry.path.parent.name}/{entry.path.stem}") for entry in entries]
    width = max(map(len, names), default=0)
    lines: list[Segments] = []
    for name, entry in zip(names, entries, strict=True):
        if entry.problem:
            lines.append([("event", name.ljust(width)), ("bad", f"  broken: {safe_line(entry.problem)}")])
            continue
        when = words.moment(entry.received_at.timestamp()) if entry.received_at else "-".ljust(19)
        state = [("warn", "  edited")] if entry.is_edited else []
        lines.append([("event", name.ljust(width)), ("dim", f"  {when}  {words.size(entry.size)}"), *state])
    return lines


def fixture_lines(saved: Fixture) -> list[Segments]:
    """The request as it would be sent, with what was redacted and whether it was edited."""
    request = saved.request
    lines: list[Segments] = [
        [
            ("provider", f"{safe_line(saved.provider or 'unknown')}  "),
            ("event", safe_line(saved.event or saved.name)),
        ]
    ]
    if saved.signature is not None:
        lines.append(list(words.verdict(saved.signature)))
    if saved.is_edited:
        lines.append([("warn", "the body was edited since it was saved: replay signs it anew")])
    lines.append([("plain", "")])
    lines.append([("strong", f"{safe_line(request.method)} {safe_line(request.target)}")])
    for name, value in request.headers:
        shown = safe_line(name.decode("latin-1")), safe_line(value.decode("latin-1"))
        lines.append([("key", shown[0]), ("plain", f": {shown[1]}")])
    if request.body:
        lines += [[("plain", "")], *body_lines(request, None)]
    return lines
