"""`make soak`: bursts of 5,000 deliveries while relay and client are killed ten times each and the network fails."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.acceptance.relay_loss import Plan, run


def main() -> int:
    """Run the bursts and print what came of each; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bursts", type=int, default=3)
    parser.add_argument("--deliveries", type=int, default=5_000)
    parser.add_argument("--kills", type=int, default=10, help="of each, relay and client (10)")
    options = parser.parse_args()
    plan = Plan(
        options.deliveries,
        relay_kills=options.kills,
        client_kills=options.kills,
        cuts=max(1, options.kills // 2),
        stalls=2,
        resets=3,
    )
    is_broken = False
    for number in range(options.bursts):
        with tempfile.TemporaryDirectory() as folder:
            report = run(Path(folder), plan)
        print(f"burst {number + 1}: {report.text}\n", flush=True)
        for what in ("lost", "damaged", "unstored", "out_of_order", "unmarked", "renamed"):
            if names := getattr(report, what):
                is_broken = True
                print(f"{what}: {names[:20]}")
    return int(is_broken)


if __name__ == "__main__":
    sys.exit(main())
