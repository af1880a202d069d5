"""`python -m bench.tunnels`: memory and time for idle tunnels on one relay, then a delivery through each.

Each tunnel is a real WebSocket with a channel and a key of its own; all clients are one process.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from tests.acceptance.relay_running import Relay, memory_kib, new_project
from tests.acceptance.relay_tunnels import all_listening, make_channels, post


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tunnels", type=int, default=2_000)
    parser.add_argument("--idle-s", type=float, default=30.0, help="how long to leave them alone (30)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Relay(new_project(Path(folder) / "relay"), Path(folder) / "data")
        channels = make_channels(server.data, options.tunnels)
        server.start()
        try:
            asyncio.run(_measure(server, channels, options.idle_s))
        finally:
            server.end()
    return 0


async def _measure(server: Relay, channels: list, idle_s: float) -> None:  # type: ignore[type-arg]
    count = len(channels)
    async with all_listening(server.url, channels[:20]):
        before = memory_kib(server.pid)
        began_s = perf_counter()
        async with all_listening(server.url, channels[20:]) as listeners:
            opened_s = perf_counter() - began_s
            cpu_s = _cpu_s(server.pid)
            await asyncio.sleep(idle_s)
            cpu_s = _cpu_s(server.pid) - cpu_s
            after = memory_kib(server.pid)
            each = (after - before) / (count - 20)
            print(f"{count} tunnels: opened at {(count - 20) / opened_s:.0f} per second")
            print(
                f"relay's resident memory {before / 1024:.1f} MiB with 20, {after / 1024:.1f} MiB with {count}"
            )
            print(
                f"{each:.1f} KiB for each idle tunnel; {cpu_s / idle_s:.1%} of a core while idle for {idle_s:.0f} s"
            )
            began_s = perf_counter()
            posts = (post(server.url, f"/{channel.id}/x", [b"{}"] * 3) for channel in channels[20:])
            answers = await asyncio.gather(*posts)
            assert all(answer == [(200, b"{}")] * 3 for answer in answers)
            rate = 3 * len(listeners) / (perf_counter() - began_s)
            print(f"then three deliveries through each, all at once: {rate:.0f} per second, none lost")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    sys.exit(main())
