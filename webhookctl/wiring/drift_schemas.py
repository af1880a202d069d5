"""Schema files of `drift`: read, the part that describes an event found, compared with what is read of it.

Imports neither asyncio nor the network; what a schema refers to elsewhere is not fetched.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from webhookctl.contract.drift import Change, EventDrift, Finding, Weight
from webhookctl.contract.model import Json
from webhookctl.contract.schema_drift import body_schema, compare_schema, event_schema, is_openapi
from webhookctl.contract.schema_shape import Document
from webhookctl.errors import UsageError
from webhookctl.wiring.sources import is_bare_body

MAX_BYTES = 64 * 1024 * 1024  # the largest published descriptions have a quarter of it
_YAML = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """A schema file that was read; `pointer` names the part that is meant, "" the whole."""

    label: str
    document: Document
    pointer: str


def read_schema(target: str) -> SchemaFile | None:
    """The schema that `target` (FILE or FILE#/pointer) names; None when it names fixtures or captures.

    Raises UsageError `schema-unreadable`, `schema-invalid`.
    """
    name, separator, pointer = target.partition("#")
    is_named = bool(separator and name) and (not pointer or pointer.startswith("/"))
    if Path(name).suffix.lower() in _YAML and (is_named or os.path.isfile(name)):
        raise UsageError(
            "schema-invalid", f"{name} is YAML: a schema has to be JSON", f"yq -o json {name} > schema.json"
        )
    is_lost = Path(target).suffix.lower() == ".json" and not os.path.exists(target)
    if not (is_named or is_lost or is_bare_body(target)):
        return None
    path = Path(name if is_named else target)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError("schema-unreadable", f"{path} cannot be read: {error.strerror}") from error
    return SchemaFile(target, Document(_parsed(path, data)), pointer if is_named else "")


def _parsed(path: Path, data: bytes) -> Json:
    if len(data) > MAX_BYTES:
        raise UsageError("schema-unreadable", f"{path} is larger than {MAX_BYTES // 1024**2} MiB")
    try:
        document: Json = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError("schema-invalid", f"{path} is no JSON: {error}") from error
    return document


def compare_schema_file(
    schema: SchemaFile, reads: Mapping[str, Mapping[str, str]], events: Sequence[str]
) -> Iterator[EventDrift]:
    """What the schema of each event says no more of what is read; `events` limits them, empty all.

    Raises UsageError `schema-event`, `schema-invalid`.
    """
    for event in events:
        if event not in reads:
            raise UsageError("schema-event", f"the contract reads nothing of {event!r}", _near(event, reads))
    try:
        if is_openapi(schema.document.root) and not schema.pointer:
            yield from _webhooks(schema, reads, events or tuple(reads))
        else:
            event = _event(schema, reads, events)
            found = body_schema(schema.document, schema.document.at(schema.pointer))
            yield _compared(schema, event, found, reads[event])
    except (ValueError, RecursionError) as error:
        raise UsageError("schema-invalid", f"{schema.label}: {error}") from error


def _webhooks(
    schema: SchemaFile, reads: Mapping[str, Mapping[str, str]], events: Sequence[str]
) -> Iterator[EventDrift]:
    """One event after another: that the schema does not have is told, unless it has none of them."""
    found = {event: event_schema(schema.document, event) for event in events}
    if all(each is None for each in found.values()):
        raise UsageError(
            "schema-event",
            f"{schema.label} has no webhook named {' or '.join(found)}",
            f"{schema.label}#/components/schemas/NAME --event EVENT says where it is described",
        )
    for event, each in found.items():
        if each is None:
            unknown = Finding("", Change.UNKNOWN_EVENT, Weight.NOTICE, "", "", schema.label, schema.label)
            yield EventDrift(event, 0, (unknown,), 0, 0)
        else:
            yield _compared(schema, event, each, reads[event])


def _compared(schema: SchemaFile, event: str, found: Json, reads: Mapping[str, str]) -> EventDrift:
    return compare_schema(event, found, document=schema.document, reads=reads, label=schema.label)


def _event(schema: SchemaFile, reads: Mapping[str, Mapping[str, str]], events: Sequence[str]) -> str:
    """The one event that a schema describes: the one named, the last step of its pointer, or the only one read."""
    named = (
        tuple(events)
        or tuple(name for name in (_last_step(schema.pointer),) if name in reads)
        or tuple(reads)
    )
    if len(named) != 1:
        raise UsageError(
            "schema-event",
            f"{schema.label} describes one event; which one is not said",
            f"--event NAME: {', '.join(named)}",
        )
    return named[0]


def _last_step(pointer: str) -> str:
    return pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")


def _near(event: str, reads: Mapping[str, Mapping[str, str]]) -> str:
    near = get_close_matches(event, reads, 1)
    return f"did you mean {near[0]}?" if near else f"it reads {', '.join(reads)}"
