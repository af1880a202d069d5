"""What the relay counts, and its Prometheus text. Everything here is a number in memory.

Must not know sockets, channels' names, or who asks: labels come from fixed sets, never from the network.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BATCH = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)


class Histogram:
    """Counts of observed values by upper bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str) -> Iterator[str]:
        total = 0
        for bound, count in zip((*map(_number, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {_number(self._sum)}"
        yield f"{name}_count {total}"


class Metrics:
    """The counters of one relay. Called from its event loop; `observe_commit` may come from the writer's thread."""

    def __init__(self) -> None:
        self.tunnels = 0  # open now, all modes
        self.subscribers = 0  # of server-sent events, open now
        self.pending: Callable[[], int] = lambda: 0  # deliveries that nobody acknowledged; set by the relay
        self._outcomes: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._acknowledged = 0
        self._redelivered = 0
        self._bytes: Counter[str] = Counter()
        self._latency = Histogram(_LATENCY_S)
        self._commit = Histogram(_BATCH)

    def count_outcome(self, status: str, seconds: float) -> None:
        """A stored delivery's sender was answered: `status` as in Webhookctl-Status, `seconds` since it came."""
        self._outcomes[status] += 1
        self._latency.observe(seconds)

    def count_refusal(self, reason: str) -> None:
        """A request was refused at the door. `reason` is one of admission.Reason."""
        self._refusals[reason] += 1

    def count_acknowledged(self, count: int = 1) -> None:
        """Deliveries were acknowledged by a client."""
        self._acknowledged += count

    def count_redelivered(self, count: int = 1) -> None:
        """Deliveries were sent to a client again (attempt 2 and more)."""
        self._redelivered += count

    def count_bytes(self, direction: str, count: int) -> None:
        """Body bytes: `direction` is "in" (from senders) or "out" (answers to senders)."""
        self._bytes[direction] += count

    def observe_commit(self, deliveries: int) -> None:
        """The broker committed `deliveries` with one fsync."""
        self._commit.observe(deliveries)

    def render(self) -> str:
        """The Prometheus text, ending in a line break."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from _family("deliveries_total", "counter", "Deliveries answered, by what the sender was told.")
        yield from _labelled("deliveries_total", "outcome", self._outcomes)
        yield from _family(
            "refused_total", "counter", "Requests refused at the door and not stored, by reason."
        )
        yield from _labelled("refused_total", "reason", self._refusals)
        yield from _single(
            "acknowledged_total", "counter", "Deliveries that a client is done with.", self._acknowledged
        )
        yield from _single(
            "redelivered_total", "counter", "Deliveries sent to a client again.", self._redelivered
        )
        yield from _family("body_bytes_total", "counter", "Body bytes from senders (in) and to them (out).")
        yield from _labelled("body_bytes_total", "direction", self._bytes)
        yield from _single(
            "pending", "gauge", "Deliveries stored that no client is done with.", self.pending()
        )
        yield from _single("tunnels", "gauge", "Tunnels open.", self.tunnels)
        yield from _single("subscribers", "gauge", "Streams of server-sent events open.", self.subscribers)
        yield from _family("answer_seconds", "histogram", "From a delivery's arrival to its sender's answer.")
        yield from self._latency.lines("webhookctl_relay_answer_seconds")
        yield from _family("commit_deliveries", "histogram", "Deliveries in one commit to disk.")
        yield from self._commit.lines("webhookctl_relay_commit_deliveries")


def _family(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP webhookctl_relay_{name} {meaning}"
    yield f"# TYPE webhookctl_relay_{name} {kind}"


def _labelled(name: str, label: str, counts: Counter[str]) -> Iterator[str]:
    for value, count in sorted(counts.items()):
        yield f'webhookctl_relay_{name}{{{label}="{value}"}} {count}'


def _single(name: str, kind: str, meaning: str, value: int) -> Iterator[str]:
    yield from _family(name, kind, meaning)
    yield f"webhookctl_relay_{name} {value}"


def _number(value: float) -> str:
    return f"{value:.10g}"
