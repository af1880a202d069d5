"""The load: senders and target in one process, hence one clock; every arrival is counted by its delivery id.

Started by forward.py. Reads a job a line on stdin (JSON), writes its outcome a line on stdout. Knows no program
under test.
"""

import asyncio
import gc
import hashlib
import hmac
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from time import perf_counter, perf_counter_ns

try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop  # type: ignore[assignment]  # it makes any loop, uvloop's only its own

_ANSWER_BODY = b'{"received":true}'
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    % (len(_ANSWER_BODY), _ANSWER_BODY)
)  # fmt: skip
_ID_WIDTH = 16
_LIMIT_S = 30.0  # a job that takes longer has lost a delivery


@dataclass(frozen=True, slots=True)
class Job:
    """`count` deliveries with bodies of `body_bytes` to `port`, over `concurrency` keep-alive connections.

    `is_early`: the sender is answered before the app, with anything 2xx; the job lasts until all have arrived.
    """

    port: int
    count: int
    concurrency: int
    body_bytes: int
    secret: str
    path: str = "/webhooks"
    is_early: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: answered 2xx, arrived at the target by distinct id; seconds, milliseconds."""

    answered: int
    arrived: int
    duration_s: float
    p50_ms: float
    p99_ms: float
    error: str = ""


class _Arrivals:
    """What reached the target. `on_count` is called once `count` have."""

    def __init__(self) -> None:
        self.ids: list[bytes] = []
        self.count = 0
        self.on_count: Callable[[], None] = lambda: None

    def add(self, delivery_id: bytes) -> None:
        self.ids.append(delivery_id)
        if len(self.ids) == self.count:
            self.on_count()


class _Target(asyncio.Protocol):
    """The app: reads a whole request, notes the id at its end, answers 200."""

    def __init__(self, arrivals: _Arrivals) -> None:
        self._arrivals = arrivals
        self._head = self._tail = b""
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # uvloop has its own class

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
            self._tail = (self._tail + data)[-_ID_WIDTH - 2 :]
        else:
            data = self._head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._head = data
                return
            self._head = b""
            start = data[:end].lower().index(b"content-length:") + 15
            length = int(data[start : data.index(b"\r", start)])
            self._missing = length - (len(data) - end - 4)
            self._tail = data[-_ID_WIDTH - 2 :]
        if not self._missing:
            self._arrivals.add(self._tail[:-2])
            self._transport.write(_ANSWER)


class _Run:
    """A job under way: hands out signed deliveries, gathers latencies."""

    def __init__(self, job: Job, first_id: int) -> None:
        self.body = _body_start(job.body_bytes)
        self.deliveries = _signed(job, self.body, first_id)
        self.position = 0
        self.is_early = job.is_early
        self.missing = 2 if job.is_early else 1  # what has to come about: all answered (and all arrived)
        self.latencies_ns: list[int] = []
        self.done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def all_answered(self) -> None:
        self.missing -= 1
        if not self.missing:
            self.finish()

    all_arrived = all_answered

    def finish(self, error: str = "") -> None:
        if not self.done.done():
            self.done.set_result(error)


class _Sender(asyncio.Protocol):
    """One connection; one delivery in flight at a time."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._partial = b""
        self._sent_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # uvloop has its own class

    def send(self) -> None:
        run = self._run
        if run.position < len(run.deliveries):
            head, tail = run.deliveries[run.position]
            run.position += 1
            self._sent_ns = perf_counter_ns()
            self.transport.write(b"".join((head, run.body, tail)))

    def data_received(self, data: bytes) -> None:
        run = self._run
        if self._partial:
            data = self._partial + data
        if not data.startswith(b"HTTP/1.1 2"):
            run.finish(f"answered {data[:200]!r}")
        elif not (_is_whole(data) if run.is_early else data.endswith(_ANSWER_BODY)):
            self._partial = data
        else:
            self._partial = b""
            run.latencies_ns.append(perf_counter_ns() - self._sent_ns)
            if len(run.latencies_ns) == len(run.deliveries):
                run.all_answered()
            else:
                self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.finish(f"the connection was closed ({exc})")


