"""`make bench-relay`: sender, durable relay, tunnel, `listen --relay`, app and back, side by side with nginx.

Rounds are interleaved, each program is started anew in each; medians, ratios and the bars are printed. See README.md.
"""

import argparse
import http.client
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import monotonic, sleep

from forward import Load, chosen_cores, load, machine_facts, say
from report import put_into
from servers import ROOT, SECRET, Running, running, servers

from tests.acceptance.relay_running import ChannelKey, Relay, new_project, pinned

_SCRATCH = ROOT / "bench" / "runs" / "tmp-relay"
_KIB = 1024
_CASES = [(size * _KIB, at_once) for size in (1, 100, 1024) for at_once in (1, 16, 64)]
_SMEE_CASES = [(_KIB, 1), (_KIB, 16), (_KIB, 64)]
_BURST = 5_000
_LIMIT_S = 20.0
_BUSY_LOAD = 1.5
_NGINX, _OURS, _SMEE = "nginx", "relay + listen", "relay + smee-client"
_UNORDERED = "relay + listen --concurrency 64"


@dataclass(frozen=True, slots=True)
class Way:
    """What deliveries go through: where they are sent, and the processes they pass, by name."""

    port: int
    path: str
    processes: dict[str, Running]
    is_early: bool = False

    def cpu_s(self) -> dict[str, float]:
        return {name: process.cpu_s() for name, process in self.processes.items()}


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured window. CPU time per delivery and memory peak are per process."""

    name: str
    body_bytes: int
    concurrency: int
    count: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: dict[str, float]
    peak_mib: dict[str, float]


def main() -> int:
    """Run what was asked for; 0 when all of it ran, whatever the figures."""
    options = _options()
    notes: list[str] = []
    cores = chosen_cores(notes)
    load_average = os.getloadavg()[0]
    if load_average > _BUSY_LOAD:
        notes.append(f"the machine was busy before the start: load average {load_average:.1f}")
    rounds, window_s = (1, 0.4) if options.quick else (options.rounds, 2.0)
    samples: list[Sample] = []
    smee = _smee_client(notes)
    with load(cores[1]) as generator:
        for number in range(rounds):
            for name in (_NGINX, _OURS, _UNORDERED, _SMEE):
                if (options.only and name not in options.only) or (name == _SMEE and smee is None):
                    continue
                say(f"round {number + 1} of {rounds}: {name}")
                samples += _round(generator, name, cores[0], window_s, smee)
    shutil.rmtree(_SCRATCH, ignore_errors=True)
    machine = machine_facts(options.machine)
    text = _figures(samples, rounds, machine, notes)
    print(text)
    if not options.quick and not options.only:
        name = f"{datetime.now(UTC):%Y-%m-%d}-{machine['name']}-relay.json"
        document = {"machine": machine, "notes": notes, "samples": [asdict(sample) for sample in samples]}
        (ROOT / "bench" / "runs" / name).write_text(json.dumps(document, indent=1) + "\n", "utf-8")
        put_into(ROOT / "bench" / "README.md", text, of="relay")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (3)")
    parser.add_argument(
        "--quick", action="store_true", help="one short round, nothing kept: does it all run?"
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="this program only; repeatable")
    parser.add_argument("--machine", metavar="NAME", help="the machine's name in the file of raw runs")
    return parser.parse_args()


def _round(generator: Load, name: str, core: int | None, window_s: float, smee: Path | None) -> list[Sample]:
    """One start of a program: warm up, measure each case, and for ours a burst."""
    ways = {
        _NGINX: lambda: _nginx(generator.target_port, core),
        _OURS: lambda: _ours(generator.target_port, core),
        _UNORDERED: lambda: _ours(generator.target_port, core, "--concurrency", "64"),
        _SMEE: lambda: _smee(generator.target_port, core, smee),
    }
    with ways[name]() as way:
        _send(generator, way, count=2_000, concurrency=16, body_bytes=_KIB)
        cases = _SMEE_CASES if name == _SMEE else _CASES
        samples = [_measure(generator, name, way, size, at_once, window_s) for size, at_once in cases]
        if name in (_OURS, _UNORDERED):
            _send(generator, way, count=_BURST, concurrency=64, body_bytes=_KIB)  # raises when one is lost
        return samples


def _send(generator: Load, way: Way, *, count: int, concurrency: int, body_bytes: int) -> dict[str, float]:
    return generator.send(
        way.port,
        count=count,
        concurrency=concurrency,
        body_bytes=body_bytes,
        path=way.path,
        is_early=way.is_early,
    )


def _measure(
    generator: Load, name: str, way: Way, body_bytes: int, concurrency: int, window_s: float
) -> Sample:
    trial_count = 20 if body_bytes > 500_000 else 200
    trial = _send(generator, way, count=trial_count, concurrency=concurrency, body_bytes=body_bytes)
    count = max(concurrency, trial_count, int(trial_count / trial["duration_s"] * window_s))
    before = way.cpu_s()
    outcome = _send(generator, way, count=count, concurrency=concurrency, body_bytes=body_bytes)
    after = way.cpu_s()
    return Sample(
        name=name,
        body_bytes=body_bytes,
        concurrency=concurrency,
        count=count,
        per_s=round(count / outcome["duration_s"], 1),
        p50_ms=round(outcome["p50_ms"], 4),
        p99_ms=round(outcome["p99_ms"], 4),
        cpu_us={each: round((after[each] - before[each]) / count * 1e6, 1) for each in before},
        peak_mib={each: round(process.rss_mib("VmHWM"), 1) for each, process in way.processes.items()},
    )


@contextmanager
def _nginx(target_port: int, core: int | None) -> Iterator[Way]:
    server = next(server for server in servers() if server.name == "nginx")
    if server.command is None:
        raise RuntimeError(f"{server.missing} is not installed: nothing to compare with")
    with running(server, _SCRATCH / "nginx", target_port, core) as process:
        yield Way(process.port, "/webhooks", {"nginx": process})


@contextmanager
def _relay(core: int | None, *options: str) -> Iterator[tuple[Relay, ChannelKey]]:
    shutil.rmtree(_SCRATCH, ignore_errors=True)
    _SCRATCH.mkdir(parents=True)
    server = Relay(new_project(_SCRATCH / "relay"), _SCRATCH / "data", prefix=pinned(core))
    server.start()
    try:
        yield server, server.new_channel("bench", *options)
    except RuntimeError as error:
        error.add_note(f"the relay said at the end:\n{server.output.read_text('utf-8', 'replace')[-2_000:]}")
        raise
    finally:
        server.end()


@contextmanager
def _ours(target_port: int, core: int | None, *options: str) -> Iterator[Way]:
    """The relay and the client as people run them, both on the one core."""
    with _relay(core, "--deadline", "1m") as (server, channel):
        project = new_project(_SCRATCH / "client")
        environment = {"WEBHOOKCTL_RELAY_KEY": channel.key, "STRIPE_WEBHOOK_SECRET": SECRET}
        target = f"http://127.0.0.1:{target_port}"
        command = ("listen", "--relay", server.url, "--channel", channel.name, "--forward-to", target)
        with (
            open(_SCRATCH / "client-output", "wb") as output,
            subprocess.Popen(
                [*pinned(core), sys.executable, "-m", "webhookctl", *command, "--port", "0", *options],
                cwd=project.folder,
                env=project.with_environment(**environment).environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            try:
                _wait_until_delivered(server, channel)
                parts = {"relay": server.pid, "listen": process.pid}
                yield _way(server, channel, parts)
            except RuntimeError as error:
                text = (_SCRATCH / "client-output").read_text("utf-8", "replace")
                error.add_note(f"the client said at the end:\n{text[-2_000:]}")
                raise
            finally:
                process.kill()


@contextmanager
def _smee(target_port: int, core: int | None, program: Path | None) -> Iterator[Way]:
    """npm's smee-client on the relay's smee endpoint: the sender is answered at once, the app's answer is not seen."""
    assert program is not None
    with _relay(core, "--sse") as (server, channel):
        target = f"http://127.0.0.1:{target_port}/webhooks"
        command = ["node", str(program), "--url", server.url_of(channel), "--target", target]
        with (
            open(_SCRATCH / "smee-output", "wb") as output,
            subprocess.Popen([*pinned(core), *command], stdout=output, stderr=subprocess.STDOUT) as process,
        ):
            try:
                end_s = monotonic() + _LIMIT_S
                while b"onnected" not in (_SCRATCH / "smee-output").read_bytes():
                    if monotonic() > end_s or process.poll() is not None:
                        raise RuntimeError("smee-client did not connect")
                    sleep(0.05)
                yield _way(server, channel, {"relay": server.pid, "smee-client": process.pid}, is_early=True)
            finally:
                process.kill()


