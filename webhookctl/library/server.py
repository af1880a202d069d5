"""An HTTP server for tests that receives webhooks: in a thread of its own, every delivery kept, answers as told.

Must not know pytest. Works the same from plain functions and from code on any event loop.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic, time  # noqa: TID251  (when a delivery came in)
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from webhookctl import signing
from webhookctl.formats import safe_text
from webhookctl.library.answer import first_value
from webhookctl.library.background import Background
from webhookctl.library.bell import Bell
from webhookctl.library.signatures import verify
from webhookctl.model import Capture, Response, Verdict

if TYPE_CHECKING:
    import ssl

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True, repr=False)
class Received:
    """One delivery that came in, exact. `headers` are (name, value) pairs in the order of the wire.

    `url` is the one that the sender called; provider, event and id are what the request itself gives away.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    received_at_s: float
    url: str
    provider: str | None
    event: str | None
    id: str | None

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first value of the header `name`, in any case."""
        return first_value(self.headers, name)

    def verdict(self, provider: str, *, secret: str, tolerance_s: float | None = None) -> Verdict:
        """The verdict on its signature by `provider`'s scheme, as of when it came in."""
        return verify(
            provider,
            self.headers,
            self.body,
            secret=secret,
            url=self.url,
            method=self.method,
            at_s=self.received_at_s,
            tolerance_s=tolerance_s,
        )

    def assert_signed(self, provider: str, *, secret: str) -> None:
        """Raises AssertionError with the reason when the signature is not right."""
        found = self.verdict(provider, secret=secret)
        if not found.is_ok:
            raise AssertionError(f"{self.method} {self.target} is not rightly signed: {found.reason}")

    def __repr__(self) -> str:
        about = (self.method, self.target, self.provider, self.event)
        return f"<Received {' '.join(filter(None, about))}, {len(self.body):,} bytes>"


Match = Callable[[Received], bool]


@dataclass(slots=True)
class _Canned:
    response: Response
    delay_s: float
    match: Match | None
    left: int | None  # None: again and again

    def fits(self, received: Received) -> bool:
        return self.match is None or self.match(received)


@dataclass(slots=True)
class _Plan:
    """How to answer: first what was asked for a number of times, in order; then the standing answer, the last given."""

    queue: list[_Canned] = field(default_factory=list)
    standing: list[_Canned] = field(default_factory=list)

    def add(self, canned: _Canned) -> None:
        if canned.left is None:
            self.standing.insert(0, canned)
        elif canned.left > 0:
            self.queue.append(canned)

    def take(self, received: Received) -> _Canned | None:
        for canned in self.queue:
            if canned.fits(received):
                assert canned.left is not None
                canned.left -= 1
                if not canned.left:
                    self.queue.remove(canned)
                return canned
        return next((canned for canned in self.standing if canned.fits(received)), None)