def _is_whole(data: bytes) -> bool:
    """Whether a response is complete, by its Content-Length."""
    head, separator, body = data.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].split(b"\r", 1)[0]
    return bool(separator) and len(body) >= int(length or 0)


def _body_start(body_bytes: int) -> bytes:
    """All of a Stripe-like event but its id, which comes last: so the HMAC of what is before is made once."""
    ending = _ID_WIDTH + len(',"note":"","id":""')
    items: list[dict[str, object]] = []
    event = {
        "object": "event",
        "api_version": "2026-01-01",
        "livemode": False,
        "type": "payment_intent.succeeded",
        "data": {"object": {"id": "pi_bench", "object": "payment_intent", "amount": 1999, "currency": "eur"}},
        "items": items,
    }
    size = len(_compact(event)) + ending
    while size < body_bytes - 120:
        item = {"id": f"li_{len(items):06}", "amount": 1999, "quantity": 1, "description": "A sample item"}
        size += len(_compact(item)) + (1 if items else 0)
        items.append(item)
    return _compact(event)[:-1] + b',"note":"' + b"n" * (body_bytes - size) + b'","id":"'


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _signed(job: Job, body: bytes, first_id: int) -> list[tuple[bytes, bytes]]:
    """(everything before the body, the end of the body) of each delivery, signed as Stripe does."""
    at = str(int(datetime.now(UTC).timestamp()))
    started = hmac.new(job.secret.encode(), f"{at}.".encode() + body, hashlib.sha256)
    head = (
        f"POST {job.path} HTTP/1.1\r\nHost: 127.0.0.1:{job.port}\r\nUser-Agent: webhookctl-bench/1\r\n"
        f"Accept: */*\r\nCache-Control: no-cache\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {job.body_bytes}\r\nStripe-Signature: t={at},v1="
    )
    deliveries = []
    for number in range(first_id, first_id + job.count):
        tail = b'evt_%012d"}' % number
        signature = started.copy()
        signature.update(tail)
        deliveries.append((f"{head}{signature.hexdigest()}\r\n\r\n".encode(), tail))
    return deliveries


async def _perform(job: Job, first_id: int, arrivals: _Arrivals) -> Outcome:
    run = _Run(job, first_id)
    arrivals.ids, arrivals.count = [], job.count
    arrivals.on_count = run.all_arrived if job.is_early else lambda: None
    loop = asyncio.get_running_loop()
    senders = [
        (await loop.create_connection(lambda: _Sender(run), "127.0.0.1", job.port))[1]
        for _ in range(min(job.concurrency, job.count))
    ]
    gc.collect()
    gc.disable()
    start = perf_counter()
    for sender in senders:
        sender.send()
    try:
        error = await asyncio.wait_for(asyncio.shield(run.done), _LIMIT_S)
    except TimeoutError:
        error = f"{job.count - len(run.latencies_ns)} deliveries were not answered within {_LIMIT_S:g} s"
    duration_s = perf_counter() - start
    gc.enable()
    run.finish()
    for sender in senders:
        sender.transport.abort()
    expected = {tail[:-2] for _, tail in run.deliveries}
    arrived = len(expected.intersection(arrivals.ids))
    if not error and sorted(expected) != sorted(arrivals.ids):
        error = f"of {len(expected)} deliveries {arrived} arrived, in {len(arrivals.ids)} requests"
    latencies = sorted(run.latencies_ns) or [0]
    return Outcome(
        len(run.latencies_ns),
        arrived,
        duration_s,
        latencies[len(latencies) // 2] / 1e6,
        latencies[len(latencies) * 99 // 100] / 1e6,
        error,
    )


async def _serve() -> None:
    """The target's port on the first line, then an outcome for each job until stdin ends."""
    loop = asyncio.get_running_loop()
    arrivals = _Arrivals()
    server = await loop.create_server(lambda: _Target(arrivals), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    next_id = 1
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        job = Job(**json.loads(line))
        outcome = await _perform(job, next_id, arrivals)
        next_id += job.count
        print(json.dumps(asdict(outcome)), flush=True)
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve())
