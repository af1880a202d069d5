"""Other people's relays as a source of deliveries: smee, gosmee, Svix Play, kept connected; what each destroys.

Knows no wire's bytes and nothing of a delivery's way behind `deliver`.
"""

import asyncio
import secrets
import string
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from webhookctl.errors import RelayError, UsageError
from webhookctl.events import ErrorOccurred, Event, Place, RelayConnected, RelayDisconnected
from webhookctl.model import Capture, Detection, Response, Verdict, VerdictKind, header_value
from webhookctl.net.dialling import LostError
from webhookctl.net.foreign import svix_play
from webhookctl.net.foreign.subscription import GOSMEE, SMEE, Dialect, Subscription, new_channel, recognise
from webhookctl.net.foreign.svix_play import SvixPlay
from webhookctl.net.foreign.wires import Arrival, Wire, WireOptions
from webhookctl.net.tunnel import Backoff, Clock
from webhookctl.net.wire import plain_response
from webhookctl.store.project import ProjectState
from webhookctl.store.relay_state import RelayState, RememberedChannel
from webhookctl.store.resume_point import ResumePoint
from webhookctl.wiring.restoring import Judge, restored

if TYPE_CHECKING:
    from webhookctl.wiring.project import Project
    from webhookctl.wiring.source import Deliver, RelayPlan

_MAX_AT_ONCE = 256  # deliveries under way; what comes beyond waits in the connection
_LARGE_BODY_BYTES = 32 * 1024  # looked at in a thread, so that one does not hold up the others
_MAX_AGE_S = 7 * 86_400.0
_TOKEN_LETTERS = string.ascii_letters + string.digits
_TOKEN_LENGTH = 27
_BETTER = "use webhookctl's own relay or --tunnel cloudflared"
_REFUSED = frozenset({VerdictKind.WRONG_SECRET, VerdictKind.BODY_CHANGED, VerdictKind.NO_SECRET})


@dataclass(frozen=True, slots=True)
class Kind:
    """A foreign relay and what it destroys, in words; `is_body_exact`: signatures over the body survive."""

    name: str
    loses: str
    is_body_exact: bool = True


_SMEE = Kind(
    "smee",
    "smee prints JSON bodies anew: most signatures break. Lost too: method, path, header case, order, repeats; and "
    "what comes while nobody listens. Whoever has the URL reads along",
    is_body_exact=False,
)
_GOSMEE = Kind(
    "gosmee",
    "gosmee keeps JSON bodies exact and takes no others. Lost: method, path, query, header case, order, repeats. "
    "Senders hear 202 at once. Whoever has the URL reads along",
)
_SVIX = Kind(
    "Svix Play",
    "Svix Play keeps method and body exact. Lost: path, query, header order, repeats; and what comes while nobody "
    "listens. Whoever has the URL sees what came",
)


@dataclass(frozen=True, slots=True)
class ForeignUrl:
    """What a foreign value of --relay means: the kind, and the URL behind it ("" the usual one)."""

    kind: Kind
    dialect: Dialect | None
    url: str


def parse_foreign(text: str) -> ForeignUrl:
    """What `text` (``smee``, ``gosmee+https://host/channel``, …) means. Raises UsageError `relay-url-invalid`."""
    name, plus, url = text.partition("+")
    kind, dialect = {"smee": (_SMEE, SMEE), "gosmee": (_GOSMEE, GOSMEE), "svix": (_SVIX, None)}[name]
    parts = urlsplit(url)
    schemes = ("http", "https") if dialect else ("ws", "wss")
    if (plus or dialect is GOSMEE) and not (parts.scheme in schemes and parts.hostname):
        usual = f"{name}+{schemes[1]}://HOST" + ("/CHANNEL" if dialect else "/api/v1/listen/")
        others = "" if dialect is GOSMEE else f", or {name} alone"
        raise UsageError("relay-url-invalid", f"--relay {text}: {name} needs a URL", f"write {usual}{others}")
    if "pubkey=" in parts.query:
        raise UsageError(
            "relay-encrypted",
            "protected gosmee channels are not supported: they need NaCl",
            "use one without",
        )
    return ForeignUrl(kind, dialect, url)


