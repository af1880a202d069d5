"""A relay's admin API and event streams on a loopback port, over a broker that is really on disk; a client for them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from aiohttp import web

from webhookctl.errors import UsageError
from webhookctl.model import Secret
from webhookctl.relay.admin import PREFIX, Admin, AdminOptions
from webhookctl.relay.admission import Admission
from webhookctl.relay.broker import Arrival
from webhookctl.relay.metrics import Metrics
from webhookctl.relay.registry import GuestLimits, Registry
from webhookctl.relay.sqlite_broker import SqliteBroker
from webhookctl.relay.sse import EventStreams

ADMIN_KEY = "an-admin-key-of-the-tests"
NOW_S = 1_790_000_000.0
PUBLIC_URL = "https://hooks.example.com"
_LIMIT_S = 20
_Result = TypeVar("_Result")


@dataclass(slots=True)
class Clock:
    """A clock that is set by hand."""

    at_s: float = NOW_S

    def __call__(self) -> float:
        return self.at_s


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status, header fields with names in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"]["code"])


@dataclass(slots=True)
class Door:
    """One running admin API with streams, and what is behind it."""

    port: int
    broker: SqliteBroker
    registry: Registry
    metrics: Metrics
    streams: EventStreams
    clock: Clock
    problem: list[str] = field(default_factory=list)

    async def ask(
        self, method: str, path: str, *, key: str | None = ADMIN_KEY, body: object = None, **headers: str
    ) -> Reply:
        """One request; `body` is sent as JSON. Underscores in header names are hyphens."""
        fields = {"Host": "hooks.example.com", "Connection": "close"}
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        if body is not None:
            fields |= {"Content-Type": "application/json", "Content-Length": str(len(data))}
        if key is not None:
            fields["Authorization"] = f"Bearer {key}"
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(head.encode("latin-1") + data)
        answer = await reader.read()
        writer.close()
        return parse(answer)

    async def deliver(self, channel_id: str, arrival: Arrival) -> int:
        """Put a delivery into a channel as the ingress does; its number."""
        return (await self.broker.append(channel_id, arrival)).seq


def parse(answer: bytes) -> Reply:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    return Reply(int(lines[0].split()[1]), {name.lower(): value for name, value in fields.items()}, body)


def arrival(content: bytes = b'{"id":1}', *, target: str = "/", number: int = 1, **headers: str) -> Arrival:
    fields = {"Host": "hooks.example.com", "Content-Type": "application/json", **headers}
    pairs = tuple(
        (name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in fields.items()
    )
    return Arrival(
        f"{number:032x}", NOW_S + number, "192.0.2.7:4000", True, "1.1", PUBLIC_URL + target, "POST", target,
        pairs, content,
    )  # fmt: skip


@asynccontextmanager
async def door(
    folder: Path,
    options: AdminOptions | None = None,
    *,
    trusted: tuple[str, ...] = (),
    keepalive_s: float = 25.0,
    guests: GuestLimits | None = None,
) -> AsyncIterator[Door]:
    """A door with ADMIN_KEY unless `options` say otherwise."""
    options = options or AdminOptions(admin_key=Secret(ADMIN_KEY), guests=guests)
    clock, metrics, random = Clock(), Metrics(), Random(7)
    admission = Admission(read_secret=_no_secret, trusted_proxies=trusted)
    async with SqliteBroker(folder / "data", now_s=clock) as broker:
        registry = Registry(broker, public_url=PUBLIC_URL, now_s=clock, random_bytes=random.randbytes)
        problem: list[str] = []
        admin = Admin(
            registry,
            options,
            admission=admission,
            metrics=metrics,
            problem=lambda: problem[0] if problem else None,
            now_s=clock,
        )
        streams = EventStreams(
            broker,
            registry,
            admission=admission,
            metrics=metrics,
            is_open=options.is_open,
            guests=options.guests,
            now_s=clock,
            keepalive_s=keepalive_s,
        )

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            if request.raw_path.startswith(PREFIX):
                return await admin.handle(request)
            assert EventStreams.takes(request.method, request.raw_path, tuple(request.raw_headers))
            return await streams.handle(request)

        runner = web.ServerRunner(web.Server(handle, lingering_time=0.1), shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            yield Door(port, broker, registry, metrics, streams, clock, problem)
        finally:
            streams.close()
            await runner.cleanup()


def run(scene: Callable[[], Coroutine[Any, Any, _Result]], *, limit_s: float = _LIMIT_S) -> _Result:
    """Run a scene; it fails when it takes longer than any can."""

    async def limited() -> _Result:
        async with asyncio.timeout(limit_s):
            return await scene()

    return asyncio.run(limited())


def _no_secret(reference: str) -> Secret:
    raise UsageError("secret-missing", f"no {reference} here")
