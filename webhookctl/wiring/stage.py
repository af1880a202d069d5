"""The stage of one contract: its receiver started if it has to be, its mocks, and how its deliveries are sent.

Implements `contract.play.Stage`; must not know reports or options.
"""

import asyncio
import secrets
import socket
import ssl
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from itertools import count
from math import inf
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from webhookctl import config
from webhookctl.address import addressed, parse_endpoint
from webhookctl.contract.model import (
    Call,
    Command,
    Contract,
    HangUp,
    Json,
    Mock,
    Ready,
    Receiver,
    Reply,
    Signer,
    Step,
)
from webhookctl.contract.play import Completed, Made
from webhookctl.contract.schedule import schedule_s, sped_up_s
from webhookctl.contract.sender import Received
from webhookctl.contract.sends import LISTENER
from webhookctl.errors import EndpointError
from webhookctl.model import Attempt, Request, Response
from webhookctl.net.forwarder import Forwarder
from webhookctl.net.hang_up import send_and_hang_up
from webhookctl.net.mock_server import MockServer
from webhookctl.net.process import Process
from webhookctl.signing.attack import Attack, NotApplicable
from webhookctl.wiring.deliveries import Deliveries
from webhookctl.wiring.listening import client_tls
from webhookctl.wiring.project import Project, now_s
from webhookctl.wiring.senders import SenderListener
from webhookctl.wiring.snapshots import Snapshots

_COMMAND_S = 30.0  # an effect's command may take so long
_SCHEDULE_S = 3.0  # a retry schedule takes so long when the contract does not say how fast it is played
_POLL_S = 0.05
_QUIET_TURNS = 10
_SHELL = "/bin/sh"
_PORTS = range(20_000, 32_768)  # below what Linux, macOS and Windows give out by themselves
_TRIES = 100

_next_port = count(secrets.randbelow(len(_PORTS)))


class ReceiverError(EndpointError):
    """A receiver that did not come up, as `error` says; `output` is its last words."""

    def __init__(self, error: EndpointError, *, output: str) -> None:
        super().__init__(error.code, error.message, error.hint)
        self.output = output


@dataclass(frozen=True, slots=True)
class StageOptions:
    """One contract and how to reach its receiver; `salt` makes the ids of this run unlike those of any other.

    `folder` is where the contract's own paths begin (its file's folder by default).
    """

    contract: Contract
    timeout_s: float
    is_insecure: bool
    ca_file: Path | None
    salt: str
    folder: Path | None = None
    is_updating: bool = False  # snapshots are written anew


