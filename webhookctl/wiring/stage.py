"""The stage of one contract: its receiver started if it has to be, its mocks, and how its deliveries are made and sent.

Implements `contract.play.Stage`.
"""

import asyncio
import random
import secrets as randomness
import socket
import ssl
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from webhookctl import catalogue, config
from webhookctl.address import addressed, parse_endpoint
from webhookctl.contract.model import (
    Command,
    CommandEffect,
    Contract,
    HangUp,
    Mock,
    Ready,
    Receiver,
    Signer,
    SignMode,
    Step,
)
from webhookctl.contract.play import Completed, Made
from webhookctl.contract.schedule import schedule_s
from webhookctl.delivery import prepare
from webhookctl.delivery.prepare import Edits
from webhookctl.errors import EndpointError, FixtureError
from webhookctl.fixture import Fixture
from webhookctl.model import Attempt, Endpoint, Request, Response, Secret
from webhookctl.net.forwarder import Forwarder
from webhookctl.net.hang_up import send_and_hang_up
from webhookctl.net.mock_server import MockServer
from webhookctl.net.process import Process
from webhookctl.signing import Scheme
from webhookctl.signing.attack import Attack, NotApplicable, forge_attack
from webhookctl.wiring.listening import client_tls
from webhookctl.wiring.project import Project, now_s
from webhookctl.wiring.sources import listener_secret, restored

_COMMAND_S = 30.0  # an effect's command may take so long
_POLL_S = 0.05


class ReceiverError(EndpointError):
    """A receiver that did not come up; `output` is its last words."""

    def __init__(self, code: str, message: str, hint: str = "", *, output: str = "") -> None:
        super().__init__(code, message, hint)
        self.output = output


@dataclass(frozen=True, slots=True)
class StageOptions:
    """One contract and how to reach its receiver; `salt` makes the ids of this run unlike those of any other."""

    contract: Contract
    timeout_s: float
    is_insecure: bool
    ca_file: Path | None
    salt: str


