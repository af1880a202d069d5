"""`make bench`: durable capture and forward by `webhookctl listen`, side by side with nginx and mitmdump.

Rounds are interleaved, each program is started anew in each; medians, ratios and the bars are printed. See README.md.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import report
from crosscheck import nginx_under_wrk
from report import Memory, Sample
from servers import ROOT, SECRET, Running, Server, check_history, running, servers

_SCRATCH = ROOT / "bench" / "runs" / "tmp"
_CASES = [(1024, 1), (1024, 16), (1024, 64), (102_400, 1), (102_400, 16), (102_400, 64)]
_BUSY_LOAD = 1.5
_TRIAL = 300  # deliveries sent before each window, unmeasured, to know how many fill it
_MEMORY_STEPS, _MEMORY_STEP = 10, 10_000


class Load:
    """The load generator's process: its target's port, and jobs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._jobs, self._outcomes = process.stdin, process.stdout
        self.target_port = int(self._outcomes.readline())
        self.sent = 0

    def send(
        self,
        port: int,
        *,
        count: int,
        concurrency: int,
        body_bytes: int,
        path: str = "/webhooks",
        is_early: bool = False,
    ) -> dict[str, float]:
        """Send signed deliveries; the outcome. Raises RuntimeError unless each was answered 2xx and arrived once."""
        job: dict[str, object] = {"port": port, "count": count, "concurrency": concurrency}
        job |= {"body_bytes": body_bytes, "path": path, "is_early": is_early}
        self._jobs.write(json.dumps(job | {"secret": SECRET}) + "\n")
        self._jobs.flush()
        outcome = json.loads(self._outcomes.readline() or '{"error": "the load generator died"}')
        if outcome["error"]:
            raise RuntimeError(outcome["error"])
        self.sent += count
        return dict(outcome)