def _way(server: Relay, channel: ChannelKey, pids: dict[str, int], *, is_early: bool = False) -> Way:
    processes = {name: Running(server.port, _SCRATCH, (pid,)) for name, pid in pids.items()}
    return Way(server.port, f"/{channel.id}", processes, is_early)


def _wait_until_delivered(server: Relay, channel: ChannelKey) -> None:
    """Until a delivery gets through to the app."""
    end_s = monotonic() + _LIMIT_S
    while monotonic() < end_s:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_LIMIT_S)
        connection.request("POST", f"/{channel.id}", body=b'{"id":"evt_warm_up_____"}')
        if connection.getresponse().headers["Webhookctl-Status"] == "delivered":
            return
        connection.close()
        sleep(0.05)
    raise RuntimeError("no delivery got through")


def _smee_client(notes: list[str]) -> Path | None:
    """The npm program's script; None, with a note, when it is not installed."""
    folder = Path(os.environ.get("SMEE_CLIENT", ROOT / "bench" / "npm" / "node_modules" / "smee-client"))
    program = folder / "bin" / "smee.js"
    if program.exists() and shutil.which("node"):
        return program
    notes.append("not installed, left out: smee-client (npm install --prefix bench/npm smee-client)")
    return None


def _figures(samples: list[Sample], rounds: int, machine: dict[str, str], notes: list[str]) -> str:
    """The report as Markdown."""
    lines = [
        f"{machine['date']}, {machine['system']}, {machine['python']}. Medians of {rounds} interleaved rounds.",
        *notes,
    ]
    lines = "\n\n".join(lines).splitlines()
    for size in sorted({sample.body_bytes for sample in samples}):
        lines += ["", f"#### Bodies of {size // _KIB} KiB", ""]
        lines += [
            "| way | at once | delivered/s | of nginx | p50 ms | p99 ms | CPU µs each | peak MiB |",
            "|---|--:|--:|--:|--:|--:|--:|--:|",
        ]
        for at_once in sorted({sample.concurrency for sample in samples}):
            for name in dict.fromkeys(sample.name for sample in samples):
                same = _same(samples, name, size, at_once)
                if same:
                    lines.append(_row(name, at_once, same, _same(samples, _NGINX, size, at_once)))
    return "\n".join([*lines, "", "#### Bars", "", *_bars(samples)])