class Stage:
    """`async with` starts mocks and receiver and ends them. Raises ReceiverError, UsageError."""

    def __init__(
        self, project: Project, options: StageOptions, *, deliveries: Deliveries | None = None
    ) -> None:
        self._options = options
        self._contract = contract = options.contract
        self._folder = options.folder or Path(contract.origin).parent
        self._deliveries = deliveries or Deliveries(project, contract, salt=options.salt, folder=self._folder)
        self._snapshots = Snapshots(
            self._folder / Path(contract.origin).name, is_updating=options.is_updating
        )
        self._stack = AsyncExitStack()
        self._mocks: dict[str, MockServer] = {}
        self._listener = SenderListener(project, contract) if contract.sends else None
        self._process: Process | None = None
        self._port = 0
        self._tls: ssl.SSLContext | None = None
        self._sent_at_s = -inf  # when the last delivery was over, monotonic

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for mock in self._contract.mocks:
                self._mocks[mock.name] = await stack.enter_async_context(_mock_server(mock))
            if self._listener is not None:
                await stack.enter_async_context(self._listener)
            receiver = self._contract.receiver
            if receiver.start is not None and "{port}" in receiver.url:
                self._port = _free_port()
            self._endpoint = self._deliveries.endpoint = parse_endpoint(self._filled(receiver.url))
            self._port = self._endpoint.port
            if self._endpoint.is_tls:
                options = self._options
                self._tls = client_tls(is_insecure=options.is_insecure, ca_file=options.ca_file)
            self._forwarder = Forwarder(tls=self._tls, now_s=now_s)
            stack.callback(self._forwarder.close)
            if receiver.start is not None:
                stack.push_async_callback(self._end)
                await self._start(receiver.start)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self._snapshots.save()

    @property
    def url(self) -> str:
        """Where deliveries go."""
        return self._endpoint.url

    async def revive(self) -> None:
        """Start the receiver again if it has died. Raises ReceiverError."""
        command = self._contract.receiver.start
        if command is not None and (self._process is None or self._process.ended):
            output = self.output()
            await self._end()
            await self._start(command, last_output=output)

    async def quiet(self) -> None:
        """Until the mocks had no call for the settle time: a late call of one case must not count in the next."""
        for _ in range(_QUIET_TURNS):  # a receiver that calls without end is waited for no longer
            busy_s = max((self._sent_at_s, *(server.called_at_s for server in self._mocks.values())))
            wait_s = busy_s + self._contract.settle_s - monotonic()
            if not self._mocks or wait_s <= 0:
                return
            await asyncio.sleep(wait_s)

    async def _start(self, command: Command, *, last_output: str = "") -> None:
        if await self._is_taken():
            busy = EndpointError(
                "port-busy",
                f"port {self._port} is taken, so {command.arguments[0]} cannot be started on it",
                'let the port be chosen: url = "http://localhost:{port}/…"',
            )
            raise ReceiverError(busy, output=last_output)
        ready = self._contract.receiver.ready
        self._process = process = await self._begin(command)
        try:
            async with asyncio.timeout(ready.within_s):
                if ready.output:
                    await process.until(lambda: ready.output in process.output())
                while not process.ended and not await self._is_up(ready.http):  # noqa: ASYNC110  (nobody tells us)
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            late = EndpointError(
                "receiver-not-ready",
                f"{command.arguments[0]} was not ready within {ready.within_s:g} s",
                "it has to listen on {port}; [receiver] ready says how to tell, and how long it may take",
            )
            raise ReceiverError(late, output=process.output()) from None
        if process.ended:
            await process.wait()
            dead = EndpointError(
                "receiver-died",
                f"{process.ended} before it was ready",
                "it runs in the folder of the contract file, or in `folder`",
            )
            raise ReceiverError(dead, output=process.output())

    async def _begin(self, command: Command, *, has_own_errors: bool = False) -> Process:
        environment = config.whole_environment() | {
            name: self._filled(text) for name, text in command.environment.items()
        }
        if self._contract.receiver.start is not None:
            environment["PORT"] = str(self._port)
        arguments = [self._filled(text) for text in command.arguments]
        if command.is_shell:
            arguments = [_SHELL, "-c", *arguments]
        return await Process.start(
            arguments,
            environment=environment,
            folder=self._folder / command.folder,
            has_own_errors=has_own_errors,
        )

    async def _is_taken(self) -> bool:
        return await self._forwarder.is_reachable(self._endpoint, timeout_s=1.0) is None

    async def _is_up(self, path: str) -> bool:
        if not await self._is_taken():
            return False
        if not path:
            return True
        attempt = await self.get(path)
        return attempt.status is not None and attempt.status < 500

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.stop(after_s=self._contract.receiver.stop_after_s)

    def _filled(self, text: str) -> str:
        """`text` with ``{port}`` and ``{mock.url}`` filled in; other braces stay."""
        if self._port:
            text = text.replace("{port}", str(self._port))
        for name, server in self._mocks.items():
            text = text.replace(f"{{{name}.url}}", server.url)
        return text if self._listener is None else text.replace(f"{{{LISTENER}.url}}", self._listener.url)

    # --- what a case of `sends` asks for: contract.sender.Ear ---

    @property
    def listener_url(self) -> str:
        """Where senders send to; "" for a contract without any."""
        return self._listener.url if self._listener is not None else ""

    def listen(self, answers: Sequence[Reply]) -> None:
        if self._listener is not None:
            self._listener.listen(answers)

    def received(self) -> Sequence[Received]:
        return self._listener.received if self._listener is not None else ()

    async def call(self, call: Call) -> Attempt:
        """Make the call, to a path of the receiver or a whole URL. Raises UsageError `url-invalid`."""
        headers = tuple(
            (name.encode("latin-1"), self._filled(value).encode("latin-1")) for name, value in call.headers
        )
        body = self._filled(call.body.decode()).encode()
        return await self._ask(call.url, Request(call.method, "/", headers, body))

    # --- what a case asks for ---

    def make(self, step: Step, *, attack: Attack | None, case_key: str) -> Made | NotApplicable:
        return self._deliveries.make(step, attack=attack, case_key=case_key)

    def snapshot(self, name: str, answers: Json) -> Json | None:
        return self._snapshots.saved(name, answers)

    def begin(self) -> None:
        for server in self._mocks.values():
            server.forget()

    def calls(self, mock: str) -> Sequence[Request]:
        return self._mocks[mock].calls

    def dead(self) -> str:
        return self._process.ended if self._process is not None else ""

    def output(self) -> str:
        return self._process.output() if self._process is not None else ""

    def now_s(self) -> float:
        return now_s()

    def monotonic_s(self) -> float:
        return monotonic()

    def sleep(self, seconds: float) -> Awaitable[None]:
        return asyncio.sleep(seconds)

    def schedule_s(self, provider: str) -> Sequence[float]:
        speed = self._contract.speed
        return (
            schedule_s(provider, total_s=_SCHEDULE_S) if speed is None else sped_up_s(provider, speed=speed)
        )

    async def send(self, made: Made, *, hang_up: HangUp | None) -> Attempt:
        timeout_s = self._options.timeout_s
        try:
            if hang_up is None:
                return await self._forwarder.send(self._endpoint, made.request, timeout_s=timeout_s)
            return await send_and_hang_up(
                self._endpoint,
                made.request,
                is_body_sent=hang_up is HangUp.AFTER_BODY,
                tls=self._tls,
                timeout_s=timeout_s,
                now_s=now_s,
            )
        finally:
            self._sent_at_s = monotonic()

    async def get(self, url: str) -> Attempt:
        """GET a URL, or a path of the receiver. Raises UsageError `url-invalid`."""
        return await self._ask(url, Request("GET", "/", ((b"Accept", b"*/*"),), b""))

    async def _ask(self, url: str, request: Request) -> Attempt:
        url = self._filled(url)
        endpoint = parse_endpoint(self._endpoint.origin + url if url.startswith("/") else url)
        return await self._forwarder.send(
            endpoint, addressed(request, endpoint), timeout_s=self._options.timeout_s
        )

    async def run(self, command: Command) -> Completed:
        try:
            process = await self._begin(command, has_own_errors=True)
        except EndpointError as error:
            return Completed("", -1, problem=error.message)
        problem = ""
        try:
            async with asyncio.timeout(_COMMAND_S):
                await process.wait()
        except TimeoutError:
            problem = f"ran for more than {_COMMAND_S:g} s"
        finally:
            await process.stop(after_s=1.0 if problem else 0.0)
        return Completed(process.output(), process.exit_code or 0, process.errors(), problem)