@contextmanager
def load(core: int | None) -> Iterator[Load]:
    """A load generator, pinned to `core` unless None."""
    pinned = ["taskset", "-c", str(core)] if core is not None else []
    command = [*pinned, sys.executable, str(ROOT / "bench" / "load.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Load(process)
        finally:
            process.terminate()


def main() -> int:
    """Run what was asked for; 0 when all of it ran, whatever the figures."""
    options = _options()
    chosen = [server for server in servers() if not options.only or server.name in options.only]
    present = [server for server in chosen if server.command is not None]
    notes = [f"not installed, left out: {server.missing}" for server in chosen if server.command is None]
    cores = chosen_cores(notes)
    load_average = os.getloadavg()[0]
    if load_average > _BUSY_LOAD:
        notes.append(f"the machine was busy before the start: load average {load_average:.1f}")
    rounds, window_s = (1, 0.4) if options.quick else (options.rounds, 2.0)
    samples: list[Sample] = []
    with load(cores[1]) as generator:
        ceiling = _ceiling(generator)
        for number in range(rounds):
            for server in present:
                say(f"round {number + 1} of {rounds}: {server.name}")
                samples += _round(generator, server, cores[0], window_s, is_quick=options.quick)
        memory = None if options.quick or options.no_memory else _memory(generator, present, cores[0])
    if not options.only:
        say("nginx under wrk")
        rate = nginx_under_wrk(_SCRATCH, cores, window_s=1 if options.quick else 5)
        notes.append(report.cross_check(rate, samples))
    shutil.rmtree(_SCRATCH, ignore_errors=True)
    machine = machine_facts(options.machine)
    figures = report.figures(samples, memory, rounds=rounds, machine=machine, notes=notes, ceiling=ceiling)
    print(figures)
    if not options.quick:
        name = f"{datetime.now(UTC):%Y-%m-%d}-{machine['name']}"
        report.keep(ROOT / "bench" / "runs" / f"{name}.json", samples, memory, machine, notes, ceiling)
        if not options.only:
            report.put_into(ROOT / "bench" / "README.md", figures)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (5)")
    parser.add_argument(
        "--quick", action="store_true", help="one short round, nothing kept: does it all run?"
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="this program only; repeatable")
    parser.add_argument("--no-memory", action="store_true", help="leave out the run of 100,000 deliveries")
    parser.add_argument("--machine", metavar="NAME", help="the machine's name in the file of raw runs")
    return parser.parse_args()


def chosen_cores(notes: list[str]) -> tuple[int | None, int | None]:
    """The cores of the server and of the load; (None, None) when they cannot be set apart."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(allowed) < 2:
        notes.append("one core only: server and load share it, nothing is pinned")
        return None, None
    if shutil.which("taskset") is None:
        notes.append("no taskset: nothing is pinned")
        return None, None
    return allowed[0], allowed[1]


def _ceiling(generator: Load) -> float:
    """What the load generator and its target do with nothing in between, per second at 64."""
    say("the load alone")
    outcome: dict[str, float] = {}
    for _ in range(2):
        outcome = generator.send(generator.target_port, count=30_000, concurrency=64, body_bytes=1024)
    return outcome["answered"] / outcome["duration_s"]


def _round(
    generator: Load, server: Server, core: int | None, window_s: float, *, is_quick: bool
) -> list[Sample]:
    """One start of `server`: warm up, measure each case, stop, and for ours look into the history."""
    sent_before = generator.sent
    with running(server, _SCRATCH / "server", generator.target_port, core) as program:
        warm_up = server.warm_up // 10 if is_quick else server.warm_up
        generator.send(program.port, count=warm_up, concurrency=64, body_bytes=1024)
        samples = [
            _measure(generator, server.name, program, body_bytes, concurrency, window_s)
            for body_bytes, concurrency in _CASES
        ]
    if server.is_ours:
        check_history(program.folder, generator.sent - sent_before)
    return samples


def _measure(
    generator: Load, name: str, program: Running, body_bytes: int, concurrency: int, window_s: float
) -> Sample:
    window_s = window_s / 2 if body_bytes > 10_000 else window_s  # a second of large bodies is a lot of disk
    trial = generator.send(program.port, count=_TRIAL, concurrency=concurrency, body_bytes=body_bytes)
    count = max(200, int(_TRIAL / trial["duration_s"] * window_s))
    cpu_s = program.cpu_s()
    outcome = generator.send(program.port, count=count, concurrency=concurrency, body_bytes=body_bytes)
    return Sample(
        name=name,
        body_bytes=body_bytes,
        concurrency=concurrency,
        count=count,
        per_s=count / outcome["duration_s"],
        p50_ms=outcome["p50_ms"],
        p99_ms=outcome["p99_ms"],
        cpu_us=(program.cpu_s() - cpu_s) / count * 1e6,
        peak_mib=program.rss_mib("VmHWM"),
    )


def _memory(generator: Load, present: list[Server], core: int | None) -> Memory | None:
    """Resident memory of `webhookctl listen` after each 10,000 of 100,000 deliveries at concurrency 64."""
    server = next((server for server in present if server.name == "webhookctl"), None)
    if server is None:
        return None
    say("memory over 100,000 deliveries")
    sent_before = generator.sent
    rss_mib = []
    with running(server, _SCRATCH / "server", generator.target_port, core) as program:
        generator.send(program.port, count=server.warm_up, concurrency=64, body_bytes=1024)
        for _ in range(_MEMORY_STEPS):
            generator.send(program.port, count=_MEMORY_STEP, concurrency=64, body_bytes=1024)
            rss_mib.append(program.rss_mib())
    check_history(program.folder, generator.sent - sent_before)
    return Memory(_MEMORY_STEP, rss_mib)


def machine_facts(name: str | None) -> dict[str, str]:
    system = f"{platform.system().lower()}-{platform.machine()}-{os.cpu_count()}cores"
    return {
        "name": name or system,
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "system": f"{platform.system()} {platform.release()}, {_processor()}, {os.cpu_count()} cores",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