class Stage:
    """`async with` starts mocks and receiver and ends them. Raises ReceiverError, UsageError."""

    def __init__(self, project: Project, options: StageOptions) -> None:
        self._project = project
        self._options = options
        self._contract = options.contract
        self._stack = AsyncExitStack()
        self._mocks: dict[str, MockServer] = {}
        self._process: Process | None = None
        self._port = 0
        self._tls: ssl.SSLContext | None = None
        self._fixtures: dict[str, Fixture] = {}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for mock in self._contract.mocks:
                self._mocks[mock.name] = await stack.enter_async_context(_mock_server(mock))
            if self._contract.receiver.start is not None:
                self._port = _free_port()
                stack.push_async_callback(self._end)
                await self._start()
            self._endpoint = parse_endpoint(self._filled(self._contract.receiver.url))
            if self._endpoint.is_tls:
                options = self._options
                self._tls = client_tls(is_insecure=options.is_insecure, ca_file=options.ca_file)
            self._forwarder = Forwarder(tls=self._tls, now_s=now_s)
            stack.callback(self._forwarder.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def url(self) -> str:
        """Where deliveries go."""
        return self._endpoint.url

    async def revive(self) -> None:
        """Start the receiver again if it has died. Raises ReceiverError."""
        if self._process is not None and self._process.ended:
            await self._end()
            await self._start()

    async def _start(self) -> None:
        receiver = self._contract.receiver
        command = receiver.start
        assert command is not None
        if await _is_taken(self._port):
            raise ReceiverError("port-busy", f"port {self._port} is still taken by what ran there before")
        self._process = process = await self._begin(command)
        ready = receiver.ready
        try:
            async with asyncio.timeout(ready.within_s):
                if ready.output:
                    await process.until(lambda: ready.output in process.output())
                while not process.ended and not await self._is_up(ready.http):  # noqa: ASYNC110  (nobody tells us)
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise ReceiverError(
                "receiver-not-ready",
                f"{command.arguments[0]} was not ready within {ready.within_s:g} s",
                "it has to listen on {port}; [receiver.ready] says how to tell, and `within` how long it may take",
                output=process.output(),
            ) from None
        if process.ended:
            raise ReceiverError(
                "receiver-died", f"{process.ended} before it was ready", output=process.output()
            )

    async def _begin(self, command: Command) -> Process:
        environment = config.whole_environment() | {
            name: self._filled(text) for name, text in command.environment.items()
        }
        environment["PORT"] = str(self._port)
        arguments = [self._filled(text) for text in command.arguments]
        return await Process.start(arguments, environment=environment, folder=self._folder(command))

    async def _is_up(self, path: str) -> bool:
        if not await _is_taken(self._port):
            return False
        if not path:
            return True
        attempt = await self.get(f"http://127.0.0.1:{self._port}{path}")
        return attempt.status is not None and attempt.status < 500

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.stop(after_s=self._contract.receiver.stop_after_s)

    def _folder(self, command: Command) -> Path:
        return Path(self._contract.origin).parent / command.folder

    def _filled(self, text: str) -> str:
        """`text` with ``{port}`` and ``{mock.url}`` filled in; other braces stay."""
        if self._port:
            text = text.replace("{port}", str(self._port))
        for name, server in self._mocks.items():
            text = text.replace(f"{{{name}.url}}", server.url)
        return text

    # --- what a case asks for ---

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
        return [wait_s / self._contract.speed for wait_s in schedule_s(provider)]

    async def send(self, made: Made, *, hang_up: HangUp | None) -> Attempt:
        if hang_up is not None:
            return await send_and_hang_up(
                self._endpoint,
                made.request,
                is_body_sent=hang_up is HangUp.AFTER_BODY,
                tls=self._tls,
                timeout_s=self._options.timeout_s,
                now_s=now_s,
            )
        return await self._forwarder.send(self._endpoint, made.request, timeout_s=self._options.timeout_s)

    async def get(self, url: str) -> Attempt:
        endpoint = parse_endpoint(self._filled(url))
        request = addressed(Request("GET", "/", ((b"Accept", b"*/*"),), b""), endpoint)
        forwarder = Forwarder(tls=self._tls, now_s=now_s)
        try:
            return await forwarder.send(endpoint, request, timeout_s=self._options.timeout_s)
        finally:
            forwarder.close()

    async def run(self, effect: CommandEffect, arguments: Sequence[str]) -> Completed:
        command = replace(effect.command, arguments=tuple(arguments))
        process = await self._begin(command)
        try:
            async with asyncio.timeout(_COMMAND_S):
                await process.until(lambda: False)
        except TimeoutError:
            return Completed(process.output(), -1, f"ran for more than {_COMMAND_S:g} s")
        finally:
            await process.stop(after_s=1.0)
        return Completed(process.output(), process.exit_code or 0)

    # --- making requests ---

    def make(self, step: Step, *, attack: Attack | None, case_key: str) -> Made | NotApplicable:
        saved = self._delivery(step, case_key)
        signer = self._contract.signer
        provider = signer.provider or saved.provider
        edits = Edits(step.edits, step.removals, True, prepare.parse_headers(step.headers))
        endpoint = self._endpoint
        url = endpoint.origin + addressed(saved.request, endpoint).target
        if step.sign is SignMode.CAPTURED or provider not in self._project.provider_ids():
            if attack is not None:
                return NotApplicable(attack, f"{saved.name} says no provider that webhookctl knows")
            made = prepare.exact(restored(self._project, saved), edits, scheme=None, secrets=())
            return Made(step.label, addressed(made.request, endpoint))
        scheme = self._project.scheme(provider or "")
        secrets = self._project.secrets(scheme.id, flag=signer.secrets or listener_secret(self._project))
        maker = _Maker(restored(self._project, saved), edits, endpoint, url, None)
        if not step.keeps_id:
            maker.fresh = _Fresh(f"{self._options.salt}|{case_key}|{step.label}")
        if attack is None:
            request = maker.signed(scheme, secrets[0], now_s())
            return Made(step.label, _unsigned(request, scheme) if step.sign is SignMode.NONE else request)
        forged = forge_attack(
            attack,
            scheme,
            secrets[0],
            maker.signed,
            now_s=now_s(),
            url=url,
            random=randomness.token_bytes,
            tolerance_s=signer.tolerance_s,
        )
        return forged if isinstance(forged, NotApplicable) else Made(step.label, forged.request)

    def _delivery(self, step: Step, case_key: str) -> Fixture:
        """The fixture of the step, or what the catalogue forges for its event, as a fixture not signed yet."""
        if step.send is not None:
            if step.send not in self._fixtures:
                self._fixtures[step.send] = self._load(step.send)
            return self._fixtures[step.send]
        template = catalogue.resolve(step.trigger or "", provider=self._contract.signer.provider)
        seed = _Fresh(f"{self._options.salt}|{case_key}|{step.label}").number()
        forged = catalogue.build(template, seed=seed, now_s=now_s())
        return Fixture(
            name=forged.event,
            request=Request(forged.method, forged.target, forged.headers, forged.body),
            provider=forged.provider,
            event=forged.event,
            delivery_id=forged.delivery_id,
        )

    def _load(self, target: str) -> Fixture:
        """A fixture by its path from the contract's folder, else by its name in the project's fixtures."""
        folder = self._project.fixture_folder()
        path = Path(self._contract.origin).parent / target
        for candidate in (path, path.with_name(path.name + ".toml")):
            if candidate.is_file() and candidate.suffix == ".toml":
                return folder.load(candidate)
        paths = folder.resolve(target)
        if len(paths) > 1:
            raise FixtureError(
                "fixture-ambiguous", f"{target} means {len(paths)} fixtures", "name one of them"
            )
        return folder.load(paths[0])


class _Fresh:
    """New ids of the same shape as the old ones: always the same for one seed, so that copies are redeliveries."""

    def __init__(self, seed: str) -> None:
        self._seed = seed

    def number(self) -> int:
        return random.Random(self._seed).getrandbits(48)  # noqa: S311  (an id, no secret)

    def __call__(self, old: str) -> str:
        return prepare.renewed(old, random.Random(f"{self._seed}|{old}").choice)  # noqa: S311  (the same)


@dataclass(slots=True)
class _Maker:
    """Signs one delivery, as often as it is asked to."""

    saved: Fixture
    edits: Edits
    endpoint: Endpoint
    url: str
    fresh: _Fresh | None

    def signed(self, scheme: Scheme, secret: Secret, at_s: float) -> Request:
        made = prepare.resign(
            self.saved,
            self.edits,
            scheme=scheme,
            secrets=(secret,),
            now_s=at_s,
            url=self.url,
            fresh_id=self.fresh,
        )
        return addressed(_with_added(made.request, made.added), self.endpoint)


def _with_added(request: Request, added: Sequence[tuple[bytes, bytes]]) -> Request:
    from webhookctl.model import with_headers

    return replace(request, headers=with_headers(request.headers, tuple(added))) if added else request


def _unsigned(request: Request, scheme: Scheme) -> Request:
    names = {name.lower().encode("latin-1") for name in scheme.signature_names}
    kept = tuple((name, value) for name, value in request.headers if name.lower() not in names)
    return replace(request, headers=kept)


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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _is_taken(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


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

    async def __aenter__(self) -> Self:
        await self._stage.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stage.__aexit__(kind, error, trace)
