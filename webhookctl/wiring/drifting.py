"""`drift`, put together: captures, the contract that says what is read of them, the fixtures they used to look like.

Imports neither asyncio nor the network.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from webhookctl.contract.drift import NO_EVENT, EventDrift, Known, Sample, compare, known
from webhookctl.contract.model import Json
from webhookctl.contract.profile import Profile, profile
from webhookctl.contract.reads import read_reads
from webhookctl.errors import FixtureError, UsageError
from webhookctl.fixture import Fixture
from webhookctl.wiring.drift_schemas import SchemaFile, compare_schema_file, read_schema
from webhookctl.wiring.project import Project
from webhookctl.wiring.sources import load_target

HISTORY = "history"
Reads: TypeAlias = Mapping[str, Mapping[str, str]]
_MAX_CONTRACT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DriftPlan:
    """Everything `drift` was told. `limit`: so many of the newest deliveries of the history."""

    captures: tuple[str, ...]
    contract: Path | None = None
    against: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    limit: int = 1_000


def find_drift(project: Project, plan: DriftPlan) -> tuple[EventDrift, ...]:
    """What changed in the captures. Raises UsageError `drift-baseline-missing`, `contract-…`, FixtureError."""
    if plan.contract is None and not plan.against:
        raise UsageError(
            "drift-baseline-missing",
            "nothing to compare with",
            "--contract FILE for what a receiver reads, --against FIXTURES for how deliveries used to look",
        )
    schemas = [schema for target in plan.against if (schema := read_schema(target))]
    if schemas:
        return _schema_drift(plan, schemas)
    reads = {} if plan.contract is None else _read(plan.contract)
    samples = [sample for sample in _samples(project, plan) if _is_meant(sample, plan.events)]
    if not samples:
        raise FixtureError(
            "captures-missing", "no delivery to look at", "webhookctl log shows what was recorded"
        )
    return compare(samples, _knowledge(reads, _profiles(project, plan.against)))


def _schema_drift(plan: DriftPlan, schemas: Sequence[SchemaFile]) -> tuple[EventDrift, ...]:
    if plan.contract is None or plan.captures or len(schemas) < len(plan.against):
        raise UsageError(
            "schema-alone",
            "a schema is compared with what a contract reads, and with nothing else",
            f"webhookctl drift --against {schemas[0].label} --contract FILE",
        )
    reads = _read(plan.contract)
    found = [drift for schema in schemas for drift in compare_schema_file(schema, reads, plan.events)]
    return tuple(sorted(found, key=lambda each: each.event))


def _is_meant(sample: Sample, events: Sequence[str]) -> bool:
    return not events or sample.event in events


def _read(path: Path) -> Reads:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_CONTRACT_BYTES)
    except OSError as error:
        raise UsageError("contract-unreadable", f"{path} cannot be read: {error.strerror}") from error
    reads = read_reads(data, origin=str(path))
    if not reads:
        raise UsageError(
            "reads-missing",
            f"{path} does not say what its receiver reads",
            f"webhookctl contract learn --contract {path} --write finds it out",
        )
    return reads


def _knowledge(reads: Reads, profiles: Mapping[str, Profile]) -> dict[str, Known]:
    return {event: known(reads.get(event), profiles.get(event)) for event in [*reads, *profiles]}


def _profiles(project: Project, targets: Sequence[str]) -> dict[str, Profile]:
    bodies: dict[str, list[Json]] = {}
    for target in targets:
        for saved in load_target(project, target, stdin=_no_stdin):
            bodies.setdefault(saved.event or NO_EVENT, []).append(_document(saved.request.body))
    return {event: profile(documents) for event, documents in bodies.items()}


def _samples(project: Project, plan: DriftPlan) -> Iterator[Sample]:
    for target in plan.captures or (HISTORY,):
        if target == HISTORY:
            yield from _history(project, plan.limit)
        else:
            for saved in load_target(project, target, stdin=_no_stdin):
                yield Sample(_label(saved), saved.event, _document(saved.request.body))


def _history(project: Project, limit: int) -> Iterator[Sample]:
    """The newest deliveries of the history, oldest first."""
    from webhookctl.store.history import History

    if not project.state.history_path.exists():
        raise FixtureError(
            "captures-missing", "nothing is recorded in this project yet", "webhookctl listen records"
        )
    with History(project.state.history_path) as history:
        for exchange in reversed(history.newest(limit=limit)):
            body = exchange.capture.request.body
            yield Sample(f"#{exchange.id}", exchange.detection.event, _document(body))


def _label(saved: Fixture) -> str:
    return (
        f"{saved.provider}/{saved.name}" if saved.provider and not saved.name.startswith("#") else saved.name
    )


def _document(body: bytes) -> Json:
    try:
        document: Json = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document


def _no_stdin() -> bytes:
    raise UsageError(
        "captures-stdin", "captures do not come from standard input", "name fixtures, #18 or history"
    )
