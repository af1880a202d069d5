"""Figures of the benchmark: medians, ratios and bars as Markdown; the raw runs as JSON. Runs nothing."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

_OURS, _FLOOR, _PEER = "webhookctl", "nginx", "mitmdump"
_BEGIN, _END = "<!-- figures of {of}: written by make bench -->", "<!-- end of figures -->"
_FLAT = 0.05  # growth over the last half of the deliveries that still counts as flat


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured window: delivered per second, latencies, CPU time of the server per delivery, its memory peak."""

    name: str
    body_bytes: int
    concurrency: int
    count: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory (MiB) after each `step` deliveries."""

    step: int
    rss_mib: list[float]

    @property
    def growth(self) -> float:
        """Growth over the last half, as a share."""
        middle = self.rss_mib[len(self.rss_mib) // 2 - 1]
        return (self.rss_mib[-1] - middle) / middle


def figures(
    samples: Sequence[Sample],
    memory: Memory | None,
    *,
    rounds: int,
    machine: dict[str, str],
    notes: Sequence[str],
    ceiling: float,
) -> str:
    """The whole report as Markdown."""
    peers = {sample.name for sample in samples}
    lines = [
        f"{machine['date']}, {machine['system']}, {machine['python']}. Medians of {rounds} interleaved rounds.",
        f"The load generator and its target alone, nothing in between: {ceiling:,.0f} per second at 64.",
        *notes,
    ]
    lines = "\n\n".join(lines).splitlines()
    for body_bytes in sorted({sample.body_bytes for sample in samples}):
        lines += ["", f"### Bodies of {body_bytes // 1024} KiB", ""]
        lines += [
            "| program | at once | delivered/s | of nginx | of mitmdump | p50 ms | p99 ms | CPU µs each | peak MiB |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        ]
        for concurrency in sorted({sample.concurrency for sample in samples}):
            for name in dict.fromkeys(sample.name for sample in samples):
                lines.append(_row(samples, name, body_bytes, concurrency, peers))
    if memory is not None:
        shown = ", ".join(f"{mib:.1f}" for mib in memory.rss_mib)
        lines += ["", "### Memory", "", f"MiB resident after each {memory.step:,} of 1 KiB at 64: {shown}."]
    lines += ["", "### Bars", "", *_bars(samples, memory, peers)]
    return "\n".join(lines)


def cross_check(rate: float | None, samples: Sequence[Sample]) -> str:
    """A sentence on what nginx does under wrk, when it was measured, and what the ratio to that is."""
    if rate is None:
        return "not cross-checked: wrk or nginx is not installed"
    ours = _median(samples, _OURS, 1024, 64, lambda one: one.per_s)
    return (
        f"Cross-check: nginx under wrk (C, no signing, app made of nginx), 1 KiB at 64: {rate:,.0f} per second; "
        f"webhookctl under load.py is {ours / rate:.2f} of that."
    )


def keep(
    path: Path,
    samples: Sequence[Sample],
    memory: Memory | None,
    machine: dict[str, str],
    notes: Sequence[str],
    ceiling: float,
) -> None:
    """Write the raw runs to `path`."""
    path.parent.mkdir(exist_ok=True)
    document = {
        "machine": machine,
        "notes": list(notes),
        "load_alone_per_s": round(ceiling),
        "memory": asdict(memory) if memory else None,
        "samples": [_rounded(asdict(sample)) for sample in samples],
    }
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def put_into(readme: Path, text: str, *, of: str = "listen") -> None:
    """Replace the figures of one benchmark in `readme`."""
    begin = _BEGIN.format(of=of)
    before, _, rest = readme.read_text("utf-8").partition(begin)
    after = rest.partition(_END)[2]
    readme.write_text(f"{before}{begin}\n{text}\n{_END}{after}", "utf-8")


def _rounded(sample: dict[str, object]) -> dict[str, object]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in sample.items()}


def _median(
    samples: Sequence[Sample], name: str, body_bytes: int, concurrency: int, value: Callable[[Sample], float]
) -> float:
    case = (name, body_bytes, concurrency)
    return median(value(one) for one in samples if (one.name, one.body_bytes, one.concurrency) == case)


def _row(samples: Sequence[Sample], name: str, body_bytes: int, concurrency: int, peers: set[str]) -> str:
    def shown(value: Callable[[Sample], float]) -> float:
        return _median(samples, name, body_bytes, concurrency, value)

    per_s = shown(lambda one: one.per_s)
    cells = [name, str(concurrency), f"{per_s:,.0f}"]
    for peer in (_FLOOR, _PEER):
        is_there = peer in peers
        of = _median(samples, peer, body_bytes, concurrency, lambda one: one.per_s) if is_there else 1.0
        cells.append(f"{per_s / of:.2f}" if is_there else "-")
    cells += [f"{shown(lambda one: one.p50_ms):.3f}", f"{shown(lambda one: one.p99_ms):.2f}"]
    cells += [f"{shown(lambda one: one.cpu_us):.0f}", f"{shown(lambda one: one.peak_mib):.0f}"]
    return f"| {' | '.join(cells)} |"


def _bars(samples: Sequence[Sample], memory: Memory | None, peers: set[str]) -> list[str]:
    """Each bar with what came of it; bars whose peer is missing say so."""

    def rate(name: str) -> float:
        return _median(samples, name, 1024, 64, lambda one: one.per_s)

    def wait(name: str) -> float:
        return _median(samples, name, 1024, 1, lambda one: one.p50_ms)

    bars: list[tuple[str, str, Callable[[], tuple[float, bool]]]] = [
        ("1 KiB at 64: at least 8 x mitmdump -w", _PEER, lambda: _least(rate(_OURS) / rate(_PEER), 8.0)),
        ("1 KiB at 64: at least 0.2 x nginx", _FLOOR, lambda: _least(rate(_OURS) / rate(_FLOOR), 0.2)),
        ("p50 at 1: below mitmdump's", _PEER, lambda: _most(wait(_OURS) / wait(_PEER), 1.0)),
        ("p50 at 1: at most 8 x nginx's", _FLOOR, lambda: _most(wait(_OURS) / wait(_FLOOR), 8.0)),
    ]
    lines = []
    for text, peer, measure in bars:
        if {_OURS, peer} <= peers:
            value, is_met = measure()
            lines.append(f"- {text}: **{'met' if is_met else 'missed'}** ({value:.2f} x)")
        else:
            lines.append(f"- {text}: not measured")
    flat = "memory flat over 100,000 deliveries (last half grows by less than 5 %)"
    if memory is None:
        lines.append(f"- {flat}: not measured")
    else:
        is_flat = memory.growth < _FLAT
        lines.append(f"- {flat}: **{'met' if is_flat else 'missed'}** ({memory.growth:+.1%})")
    return lines


def _least(value: float, bar: float) -> tuple[float, bool]:
    return value, value >= bar


def _most(value: float, bar: float) -> tuple[float, bool]:
    return value, value <= bar
