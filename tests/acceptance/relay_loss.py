"""A burst through relay and client while both are killed and the network is cut, and what came of every delivery.

Bounded in test_relay_loss.py; long in bench/soak.py.
"""

import hashlib
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from tests.acceptance.receivers import RawMessage, Sender, Sink, sink
from tests.acceptance.relay_running import Client, Relay, Wire, new_project, relay, wait_for, wire

_LIMIT_S = 600.0
_SEQ_MASK = (1 << 40) - 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is sent, and what goes wrong meanwhile."""

    deliveries: int
    senders: int = 16
    relay_kills: int = 3
    client_kills: int = 3
    cuts: int = 1
    stalls: int = 0
    resets: int = 0

    @property
    def mishaps(self) -> list[str]:
        """All that happens, mixed evenly."""
        counts = {
            "relay": self.relay_kills,
            "client": self.client_kills,
            "cut": self.cuts,
            "stall": self.stalls,
            "reset": self.resets,
        }
        spread = [((n + 0.5) / count, name) for name, count in counts.items() for n in range(count)]
        return [name for _, name in sorted(spread)]


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a burst. Lists name deliveries, so that a failure can be looked into."""

    requests: int  # sent, answered or not
    answered: dict[int, int]  # how many got which 2xx status
    refused: dict[int, int]  # how many got which other status, and were sent again
    unanswered: int  # the connection ended first; sent again under another name
    arrivals: int  # at the app
    redeliveries: int  # of them, marked with Webhookctl-Attempt
    distinct: int
    killed: dict[str, int]
    duration_s: float
    lost: list[str]  # answered 2xx, never at the app
    damaged: list[str]  # at the app with other bytes than sent
    unstored: list[str]  # answered 2xx, not in the relay's database
    out_of_order: list[str]  # overtook another without being marked as a redelivery
    unmarked: list[str]  # came twice without a mark
    renamed: list[str]  # came twice with different delivery ids

    @property
    def text(self) -> str:
        """The figures line by line."""
        wrong = (self.lost, self.damaged, self.unstored, self.out_of_order, self.unmarked, self.renamed)
        names = ("lost", "damaged", "unstored", "out of order", "unmarked duplicates", "renamed")
        lines = [
            f"{self.requests} requests in {self.duration_s:.0f} s",
            f"answered {self.answered}, refused {self.refused}, without an answer {self.unanswered}",
            f"mishaps: {self.killed}",
            f"at the app: {self.arrivals} arrivals, {self.distinct} distinct, {self.redeliveries} marked redeliveries",
            ", ".join(f"{name} {len(each)}" for name, each in zip(names, wrong, strict=True)),
        ]
        return "\n".join(lines)


