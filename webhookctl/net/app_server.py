"""Serves a Python web application (ASGI, WSGI, aiohttp) on a free port of this machine, in the running event loop.

Bodies reach the application byte for byte. Knows no framework: interfaces only.
"""

import asyncio
import inspect
import io
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from contextlib import AsyncExitStack, suppress
from http import HTTPStatus
from threading import Thread
from time import time  # noqa: TID251  (when a request came in; nobody looks)
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from webhookctl.errors import UsageError
from webhookctl.model import Capture, Response
from webhookctl.net.listener import Listener, ListenerLimits

_STARTUP_S = 30.0
_SETTLE_S = 1.0  # at the end, for what the application is still at
_RAISING_S = 0.2  # an application that answered 5xx may raise a moment later why
Message = MutableMapping[str, Any]
AsgiApp = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Coroutine[Any, Any, None],
]
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_NO_RESPONSE = Response(500, "Internal Server Error", (), b"the application raised an exception\n")


class AppServer:
    """`async with` serves `app`; `url` tells where. What it raises is kept for `take_problems`.

    Raises UsageError `app-unknown` for what is no application, `app-failed` when its start-up or shutdown fails.
    """

    def __init__(self, app: object) -> None:
        self._app = app
        self._stack = AsyncExitStack()
        self._problems: list[BaseException] = []
        self._state: dict[str, Any] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if _is_aiohttp(self._app):
                await self._serve_aiohttp(stack)
            elif is_asgi(self._app):
                lifespan = _Lifespan(self._app, self._state)
                await lifespan.start()
                stack.push_async_callback(lifespan.stop)
                await self._serve(stack, self._answer_asgi)
            elif callable(self._app) and not inspect.isclass(self._app):
                await self._serve(stack, self._answer_wsgi)
            else:
                raise UsageError(
                    "app-unknown",
                    f"{_name(self._app)} is no application",
                    "take a URL, an ASGI, WSGI or aiohttp application, or a webhookctl.Command",
                )
            stack.push_async_callback(self._settle, _SETTLE_S)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        for call in self._calls:
            call.cancel()

    async def take_problems(self, *, settle_s: float) -> list[BaseException]:
        """What the application raised, each told once; what it is still at gets `settle_s` to end."""
        await self._settle(settle_s)
        problems, self._problems = self._problems, []
        return problems

    async def _settle(self, within_s: float) -> None:
        if self._calls and within_s:
            await asyncio.wait(self._calls, timeout=within_s)

    def _call(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let the application do `work`; what it raises is kept."""

        async def kept() -> None:
            try:
                await work
            except Exception as error:
                self._problems.append(error.with_traceback(_from_the_application(error.__traceback__)))

        call = asyncio.get_running_loop().create_task(kept(), name=f"a request to {_name(self._app)}")
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return call

    async def _serve(self, stack: AsyncExitStack, answer: Callable[[Capture], Awaitable[Response]]) -> None:
        listener = Listener(
            answer,
            host="127.0.0.1",
            port=0,
            limits=ListenerLimits(),
            tls=None,
            now_s=time,
            on_refused=_ignore,
        )
        await stack.enter_async_context(listener)
        self.url = listener.url

    async def _serve_aiohttp(self, stack: AsyncExitStack) -> None:
        from aiohttp import web

        assert isinstance(self._app, web.Application)
        runner = web.AppRunner(self._app, handle_signals=False, shutdown_timeout=_SETTLE_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def _answer_asgi(self, capture: Capture) -> Response:
        request = capture.request
        path, _, query = request.target.partition("?")
        host, _, port = capture.peer.rpartition(":")
        scope: Message = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": capture.http_version,
            "method": request.method,
            "scheme": "http",
            "path": _decoded(path),
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers],
            "client": (host, int(port or 0)),
            "server": _address(self.url),
            "state": self._state.copy(),
        }
        exchange = _AsgiExchange(request.body)
        call = self._call(self._asgi()(scope, exchange.receive, exchange.send))
        answered = asyncio.get_running_loop().create_task(exchange.ended.wait())
        await asyncio.wait({call, answered}, return_when=asyncio.FIRST_COMPLETED)
        answered.cancel()
        response = exchange.response()
        if response.status >= 500:
            await asyncio.wait({call}, timeout=_RAISING_S)
        return response

    def _asgi(self) -> AsgiApp:
        app: Any = self._app
        return app  # type: ignore[no-any-return]  # nobody declares its type

    async def _answer_wsgi(self, capture: Capture) -> Response:
        """In a thread of its own that holds nobody up: an application that hangs does not keep the process alive."""
        loop = asyncio.get_running_loop()
        answers, problems, ended = [_NO_RESPONSE], [], asyncio.Event()

        def work() -> None:
            try:
                answers[0] = self._call_wsgi(capture)
            except BaseException as error:
                problems.append(error)
            with suppress(RuntimeError):  # the loop is over
                loop.call_soon_threadsafe(ended.set)

        async def call() -> None:
            await ended.wait()
            if problems:
                raise problems[0]

        Thread(target=work, name="webhookctl-wsgi", daemon=True).start()
        await asyncio.wait({self._call(call())})
        return answers[0]

    def _call_wsgi(self, capture: Capture) -> Response:
        request = capture.request
        path, _, query = request.target.partition("?")
        host, port = _address(self.url)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": _decoded(path).encode("utf-8", "surrogateescape").decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": capture.peer.rpartition(":")[0],
            "CONTENT_LENGTH": str(len(request.body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(request.body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in request.headers:
            key = name.decode("latin-1").upper().replace("-", "_")
            text = value.decode("latin-1")
            if key == "CONTENT_TYPE":
                environ[key] = text
            elif key not in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):  # the body is whole here
                known = environ.get(f"HTTP_{key}")
                joint = "; " if key == "COOKIE" else ", "
                environ[f"HTTP_{key}"] = text if known is None else f"{known}{joint}{text}"
        started: list[tuple[str, list[tuple[str, str]]]] = []
        written: list[bytes] = []

        def start(status: str, headers: list[tuple[str, str]], _: object = None) -> Callable[[bytes], object]:
            started[:] = [(status, headers)]
            return written.append

        app: Any = self._app
        parts = app(environ, start)
        try:
            body = b"".join([*written, *parts])
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        if not started:
            raise RuntimeError("the application did not call start_response")
        status, fields = started[0]
        code, _, reason = status.partition(" ")
        headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields)
        return Response(int(code), reason, headers, body)


def is_asgi(app: object) -> bool:
    """Whether `app` is called with scope, receive, send: by being a coroutine function, else by what it takes."""
    if inspect.isclass(app) or not callable(app):
        return False
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__):
        return True
    return _takes(app, 3) and not _takes(app, 2)


def _takes(app: Callable[..., object], count: int) -> bool:
    try:
        inspect.signature(app).bind(*[None] * count)
    except (TypeError, ValueError):  # ValueError: nobody knows what it takes
        return False
    return True


def _is_aiohttp(app: object) -> bool:
    return any(
        f"{kind.__module__}.{kind.__name__}" == "aiohttp.web_app.Application" for kind in type(app).__mro__
    )


class _AsgiExchange:
    """One request and response of an ASGI application."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self.ended = asyncio.Event()
        self._status = 0
        self._headers: tuple[tuple[bytes, bytes], ...] = ()
        self._parts: list[bytes] = []

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = tuple((bytes(name), bytes(value)) for name, value in message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self._parts.append(bytes(message.get("body", b"")))
            if not message.get("more_body", False):
                self.ended.set()

    def response(self) -> Response:
        """What was sent; 500 for an application that gave up before it had said all."""
        if not self.ended.is_set():
            return _NO_RESPONSE
        return Response(self._status, _PHRASES.get(self._status, ""), self._headers, b"".join(self._parts))


class _Lifespan:
    """The start-up and shutdown of an ASGI application. One that knows no lifespan is left alone."""

    def __init__(self, app: object, state: dict[str, Any]) -> None:
        self._app: Any = app
        self._state = state
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[BaseException | None] | None = None

    async def start(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        self._task = asyncio.get_running_loop().create_task(self._run(scope), name="lifespan")
        try:
            await self._ask("startup")
        except BaseException:
            self._task.cancel()
            raise

    async def stop(self) -> None:
        assert self._task is not None
        try:
            if not self._task.done():
                await self._ask("shutdown")
                await asyncio.wait({self._task}, timeout=_SETTLE_S)
        finally:
            self._task.cancel()

    async def _ask(self, what: str) -> None:
        assert self._task is not None
        await self._inbox.put({"type": f"lifespan.{what}"})
        try:
            answer = await asyncio.wait_for(self._outbox.get(), _STARTUP_S)
        except TimeoutError:
            raise UsageError(
                "app-failed", f"the application's {what} did not end within {_STARTUP_S:g} s"
            ) from None
        if answer["type"] == f"lifespan.{what}.failed":
            await asyncio.wait({self._task}, timeout=_SETTLE_S)
            cause = self._task.result() if self._task.done() else None
            lines = str(answer.get("message", "")).strip().splitlines() or ["it does not say why"]
            raise UsageError("app-failed", f"the application's {what} failed: {lines[-1].strip()}") from cause

    async def _run(self, scope: Message) -> BaseException | None:
        """What it raised: of one that knows no lifespan it means nothing, as the specification has it."""
        try:
            await self._app(scope, self._inbox.get, self._outbox.put)
        except Exception as error:
            return error.with_traceback(_from_the_application(error.__traceback__))
        finally:
            await self._outbox.put({"type": "lifespan.unsupported"})
        return None


def _from_the_application(trace: TracebackType | None) -> TracebackType | None:
    """`trace` from the first line that neither we nor installed packages wrote; all of it when there is none."""
    line = trace
    while line is not None:
        path = line.tb_frame.f_code.co_filename
        if path != __file__ and "site-packages" not in path and not path.startswith("<frozen"):
            return line
        line = line.tb_next
    return trace


def _name(app: object) -> str:
    return getattr(app, "__name__", "") or type(app).__name__


def _decoded(path: str) -> str:
    return unquote(path)


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.partition("://")[2].partition(":")
    return host, int(port or 80)


def _ignore(status: int, why: str) -> None:
    """What never became a request is not the application's."""