class ForeignSource:
    """Deliveries of a foreign relay, one way of `Source`; `judge` proves which bytes the sender had signed."""

    def __init__(
        self,
        foreign: ForeignUrl,
        plan: "RelayPlan",
        *,
        state: ProjectState,
        options: WireOptions,
        emit: Callable[[Event], None],
        judge: Judge,
        clock: Clock,
    ) -> None:
        self._foreign = foreign
        self._plan = plan
        self._channels = RelayState(state)
        self._project_state = state
        self._options = options
        self._emit = emit
        self._judge = judge
        self._clock = clock
        self._place = Place("")
        self._wire: Wire | None = None
        self._resume: ResumePoint | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_MAX_AT_ONCE)
        self._leaving = asyncio.Event()

    @property
    def holds(self) -> bool:
        """No foreign relay keeps a delivery for later: its failure is the answer."""
        return False

    @property
    def in_flight(self) -> int:
        """Deliveries that are not through yet."""
        return len(self._tasks)

    @property
    def waiting(self) -> int:
        """None has to wait for its turn."""
        return 0

    async def open(self) -> Place:
        """Connect, with a new channel where none is named or remembered. Raises RelayError."""
        self._wire = await self._make_wire()
        try:
            url = await self._wire.connect(is_first=True)
        except LostError as lost:
            await self._wire.close()
            raise RelayError(
                "relay-unreachable",
                f"{self._foreign.url or self._foreign.kind.name} cannot be reached: {lost.reason}",
                "check the URL of --relay and the network",
            ) from lost
        except RelayError:
            await self._wire.close()
            raise
        self._note_place(url)
        return self._place

    async def run(self, deliver: "Deliver") -> None:
        """Bring deliveries until `stop`. Raises RelayError when the relay will not have this client any more."""
        loop = asyncio.get_running_loop()
        reading = loop.create_task(self._stay(deliver), name="foreign relay")
        leaving = loop.create_task(self._leaving.wait(), name="leave the relay")
        try:
            await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reading, leaving):
                task.cancel()
            await asyncio.wait({reading, leaving})
        if not reading.cancelled() and (error := reading.exception()):
            raise error

    async def stop(self, *, timeout_s: float) -> int:
        """Take nothing new, finish what is under way, disconnect. Nothing waits at a foreign relay: always 0."""
        self._leaving.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in tuple(self._tasks):
            task.cancel()
        if self._wire is not None:
            await self._wire.close()
        if self._resume is not None:
            self._resume.flush()
        return 0

    async def _make_wire(self) -> Wire:
        dialect, server = self._foreign.dialect, self._foreign.url
        if dialect is None:
            server = server or svix_play.SERVER
            known = self._channels.find(server, self._foreign.kind.name)
            token = svix_play.token_of(known.url) if known else ""
            return SvixPlay(server, token or new_token(), self._options, new_token=new_token)
        url = server or "https://smee.io"
        if urlsplit(url).path in ("", "/"):
            url = await self._channel_on(dialect, url.rstrip("/"))
        resume = ResumePoint(self._project_state, url, steady_s=self._clock.steady_s)
        self._resume = resume
        return Subscription(dialect, url, self._options, resume_id=resume.read(), on_resumable=resume.note)

    async def _channel_on(self, dialect: Dialect, server: str) -> str:
        """The channel named with --channel, the one used last, or a new one."""
        if self._plan.channel:
            return f"{server}/{self._plan.channel}"
        known = self._channels.find(f"{dialect.name}+{server}", dialect.name)
        return known.url if known else await new_channel(dialect, server, self._options)

    def _note_place(self, url: str) -> None:
        if url == self._place.url:
            return
        self._place = Place(url, note=self._foreign.kind.loses)
        dialect = self._foreign.dialect
        parts = urlsplit(url)
        relay = f"{dialect.name}+{parts.scheme}://{parts.netloc}" if dialect else ""
        relay = relay or self._foreign.url or svix_play.SERVER
        name = dialect.name if dialect else self._foreign.kind.name
        self._channels.remember(RememberedChannel(relay, name, url))

    async def _stay(self, deliver: "Deliver") -> None:
        """Read, and connect again for ever when the connection is lost."""
        wire, clock = self._wire, self._clock
        assert wire is not None
        backoff = Backoff(clock.chance)
        is_connected = True
        while True:
            started_s = clock.steady_s()
            try:
                if not is_connected:
                    self._note_place(await wire.connect(is_first=False))
                    is_connected = True
                self._emit(RelayConnected(self._place, 0))
                await wire.read(lambda arrival: self._take(arrival, deliver))
            except LostError as lost:
                if self._leaving.is_set():
                    return
                lasted_s = clock.steady_s() - started_s if is_connected else 0.0
                is_connected = False
                wait_s = backoff.next_s(lasted_s=lasted_s, least_s=lost.wait_s)
                self._emit(RelayDisconnected(lost.reason, wait_s))
                await clock.sleep(wait_s)

    async def _take(self, arrival: Arrival, deliver: "Deliver") -> None:
        """Start a delivery; returns at once unless very many are under way: the connection has to be read on."""
        await self._slots.acquire()
        work = self._through(arrival, deliver)
        task = asyncio.get_running_loop().create_task(work, name="foreign delivery")
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()

    async def _through(self, arrival: Arrival, deliver: "Deliver") -> None:
        response: Response
        try:
            response = await deliver(await self._capture(arrival))
        except Exception as error:
            # Whatever it was: the sender waits for an answer, and the next delivery must go on.
            self._emit(ErrorOccurred("relay-delivery-failed", f"a delivery was not taken in: {error!r}"))
            response = plain_response(502, "webhookctl: the delivery was not taken in")
        await arrival.reply(response)

    async def _capture(self, arrival: Arrival) -> Capture:
        now_s = self._clock.wall_s()
        sent_at_s = arrival.sent_at_s
        if sent_at_s is None or not now_s - _MAX_AGE_S < sent_at_s < now_s:
            sent_at_s = now_s
        query = arrival.request.target.partition("?")
        capture = Capture(
            arrival.request,
            sent_at_s,
            "",
            is_tls=self._place.url.startswith("https:"),
            url=self._place.url + query[1] + query[2],
        )
        if arrival.is_body_exact:
            return capture
        if len(arrival.request.body) < _LARGE_BODY_BYTES:
            return restored(capture, self._judge, original_bytes=arrival.original_bytes)
        return await asyncio.to_thread(restored, capture, self._judge, original_bytes=arrival.original_bytes)


