"""An HTTP server for tests that receives webhooks: in a thread of its own, every delivery kept, answers as told.

Works the same from plain functions and from code on any event loop.
"""

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, time  # noqa: TID251  (when a delivery came in)
from types import TracebackType
from typing import Any, Self

from webhookctl import signing
from webhookctl.library.background import Background
from webhookctl.library.signatures import verify
from webhookctl.model import Capture, Response, Verdict

_REASONS = {200: "OK", 201: "Created", 202: "Accepted", 204: "No Content"}


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery that came in, exact. `headers` are (name, value) pairs in the order of the wire."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    received_at_s: float
    url: str  # that the sender called
    provider: str | None
    event: str | None
    id: str | None

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first value of the header `name`, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

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


Match = Callable[[Received], bool]


@dataclass(slots=True)
class _Canned:
    response: Response
    delay_s: float
    left: int | None  # None: again and again


class WebhookServer:
    """Receives on 127.0.0.1, a free port. Use it with ``with``; `url` is there inside.

    Answers 200 until `answer` says otherwise.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._host = host
        self._port = port
        self._received: list[Received] = []
        self._taken = 0  # by `next`
        self._news = threading.Condition()
        self._answers: deque[_Canned] = deque()
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
        body: bytes | str = b"",
        *,
        headers: dict[str, str] | None = None,
        delay_s: float = 0.0,
        times: int | None = None,
    ) -> None:
        """Answer the next `times` deliveries so (None: all that follow). Several calls queue up."""
        content = body.encode("utf-8") if isinstance(body, str) else body
        fields = tuple(
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()
        )
        response = Response(status, _REASONS.get(status, ""), fields, content)
        with self._news:
            self._answers = deque(each for each in self._answers if each.left is not None)
            self._answers.append(_Canned(response, delay_s, times))

    def wait(self, count: int = 1, *, timeout_s: float = 5.0, match: Match | None = None) -> list[Received]:
        """The first `count` deliveries that `match`, as soon as they are there, from the beginning on.

        Raises TimeoutError that says what came instead.
        """
        deadline_s = monotonic() + timeout_s
        with self._news:
            while True:
                found = [each for each in self._received if match is None or match(each)]
                if len(found) >= count:
                    return found[:count]
                left_s = deadline_s - monotonic()
                if left_s <= 0:
                    raise TimeoutError(self._missed(count, len(found), timeout_s))
                self._news.wait(left_s)

    async def next(self, *, timeout_s: float = 5.0) -> Received:
        """The next delivery that `next` has not given yet, for asyncio and trio. Raises TimeoutError."""
        position = self._taken
        self._taken += 1
        return (await _in_thread(lambda: self.wait(position + 1, timeout_s=timeout_s)))[position]

    def clear(self) -> None:
        """Forget what came in and how to answer."""
        with self._news:
            self._received.clear()
            self._answers.clear()
            self._taken = 0

    def __enter__(self) -> Self:
        self._background = Background("webhookctl-server")
        self._background.run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        background, self._background, self._url = self._background, None, ""
        if background is not None:
            background.run(self._stop())
            background.close()

    async def _start(self) -> None:
        from webhookctl.net.listener import Listener, ListenerLimits

        self._listener = Listener(
            self._take,
            host=self._host,
            port=self._port,
            limits=ListenerLimits(),
            tls=None,
            now_s=time,
            on_refused=_ignore,
        )
        await self._listener.__aenter__()
        self._url = self._listener.url

    async def _stop(self) -> None:
        await self._listener.stop(timeout_s=0.0)
        await self._listener.__aexit__()

    async def _take(self, capture: Capture) -> Response:
        import asyncio

        received = self._as_received(capture)
        with self._news:
            self._received.append(received)
            canned = self._next_answer()
            self._news.notify_all()
        if canned is None:
            return Response(200, "OK", (), b"")
        if canned.delay_s:
            await asyncio.sleep(canned.delay_s)
        return canned.response

    def _next_answer(self) -> _Canned | None:
        if not self._answers:
            return None
        canned = self._answers[0]
        if canned.left is not None:
            canned.left -= 1
            if canned.left <= 0:
                self._answers.popleft()
        return canned

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

    def _missed(self, count: int, found: int, timeout_s: float) -> str:
        others = len(self._received) - found
        text = f"{found} of {count} deliveries came within {timeout_s:g} s"
        if others:
            lines = [
                f"{each.method} {each.target} {each.event or ''}".strip() for each in self._received[-5:]
            ]
            text += f", and {others} others: {'; '.join(lines)}"
        return text


def _ignore(status: int, why: str) -> None:
    """What never became a request is no delivery."""


async def _in_thread(work: Callable[[], list[Received]]) -> list[Received]:
    """Wait in a thread of whichever library runs the calling task."""
    import sys

    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            pass
        else:
            found: list[Received] = await trio.to_thread.run_sync(work, abandon_on_cancel=True)
            return found
    import asyncio

    return await asyncio.to_thread(work)
