"""Signing and verifying 2 KiB against the bare `hmac.digest`, side by side in one process: ratios, not times.

`make bench` runs it; exit code 1 when the bar is missed.
"""

import hmac
import sys
import timeit
from collections.abc import Callable

from webhookctl.model import Request, Secret
from webhookctl.signing import load, sign, verify

BODY = b"x" * 2048
SECRET = Secret("whsec_" + "a" * 32)
NOW_S = 1_700_000_000.0
CALLS = 100
ROUNDS = 400
PROVIDERS = ("stripe", "github", "slack", "standardwebhooks")
BAR = 4.0  # one sign and one verify together, in units of one digest; each of them needs one


def measure(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Microseconds a call: the best of many short rounds in which each has its turn; what is slower is others' work."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            times[name].append(timeit.timeit(call, number=CALLS) / CALLS * 1e6)
    return {name: min(found) for name, found in times.items()}


def calls_of(provider: str) -> dict[str, Callable[[], object]]:
    """What is measured of one provider."""
    scheme = load(provider)
    headers = sign(scheme, SECRET, body=BODY, timestamp_s=NOW_S, message_id="msg_1")
    request = Request("POST", "/", headers, BODY)
    assert verify(scheme, (SECRET,), request, now_s=NOW_S).is_ok
    return {
        f"{provider} sign": lambda: sign(scheme, SECRET, body=BODY, timestamp_s=NOW_S, message_id="msg_1"),
        f"{provider} verify": lambda: verify(scheme, (SECRET,), request, now_s=NOW_S),
    }


def main() -> int:
    """Print a line for each provider; 1 when one misses the bar."""
    print("HMAC-SHA256 of 2 KiB; in units of one bare hmac.digest")
    key = SECRET.reveal().encode()
    calls: dict[str, Callable[[], object]] = {"digest": lambda: hmac.digest(key, BODY, "sha256")}
    for provider in PROVIDERS:
        calls |= calls_of(provider)
    found = measure(calls)
    digest_us, worst = found["digest"], 0.0
    for provider in PROVIDERS:
        sign_us, verify_us = found[f"{provider} sign"], found[f"{provider} verify"]
        both = (sign_us + verify_us) / digest_us
        worst = max(worst, both)
        print(
            f"{provider:<17} digest {digest_us:.1f} µs  sign {sign_us / digest_us:.2f}  "
            f"verify {verify_us / digest_us:.2f}  both {both:.2f}"
        )
    print(
        f"bar: sign and verify together at most {BAR:g} x one digest: {'met' if worst <= BAR else 'MISSED'}"
    )
    return 0 if worst <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