@dataclass(frozen=True, slots=True)
class RelayedJudge:
    """A judge that knows what a foreign relay did to a delivery, and says so where a signature does not fit."""

    judge: Judge
    kind: Kind
    needs_url: Callable[[str], bool]

    def __call__(self, capture: Capture) -> tuple[Detection, Verdict]:
        detection, verdict = self.judge(capture)
        if not capture.url or verdict.scheme is None or verdict.kind not in _REFUSED:
            return detection, verdict
        note = ""
        if self.kind.is_body_exact:
            if self.needs_url(verdict.scheme):
                note = f"; {self.kind.name} drops path and query, which this signature covers: {_BETTER}"
        elif header_value(capture.request.headers, "Content-Length") is None:
            # It is kept where the body has the length it was sent with: then the secret is what is wrong.
            note = f"; {self.kind.name} re-serialised the body: it cannot carry exact signatures, {_BETTER}"
        return detection, replace(verdict, reason=verdict.reason + note)


def relayed_judge(relay: str, judge: Judge, project: "Project") -> Judge:
    """`judge`, made aware of what the foreign relay that `relay` names destroys."""
    return RelayedJudge(judge, parse_foreign(relay).kind, lambda scheme: project.scheme(scheme).needs_line)


def foreign_source(
    plan: "RelayPlan", project: "Project", emit: Callable[[Event], None], judge: Judge
) -> ForeignSource:
    """The source for the foreign relay of `plan`. Raises UsageError `relay-url-invalid` or `ca-file-unusable`."""
    from webhookctl.wiring.project import now_s
    from webhookctl.wiring.source import Attach

    if plan.attach is not Attach.CONSUME:
        raise UsageError(
            "relay-option-unfit",
            f"--{plan.attach} is for webhookctl's own relay: {plan.url.partition('+')[0]} lets everybody listen",
            "leave it out",
        )
    return ForeignSource(
        parse_foreign(plan.url),
        plan,
        state=project.state,
        options=_options(plan, emit),
        emit=emit,
        judge=judge,
        clock=Clock(wall_s=now_s),
    )


async def hint_for(plan: "RelayPlan") -> str:
    """A hint when the plain http(s) URL of `plan` belongs to a foreign relay, else ""."""
    if not plan.url.startswith(("http://", "https://")):
        return ""
    with suppress(TimeoutError):
        async with asyncio.timeout(5.0):
            found = await recognise(plan.url, _options(plan, lambda _: None))
            return f"that looks like {found.partition('+')[0]}: --relay {found}" if found else ""
    return ""


def new_token() -> str:
    """A token for Svix Play that nobody guesses. `c_`: with history, as Play refuses the others."""
    return "c_" + "".join(secrets.choice(_TOKEN_LETTERS) for _ in range(_TOKEN_LENGTH))


def _options(plan: "RelayPlan", emit: Callable[[Event], None]) -> WireOptions:
    from webhookctl.wiring.listening import client_tls

    tls = client_tls(is_insecure=plan.is_insecure, ca_file=plan.ca_file)
    return WireOptions(tls, plan.max_body_bytes, emit)