def raw_of(path: str, name: str) -> bytes:
    """The request of that name: its body follows from it, so that the app's copy can be checked."""
    body = body_of(name)
    head = f"POST {path}/hooks/{name}?x=%2F HTTP/1.1\r\nHost: hooks.example.com\r\nX-Number: {name}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def body_of(name: str) -> bytes:
    """Mostly 0.2 to 2 KiB, sometimes 100 KiB, rarely 300 KiB; any bytes."""
    number = int(name.split("-")[0])
    size = 300_000 if number % 100 == 99 else 100_000 if number % 60 == 59 else 200 + number * 37 % 1_900
    block = hashlib.sha256(name.encode()).digest()
    return (block * (size // 32 + 1))[:size]


@dataclass(slots=True)
class Burst:
    """Senders with keep-alive connections that send until every number was answered 2xx."""

    plan: Plan
    relay_url: str
    path: str
    answered: dict[str, tuple[int, str]] = field(default_factory=dict)  # name: status, delivery id
    refused: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    requests: int = 0
    failure: str = ""
    _next: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)
    _pause: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        for _ in range(self.plan.senders):
            thread = threading.Thread(target=self._run, daemon=True)
            self._threads.append(thread)
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(_LIMIT_S)
            assert not thread.is_alive(), "a sender never got its answer"
        assert not self.failure, self.failure

    def _take(self) -> int | None:
        with self._lock:
            self._next += 1
            return self._next - 1 if self._next <= self.plan.deliveries else None

    def _run(self) -> None:
        sender: Sender | None = None
        try:
            while (number := self._take()) is not None:
                attempt = 0
                while True:
                    attempt += 1
                    name = f"{number}-{attempt}"
                    sender, is_done = self._send(sender, name)
                    if is_done:
                        break
        except Exception as error:
            self.failure = repr(error)
        finally:
            if sender is not None:
                sender.close()

    def _send(self, sender: Sender | None, name: str) -> tuple[Sender | None, bool]:
        """One request; the connection for the next one, and whether it was answered 2xx."""
        try:
            sender = sender or Sender(self.relay_url)
        except OSError:  # the relay is down
            self._pause.wait(0.02)
            return None, False
        with self._lock:
            self.requests += 1
        try:
            response = sender.send(raw_of(self.path, name))
        except OSError:
            response = None
        if response is None:
            sender.close()
            with self._lock:
                self.unanswered += 1
            return None, False
        with self._lock:
            if 200 <= response.status < 300:
                self.answered[name] = (response.status, _header(response, b"webhookctl-delivery-id"))
                return sender, True
            self.refused[response.status] += 1
        self._pause.wait(0.05)
        if any(name.lower() == b"connection" and value == b"close" for name, value in response.headers):
            sender.close()
            sender = None
        return sender, False


def run(folder: Path, plan: Plan) -> Report:
    """Send the burst, let everything happen that was planned, wait until the app has all; what came of it."""
    began_s = monotonic()
    with sink() as app, relay(folder) as server, wire(server.url) as network:
        channel = server.new_channel("soak", "--deadline", "2s")
        burst = Burst(plan, server.url, f"/{channel.id}")
        listener = Client(
            new_project(folder / "client"), network.url, channel, ("--forward-to", app.url, "--no-save")
        )
        try:
            listener.start()
            burst.start()
            killed = _let_happen(plan, burst, server, listener, network, app)
            burst.join()
            wait_for(lambda: burst.answered.keys() <= _names(app), "all that was answered", within_s=_LIMIT_S)
        except AssertionError as error:
            if not burst.answered:
                raise
            error.add_note(
                f"{len(burst.answered.keys() - _names(app))} of {len(burst.answered)} did not arrive"
            )
            raise
        finally:
            listener.close()
        places = _places(server.data)
    return _report(burst, app, places, killed, monotonic() - began_s)


def _let_happen(
    plan: Plan, burst: Burst, server: Relay, listener: Client, network: Wire, app: Sink
) -> dict[str, int]:
    """Each mishap when its share of the burst was answered and something has arrived since the one before."""
    killed: Counter[str] = Counter()
    mishaps = plan.mishaps
    pause = threading.Event()
    for number, mishap in enumerate(mishaps):
        share = (number + 0.5) / len(mishaps) * plan.deliveries * 0.95
        arrived = len(app.requests)
        wait_for(
            lambda share=share, arrived=arrived: (  # type: ignore[misc]  # defaults bind the loop's values
                burst.failure or (len(burst.answered) >= share and len(app.requests) > arrived)
            ),
            f"mishap {number} ({mishap}) after {len(burst.answered)} answers, {len(app.requests)} arrivals",
            within_s=_LIMIT_S,
        )
        killed[mishap] += 1
        match mishap:
            case "relay":
                server.end()
                server.start()
            case "client":
                listener.kill()
                listener.start(is_connected=False)
            case "cut":
                network.cut()
                pause.wait(0.3)
                network.mend()
            case "stall":
                network.stall()
                pause.wait(0.5)
                network.mend()
            case _:
                network.reset()
    return dict(killed)


def _names(app: Sink) -> set[str]:
    return {_name(request) for request in list(app.requests)}


def _name(request: RawMessage) -> str:
    return _header(request, b"x-number")


def _header(message: RawMessage, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in message.headers if name.lower() == wanted), "")


def _places(data: Path) -> dict[str, int]:
    """Sequence number by delivery id, of all the relay keeps: pending and done."""
    path = next(data.glob("*.sqlite3"))
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        found = database.execute(
            "SELECT delivery_id, id FROM delivery UNION SELECT delivery_id, id FROM done"
        )
        return {delivery_id: row & _SEQ_MASK for delivery_id, row in found}


def _report(
    burst: Burst, app: Sink, places: dict[str, int], killed: dict[str, int], duration_s: float
) -> Report:
    arrivals = list(app.requests)
    names = {_name(request) for request in arrivals}
    unmarked, renamed, out_of_order = [], [], []
    ids: dict[str, str] = {}
    last = 0
    for request in arrivals:
        name, delivery_id = _name(request), _header(request, b"webhookctl-delivery-id")
        is_marked = bool(_header(request, b"webhookctl-attempt"))
        if ids.setdefault(name, delivery_id) != delivery_id:
            renamed.append(name)
        if is_marked:
            continue
        place = places.get(delivery_id, 0)
        if place == last or place < last:
            out_of_order.append(f"{name} ({place} after {last})")
        last = max(last, place)
    seen = Counter(_name(each) for each in arrivals if not _header(each, b"webhookctl-attempt"))
    unmarked = [name for name, count in seen.items() if count > 1]
    return Report(
        requests=burst.requests,
        answered=dict(Counter(status for status, _ in burst.answered.values())),
        refused=dict(burst.refused),
        unanswered=burst.unanswered,
        arrivals=len(arrivals),
        redeliveries=sum(bool(_header(each, b"webhookctl-attempt")) for each in arrivals),
        distinct=len(names),
        killed=killed,
        duration_s=duration_s,
        lost=sorted(burst.answered.keys() - names),
        damaged=[_name(each) for each in arrivals if not _is_whole(each)],
        unstored=[name for name, (_, delivery_id) in burst.answered.items() if delivery_id not in places],
        out_of_order=out_of_order,
        unmarked=unmarked,
        renamed=renamed,
    )


def _is_whole(request: RawMessage) -> bool:
    name = _name(request)
    return request.body == body_of(name) and request.start == f"POST /hooks/{name}?x=%2F HTTP/1.1".encode()
