"""Serves a Python web application (ASGI, WSGI, aiohttp) on a free port of this machine, in the running event loop.

Bodies reach the application byte for byte. Knows no framework: interfaces only.
"""

import asyncio
import inspect
import io
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from time import time  # noqa: TID251  (when a request came in; nobody looks)
from typing import Any, Self

from webhookctl.errors import UsageError
from webhookctl.model import Capture, Response
from webhookctl.net.listener import Listener, ListenerLimits

_THREADS = 16
_STARTUP_S = 30.0
Message = MutableMapping[str, Any]
AsgiApp = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class AppServer:
    """`async with` serves `app`; `url` tells where. `problems` are what it raised, for the test that caused it.

    Raises UsageError `app-unknown` for what is no application, `app-failed` when its start-up fails.
    """

    def __init__(self, app: object) -> None:
        self._app = app
        self._stack = AsyncExitStack()
        self.problems: list[BaseException] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if _is_aiohttp(self._app):
                await self._serve_aiohttp(stack)
            elif is_asgi(self._app):
                lifespan = _Lifespan(self._app)
                await lifespan.start()
                stack.push_async_callback(lifespan.stop)
                await self._serve(stack, self._answer_asgi)
            elif callable(self._app):
                self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="webhookctl-wsgi")
                stack.callback(self._pool.shutdown, wait=False)
                await self._serve(stack, self._answer_wsgi)
            else:
                raise UsageError(
                    "app-unknown",
                    f"{type(self._app).__name__} is no application",
                    "a URL, an ASGI or WSGI application, or an aiohttp one",
                )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _serve(self, stack: AsyncExitStack, answer: Callable[[Capture], Awaitable[Response]]) -> None:
        async def deliver(capture: Capture) -> Response:
            try:
                return await answer(capture)
            except Exception as error:
                self.problems.append(error)
                return Response(500, "Internal Server Error", (), b"the application raised an exception\n")

        listener = Listener(
            deliver,
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
        runner = web.AppRunner(self._app, handle_signals=False)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0, shutdown_timeout=1.0)
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
        }
        exchange = _AsgiExchange(request.body)
        await self._asgi()(scope, exchange.receive, exchange.send)
        return exchange.response()

    def _asgi(self) -> AsgiApp:
        app: Any = self._app
        return app  # type: ignore[no-any-return]  # nobody declares its type

    async def _answer_wsgi(self, capture: Capture) -> Response:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._call_wsgi, capture)

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
            elif key != "CONTENT_LENGTH":
                known = environ.get(f"HTTP_{key}")
                environ[f"HTTP_{key}"] = text if known is None else f"{known}, {text}"
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
    """Whether `app` is called with scope, receive, send: a coroutine function, or an object whose call is one."""
    if inspect.isclass(app):
        return False
    call = app if inspect.isfunction(app) or inspect.ismethod(app) else getattr(app, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(call)


def _is_aiohttp(app: object) -> bool:
    return any(
        f"{kind.__module__}.{kind.__name__}" == "aiohttp.web_app.Application" for kind in type(app).__mro__
    )


class _AsgiExchange:
    """One request and response of an ASGI application."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._ended = asyncio.Event()
        self._status = 0
        self._headers: tuple[tuple[bytes, bytes], ...] = ()
        self._parts: list[bytes] = []

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = tuple((bytes(name), bytes(value)) for name, value in message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self._parts.append(bytes(message.get("body", b"")))
            if not message.get("more_body", False):
                self._ended.set()

    def response(self) -> Response:
        if not self._status:
            raise RuntimeError("the application sent no response")
        return Response(self._status, "", self._headers, b"".join(self._parts))


class _Lifespan:
    """The start-up and shutdown of an ASGI application. One that knows no lifespan is left alone."""

    def __init__(self, app: object) -> None:
        self._app: Any = app
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        self._task = asyncio.get_running_loop().create_task(self._run(scope), name="lifespan")
        await self._inbox.put({"type": "lifespan.startup"})
        answer = await asyncio.wait_for(self._outbox.get(), _STARTUP_S)
        if answer["type"] == "lifespan.startup.failed":
            raise UsageError("app-failed", f"the application's start-up failed: {answer.get('message', '')}")

    async def stop(self) -> None:
        assert self._task is not None
        if not self._task.done():
            await self._inbox.put({"type": "lifespan.shutdown"})
            await asyncio.wait({self._task}, timeout=_STARTUP_S)
            self._task.cancel()

    async def _run(self, scope: Message) -> None:
        try:
            with suppress(Exception):  # it knows no lifespan: the specification lets it raise
                await self._app(scope, self._inbox.get, self._outbox.put)
        finally:
            await self._outbox.put({"type": "lifespan.unsupported"})


def _decoded(path: str) -> str:
    from urllib.parse import unquote

    return unquote(path)


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.partition("://")[2].partition(":")
    return host, int(port or 80)


def _ignore(status: int, why: str) -> None:
    """What never became a request is not the application's."""
