"""The client's end of a tunnel: one WebSocket to the relay, made again for ever, alive through sleep and lost networks.

Frames in, frames out; knows nothing of what deliveries mean, of history or of the app.
"""

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidState

from webhookctl.model import Secret
from webhookctl.net.dialling import LostError, dial, ended
from webhookctl.tunnel_protocol import (
    ClientSide,
    Close,
    CloseCode,
    Delivery,
    DeliveryBody,
    Frame,
    Hello,
    Ping,
    Pong,
    ProtocolError,
    Skipped,
    State,
    Welcome,
)

FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 30.0
_STABLE_S = 60.0  # a connection that held for so long makes the next wait short
_LOOK_S = 1.0  # how often the clocks are looked at
_SLEPT_S = 10.0  # the wall clock ran so far ahead of the steady one: this machine slept
_UNSENT_BYTES = 1024 * 1024  # waiting to be sent before `flush` waits
_JOINED_BYTES = 64 * 1024  # of frames that go out with one write


class TunnelUser(Protocol):
    """Who speaks through a tunnel. All of it returns at once."""

    def hello(self) -> Hello:
        """What to say first on a new connection."""
        ...

    def on_open(self, welcome: Welcome) -> None: ...

    def on_frame(self, frame: Delivery | DeliveryBody | Skipped) -> None: ...

    def on_lost(self, reason: str, retry_in_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Clock:
    """Time for a tunnel: a steady clock that stands still while the machine sleeps, the wall clock, sleep, chance."""

    wall_s: Callable[[], float]
    steady_s: Callable[[], float] = monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random


class Backoff:
    """How long to wait before each new try: from 0.2 s to 30 s, half of it chance."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._wait_s = FIRST_WAIT_S

    def next_s(self, *, lasted_s: float, was_of_use: bool = False, least_s: float = 0.0) -> float:
        """The next wait, at least `least_s`; a short one after a connection that was of use, or held for a minute."""
        if was_of_use or lasted_s >= _STABLE_S:
            self._wait_s = FIRST_WAIT_S
        wait_s = self._wait_s * (0.5 + self._chance() / 2)
        self._wait_s = min(self._wait_s * 2, LONGEST_WAIT_S)
        return max(wait_s, least_s)


class Tunnel:
    """Keeps a tunnel to the relay at `relay` open from `run` until `close`. Use from one event loop.

    `is_patient`: also the first connection is tried for ever, else the first failure is a RelayError.
    """

    def __init__(
        self,
        relay: str,
        key: Secret,
        user: TunnelUser,
        *,
        tls: ssl.SSLContext | None,
        clock: Clock,
        is_patient: bool,
    ) -> None:
        self._relay = relay
        self._key = key
        self._user = user
        self._tls = tls
        self._clock = clock
        self._is_patient = is_patient
        self._is_closing = False
        self._connection: ClientConnection | None = None
        self._side = ClientSide(0.0)
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0
        self._has_unsent = asyncio.Event()
        self._is_taken = asyncio.Event()
        self._lost_reason = ""
        self._has_said = False  # on this connection, what came through it was dealt with

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent now."""
        return self._connection is not None and self._side.state is State.OPEN

    async def run(self) -> None:
        """Connect and reconnect until `close`. Raises RelayError when the relay refuses for good."""
        backoff = Backoff(self._clock.chance)
        while not self._is_closing:
            began_s, self._has_said = self._clock.steady_s(), False
            try:
                await self._connect_once()
                return
            except LostError as lost:
                if self._is_closing:
                    return
                lasted_s = self._clock.steady_s() - began_s
                wait_s = backoff.next_s(lasted_s=lasted_s, was_of_use=self._has_said, least_s=lost.wait_s)
                if not self._is_patient:
                    raise unreachable(self._relay, lost.reason) from lost
                self._user.on_lost(lost.reason, wait_s)
                await self._clock.sleep(wait_s)

    def send(self, frame: Frame) -> bool:
        """Send `frame` soon, in the order of the calls; False when the tunnel is down. Raises ProtocolError."""
        if not self.is_open:
            return False
        self._put(frame)
        self._has_said = True
        return True

    async def flush(self, *, all_of_it: bool = False) -> None:
        """Wait until what is to be sent is little again, or all of it is gone; at once when the tunnel is down."""
        limit = 0 if all_of_it else _UNSENT_BYTES
        while self.is_open and self._unsent_bytes > limit:
            self._is_taken.clear()
            await self._is_taken.wait()

    async def close(self) -> None:
        """Send what is left, say goodbye and end `run`."""
        self._is_closing = True
        if self.is_open:
            await self.flush(all_of_it=True)
        connection = self._connection
        if connection is None:
            return
        with suppress(ConnectionClosed, ProtocolError):
            code = CloseCode.SHUTTING_DOWN
            await connection.send(self._side.send(Close(code, "the client stops"), self._clock.steady_s()))
        await connection.close()

    # one connection

    async def _connect_once(self) -> None:
        """Returns when we closed it; raises LostError or RelayError when the other side or the network did."""
        connection = await dial(self._relay, self._key, tls=self._tls)
        self._connection, self._lost_reason = connection, ""
        self._side = ClientSide(self._clock.steady_s())
        self._unsent.clear()
        self._unsent_bytes = 0
        self._put(self._user.hello())
        loop = asyncio.get_running_loop()
        tasks = [
            loop.create_task(self._write(connection), name="tunnel writer"),
            loop.create_task(self._watch(connection), name="tunnel heartbeat"),
        ]
        try:
            await self._read(connection)
        except ConnectionClosed as closed:
            if self._lost_reason:
                raise LostError(self._lost_reason) from closed
            received = closed.rcvd
            raise ended(received.code if received else 0, received.reason if received else "") from closed
        except ProtocolError as error:
            await self._complain(connection, error)
            raise LostError(f"it broke the protocol: {error.message}", wait_s=1.0) from error
        finally:
            self._connection = None
            self._is_taken.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            connection.transport.abort()

    async def _read(self, connection: ClientConnection) -> None:
        while True:
            data = await connection.recv(decode=False)
            frame = self._side.receive(data, self._clock.steady_s())
            match frame:
                case Delivery() | DeliveryBody() | Skipped():
                    self._user.on_frame(frame)
                case Welcome():
                    self._is_patient = True
                    self._user.on_open(frame)
                case Ping(nonce):
                    self._put(Pong(nonce))
                case Close(code, message):
                    raise ended(code, message)

    def _put(self, frame: Frame) -> None:
        data = self._side.send(frame, self._clock.steady_s())
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        self._has_unsent.set()

    async def _write(self, connection: ClientConnection) -> None:
        while True:
            await self._has_unsent.wait()
            self._has_unsent.clear()
            while self._unsent:
                size = 0
                try:
                    while len(self._unsent) > 1 and size < _JOINED_BYTES:
                        data = self._unsent.popleft()
                        size += len(data)
                        connection.protocol.send_binary(data)  # goes out together with the one below
                    data = self._unsent.popleft()
                    await connection.send(data)
                except (ConnectionClosed, InvalidState):
                    return  # the reader tells why
                self._unsent_bytes -= size + len(data)
                self._is_taken.set()

    async def _watch(self, connection: ClientConnection) -> None:
        """Ping when nothing is heard; give the connection up when it is dead, or when this machine slept."""
        clock = self._clock
        ahead_s = clock.wall_s() - clock.steady_s()
        while True:
            now_s = clock.steady_s()
            slept_s = clock.wall_s() - now_s - ahead_s
            ahead_s += slept_s
            if slept_s > _SLEPT_S:
                return self._give_up(connection, f"this machine slept for {slept_s:.0f} s")
            if now_s >= self._side.dead_at_s:
                return self._give_up(connection, "nothing was heard from it any more")
            if now_s >= self._side.ping_due_s:
                self._put(Ping(random.getrandbits(63)))
            due_s = min(self._side.ping_due_s, self._side.dead_at_s)
            await clock.sleep(min(_LOOK_S, max(due_s - now_s, 0.01)))

    def _give_up(self, connection: ClientConnection, reason: str) -> None:
        self._lost_reason = reason
        connection.transport.abort()

    async def _complain(self, connection: ClientConnection, error: ProtocolError) -> None:
        with suppress(ConnectionClosed, ProtocolError):
            close = Close(error.close_code, error.message[:100])
            await connection.send(self._side.send(close, self._clock.steady_s()))
            await connection.close(error.close_code, error.message[:100])


def unreachable(relay: str, reason: str) -> Exception:
    """The RelayError of a relay that was never reached."""
    from webhookctl.errors import RelayError

    return RelayError(
        "relay-unreachable",
        f"the relay at {relay} cannot be reached: {reason}",
        "check the URL of --relay and whether the relay runs; a firewall may ask for a proxy (HTTPS_PROXY)",
    )