class WebhookServer:
    """Receives on 127.0.0.1, a free port. Use it with ``with``; `url` is there inside.

    Answers 200 until `answer` says otherwise. With `tls` it speaks HTTPS. Raises UsageError `port-in-use` and the like.
    """

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, tls: "ssl.SSLContext | None" = None
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._received: list[Received] = []
        self._unread: list[Received] = []  # that `next` has not given yet
        self._news = threading.Condition()
        self._bells: list[Bell] = []
        self._plan = _Plan()
        self._problems: list[BaseException] = []
        self._background: Background | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """Where it receives, without a slash at the end."""
        if not self._url:
            raise RuntimeError("the server does not run: use it with `with`")
        return self._url

    @property
    def received(self) -> list[Received]:
        """Everything that came in so far, oldest first."""
        with self._news:
            return list(self._received)

    def answer(
        self,
        status: int = 200,
        body: bytes | str | None = None,
        *,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        delay_s: float = 0.0,
        times: int | None = None,
        match: Match | None = None,
    ) -> None:
        """Answer so: the next `times` deliveries, or from now on all for which no number was asked.

        Answers with `times` queue up and come first. `match` limits an answer to some deliveries. `json` is a body too.
        """
        canned = _Canned(_response(status, body, json, headers or {}), delay_s, match, times)
        with self._news:
            self._plan.add(canned)

    def wait(self, count: int = 1, *, timeout_s: float = 5.0, match: Match | None = None) -> list[Received]:
        """The first `count` deliveries that `match`, as soon as they are there, from the beginning on.

        Raises TimeoutError that says what came instead. Blocks: where the sender runs on the loop of the test itself,
        await `next`.
        """
        deadline_s = monotonic() + timeout_s
        with self._news:
            while True:
                found = [each for each in self._received if match is None or match(each)]
                if len(found) >= count:
                    return found[:count]
                left_s = deadline_s - monotonic()
                if left_s <= 0:
                    text = self._missed(f"{len(found)} of {count}", len(found), timeout_s)
                    raise TimeoutError(text + _advice())
                self._news.wait(left_s)

    async def next(self, *, timeout_s: float = 5.0, match: Match | None = None) -> Received:
        """The next delivery that `next` has not given yet and that `match`es, for asyncio and trio.

        Raises TimeoutError. Cancelled, it takes none away.
        """
        deadline_s = monotonic() + timeout_s
        while True:
            bell = Bell()
            with self._news:
                for received in self._unread:
                    if match is None or match(received):
                        self._unread.remove(received)
                        return received
                self._bells.append(bell)
            try:
                await bell.wait(deadline_s - monotonic())
            except TimeoutError:
                with self._news:
                    raise TimeoutError(self._missed("no", 0, timeout_s)) from None
            finally:
                with self._news:
                    self._bells.remove(bell)

    def clear(self) -> None:
        """Forget what came in and how to answer."""
        with self._news:
            self._received.clear()
            self._unread.clear()
            self._problems.clear()
            self._plan = _Plan()

    def take_problems(self) -> list[BaseException]:
        """What a `match` of yours raised on a delivery, which was answered 500; each is told once."""
        with self._news:
            problems, self._problems = self._problems, []
        return problems

    def __enter__(self) -> Self:
        self._background = Background("webhookctl-server")
        try:
            self._background.run(self._start())
        except BaseException:
            self._background.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        background, self._background, self._url = self._background, None, ""
        if background is not None:
            try:
                background.run(self._stop())
            finally:
                background.close()

    async def _start(self) -> None:
        from webhookctl.net.listener import Listener, ListenerLimits

        self._listener = Listener(
            self._take,
            host=self._host,
            port=self._port,
            limits=ListenerLimits(),
            tls=self._tls,
            now_s=time,
            on_refused=_ignore,
        )
        await self._listener.__aenter__()
        self._url = self._listener.url

    async def _stop(self) -> None:
        await self._listener.stop(timeout_s=0.0)
        await self._listener.__aexit__()

    async def _take(self, capture: Capture) -> Response:
        received = self._as_received(capture)
        with self._news:
            self._received.append(received)
            self._unread.append(received)
            try:
                canned = self._plan.take(received)
            except Exception as error:
                self._problems.append(error)
                canned = _Canned(_response(500, "a match raised an exception", None, {}), 0.0, None, None)
            self._news.notify_all()
            for bell in self._bells:
                bell.ring()
        if canned is None:
            return Response(200, "OK", (), b"")
        await asyncio.sleep(canned.delay_s)
        return canned.response

    def _as_received(self, capture: Capture) -> Received:
        request = capture.request
        detection = signing.detect(request)
        return Received(
            request.method,
            request.target,
            tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers),
            request.body,
            capture.received_at_s,
            self._url + request.target,
            detection.provider,
            detection.event,
            detection.delivery_id,
        )

    def _missed(self, what: str, found: int, timeout_s: float) -> str:
        others = len(self._received) - found
        text = f"{what} deliveries came within {timeout_s:g} s"
        if others:
            lines = [
                f"{each.method} {each.target} {each.event or ''}".strip() for each in self._received[-5:]
            ]
            text += f"; what came: {safe_text('; '.join(lines))}"
        return text


def _response(status: int, body: bytes | str | None, content: object, headers: Mapping[str, str]) -> Response:
    fields = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items())
    if content is not None:
        if not any(name.lower() == "content-type" for name in headers):
            fields = ((b"Content-Type", b"application/json"), *fields)
        body = json.dumps(content)
    data = body.encode("utf-8") if isinstance(body, str) else body or b""
    return Response(status, _PHRASES.get(status, ""), fields, data)


def _advice() -> str:
    """A word for whoever blocks the loop that the sender may need."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return ""
    return " (`wait` blocks the event loop: if the sender runs on it, use `await …next()`)"


def _ignore(status: int, why: str) -> None:
    """What never became a request is no delivery."""