def _mock_server(mock: Mock) -> MockServer:
    replies = [
        (
            reply.delay_s,
            Response(
                reply.status,
                "",
                tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers),
                reply.body,
            ),
        )
        for reply in mock.replies
    ]
    return MockServer(replies, now_s=now_s)


def _free_port() -> int:
    """A free port that the system gives to nobody by itself: the receiver takes it only when it has started.

    From the ephemeral range another program may get it meanwhile, and answer in the receiver's place.
    """
    for _ in range(_TRIES):
        with suppress(OSError):
            return _bound(_PORTS[next(_next_port) % len(_PORTS)])
    return _bound(0)


def _bound(port: int) -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
        number: int = probe.getsockname()[1]
        return number


class ReceiverCommand:
    """A receiver started for a program's tests: `async with` starts and awaits it; `url` tells where it receives.

    Raises ReceiverError with its last output when it does not come up.
    """

    def __init__(
        self,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        folder: str,
        path: str,
        within_s: float,
    ) -> None:
        from webhookctl.wiring.project import open_project

        command = Command(arguments, environment, folder)
        receiver = Receiver("http://127.0.0.1:{port}" + path, command, Ready(within_s=within_s))
        contract = Contract("command", receiver, Signer())
        self._stage = Stage(open_project(), StageOptions(contract, 30.0, False, None, ""))

    @property
    def url(self) -> str:
        return self._stage.url

    @property
    def output(self) -> str:
        """What it printed last."""
        return self._stage.output()

    async def __aenter__(self) -> Self:
        await self._stage.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stage.__aexit__(kind, error, trace)