def _same(samples: list[Sample], name: str, size: int, at_once: int) -> list[Sample]:
    case = (name, size, at_once)
    return [each for each in samples if (each.name, each.body_bytes, each.concurrency) == case]


def _row(name: str, at_once: int, same: list[Sample], floor: list[Sample]) -> str:
    per_s = median(each.per_s for each in same)
    ratio = f"{per_s / median(each.per_s for each in floor):.2f}" if floor else "-"
    cpu, peak = _each([sample.cpu_us for sample in same]), _each([sample.peak_mib for sample in same])
    p50, p99 = (median(value) for value in zip(*((each.p50_ms, each.p99_ms) for each in same), strict=True))
    return f"| {name} | {at_once} | {per_s:,.0f} | {ratio} | {p50:.3f} | {p99:.2f} | {cpu} | {peak} |"


def _each(parts: list[dict[str, float]]) -> str:
    """The median of each process's figure."""
    return ", ".join(f"{name} {median(each[name] for each in parts):,.0f}" for name in parts[0])


def _bars(samples: list[Sample]) -> list[str]:
    """Each bar with what came of it."""
    lines = []
    for at_once in (16, 64):
        ours, floor = (
            [each.per_s for each in _same(samples, name, _KIB, at_once)] for name in (_OURS, _NGINX)
        )
        if ours and floor:
            ratio = median(ours) / median(floor)
            met = "met" if ratio >= 0.25 else "missed"
            lines.append(f"- 1 KiB at {at_once}: at least 0.25 x nginx: **{met}** ({ratio:.2f} x)")
    ours, floor = ([each.p50_ms for each in _same(samples, name, _KIB, 1)] for name in (_OURS, _NGINX))
    if ours and floor:
        ratio = median(ours) / median(floor)
        lines.append(
            f"- p50 at 1: at most 10 x nginx's: **{'met' if ratio <= 10 else 'missed'}** ({ratio:.1f} x)"
        )
    if ours:
        lines.append(
            f"- a burst of {_BURST:,} at 64: **met**, each answered by the app and arrived exactly once"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
