"""Applications of this process: bodies exact, answers at once, what they raise kept, start-up and shutdown told."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from webhookctl import forge
from webhookctl.errors import UsageError
from webhookctl.library.answer import Answer
from webhookctl.net.app_server import AppServer, is_asgi

SECRET = "sample-secret"
PUSH = forge("github", "push", secret=SECRET)


async def ask(
    app: object, *, path: str = "/hooks?a=1", settle_s: float = 0.0
) -> tuple[Answer, list[BaseException]]:
    """The answer of `app` to one delivery, and what it raised."""
    async with AppServer(app) as server:
        answer = await PUSH.send_async(server.url + path)
        return answer, await server.take_problems(settle_s=settle_s)


def asked(
    app: object, *, path: str = "/hooks?a=1", settle_s: float = 0.0
) -> tuple[Answer, list[BaseException]]:
    return asyncio.run(ask(app, path=path, settle_s=settle_s))


async def answered(send: Any, body: bytes = b"ok", *, status: int = 200, more: bool = False) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"x-a", b"1")]})
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    message = await receive()
    about = f"{scope['method']} {scope['path']} {scope['raw_path']!r} {scope['query_string']!r} "
    await answered(send, about.encode() + message["body"])


def test_an_asgi_application_gets_the_exact_request() -> None:
    answer, problems = asked(echo, path="/a%20b?x=%2F")
    assert answer.body == b"POST /a b b'/a%20b' b'x=%2F' " + PUSH.body
    assert (answer.status, answer.reason, answer.header("X-A")) == (200, "OK", "1")
    assert problems == []


def test_a_wsgi_application_gets_the_exact_request() -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        start_response("201 Made", [("X-A", "é")])
        return [b"<", environ["wsgi.input"].read(), b">"]

    answer, problems = asked(app, path="/a%20b%C3%A9?x=%2F")
    assert answer.body == b"<" + PUSH.body + b">"
    assert (answer.status, answer.reason, answer.header("x-a")) == (201, "Made", "é")
    assert problems == []
    assert seen["PATH_INFO"].encode("latin-1").decode() == "/a bé"
    assert (seen["REQUEST_METHOD"], seen["QUERY_STRING"]) == ("POST", "x=%2F")
    assert seen["CONTENT_LENGTH"] == str(len(PUSH.body))
    assert seen["HTTP_X_GITHUB_EVENT"] == "push"
    assert seen["CONTENT_TYPE"] == PUSH.header("Content-Type")
    assert seen["REMOTE_ADDR"] == seen["SERVER_NAME"] == "127.0.0.1"


def test_a_wsgi_application_may_write_and_close() -> None:
    closed = threading.Event()

    class Parts(list[bytes]):
        def close(self) -> None:
            closed.set()

    def app(environ: object, start_response: Any) -> Parts:
        start_response("200 OK", [])(b"first ")
        return Parts([b"second"])

    assert asked(app)[0].body == b"first second"
    assert closed.is_set()


def test_what_a_wsgi_application_raises_is_kept_and_answered_500() -> None:
    def app(environ: object, start_response: object) -> list[bytes]:
        raise KeyError("boom")

    answer, problems = asked(app)
    assert answer.status == 500
    assert [type(each) for each in problems] == [KeyError]


def test_a_wsgi_application_that_says_nothing_is_a_problem() -> None:
    answer, problems = asked(lambda environ, start_response: [])
    assert answer.status == 500
    assert "did not call start_response" in str(problems[0])


def test_a_wsgi_application_that_hangs_does_not_keep_the_server_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("webhookctl.net.app_server._SETTLE_S", 0.01)
    entered, free = threading.Event(), threading.Event()

    def app(environ: object, start_response: Any) -> list[bytes]:
        entered.set()
        free.wait()
        start_response("200 OK", [])
        return []

    async def main() -> None:
        async with AppServer(app) as server:
            sending = asyncio.ensure_future(PUSH.send_async(server.url))
            await asyncio.to_thread(entered.wait)
        with pytest.raises(Exception, match="closed"):
            await sending

    asyncio.run(main())
    free.set()


def test_what_an_asgi_application_raises_is_kept_with_its_own_answer() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await answered(send, b"sorry", status=503)
            raise KeyError("boom")

    answer, problems = asked(app)
    assert (answer.status, answer.body) == (503, b"sorry")
    assert [type(each) for each in problems] == [KeyError]
    trace = problems[0].__traceback__
    assert trace is not None
    assert trace.tb_frame.f_code.co_name == "app"


@pytest.mark.parametrize("has_begun", [False, True])
def test_an_asgi_application_that_gives_up_is_answered_500(has_begun: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and has_begun:
            await answered(send, b"half", more=True)

    assert asked(app)[0].status == 500


def test_the_answer_does_not_wait_for_what_the_application_does_afterwards() -> None:
    done: list[str] = []

    async def main() -> None:
        goes_on = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                return
            await answered(send)
            assert await receive() is not None
            assert (await receive())["type"] == "http.disconnect"
            await goes_on.wait()
            done.append("afterwards")
            raise KeyError("late")

        async with AppServer(app) as server:
            assert (await PUSH.send_async(server.url)).status == 200
            assert await server.take_problems(settle_s=0.0) == []
            assert done == []
            goes_on.set()
            (problem,) = await server.take_problems(settle_s=30.0)
            assert isinstance(problem, KeyError)
            assert done == ["afterwards"]
            assert await server.take_problems(settle_s=0.0) == []

    asyncio.run(main())


def test_a_streamed_answer_arrives_whole() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answered(send, b"a", more=True)
        await send({"type": "http.response.body", "body": b"b", "more_body": True})
        await send({"type": "http.response.body"})

    assert asked(app)[0].body == b"ab"


class Recorder:
    """An ASGI application with a lifespan, told how to behave."""

    def __init__(self, *, startup: str = "complete", shutdown: str = "complete") -> None:
        self.events: list[str] = []
        self._answers = {"startup": startup, "shutdown": shutdown}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.events.append(f"state {scope['state']}")
            await answered(send)
            return
        scope["state"]["pool"] = 1
        for what in ("startup", "shutdown"):
            message = await receive()
            self.events.append(message["type"])
            answer = self._answers[what]
            await send(
                {"type": f"lifespan.{what}.{answer}", "message": "Traceback:\n  ValueError: no database"}
            )
            if answer == "failed":
                raise ValueError("no database")


def test_the_lifespan_is_run_once_around_all_requests_and_its_state_given_to_each() -> None:
    app = Recorder()

    async def main() -> None:
        async with AppServer(app) as server:
            for _ in range(2):
                await PUSH.send_async(server.url)

    asyncio.run(main())
    assert app.events == ["lifespan.startup", *["state {'pool': 1}"] * 2, "lifespan.shutdown"]


@pytest.mark.parametrize("what", ["startup", "shutdown"])
def test_a_lifespan_that_fails_is_told_in_one_line_with_its_cause(what: str) -> None:
    with pytest.raises(UsageError) as caught:
        asked(Recorder(**{what: "failed"}))
    assert caught.value.code == "app-failed"
    assert caught.value.message == f"the application's {what} failed: ValueError: no database"
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_start_up_that_does_not_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhookctl.net.app_server._STARTUP_S", 0.01)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    with pytest.raises(UsageError, match=r"startup did not end within 0\.01 s"):
        asked(app)


def test_an_application_that_knows_no_lifespan_is_left_alone() -> None:
    assert asked(echo)[0].status == 200


class AsgiObject:
    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        return echo(scope, receive, send)


class WsgiObject:
    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return []

    async def answer(self, scope: Any, receive: Any, send: Any) -> None: ...


def wsgi_with_more(environ: object, start_response: object, option: int = 0) -> list[bytes]:
    return []


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        (echo, True),
        (Recorder(), True),
        (AsgiObject(), True),
        (WsgiObject().answer, True),
        (WsgiObject(), False),
        (wsgi_with_more, False),
        (Recorder, False),
        (dict.update, False),
        ("http://localhost", False),
    ],
    ids=[
        "function",
        "object",
        "plain call",
        "method",
        "wsgi object",
        "wsgi option",
        "class",
        "builtin",
        "text",
    ],
)
def test_asgi_is_told_from_wsgi(app: object, expected: bool) -> None:
    assert is_asgi(app) is expected


def test_a_plain_call_with_three_arguments_is_served_as_asgi() -> None:
    assert asked(AsgiObject())[0].status == 200


@pytest.mark.parametrize("app", [3, None, Recorder, {}], ids=repr)
def test_what_is_no_application_is_an_error_that_names_it(app: object) -> None:
    with pytest.raises(UsageError, match="is no application") as caught:
        asked(app)
    assert caught.value.code == "app-unknown"


def test_an_aiohttp_application_is_served() -> None:
    from aiohttp import web

    async def hook(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    def make() -> web.Application:
        app = web.Application()
        app.router.add_post("/hooks", hook)
        return app

    assert asked(make())[0].body == PUSH.body


def fastapi_app() -> object:
    from fastapi import FastAPI, Request, Response

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        yield {"greeting": "hello"}

    app = FastAPI(lifespan=lifespan)

    async def hook(request: Request) -> Response:
        return Response(request.state.greeting.encode() + await request.body())

    app.post("/hooks")(hook)
    return app


def flask_app() -> object:
    from flask import Flask, request

    app = Flask("sample")
    app.post("/hooks")(lambda: b"hello" + request.get_data())
    return app


def django_app() -> object:
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.urls import path

    def answer(request: Any) -> Any:
        return HttpResponse(b"hello" + request.body)

    class Urls:
        urlpatterns = (path("hooks", answer),)

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=Urls, SECRET_KEY="sample")
        django.setup(set_prefix=False)
    return WSGIHandler()


@pytest.mark.parametrize("make", [fastapi_app, flask_app, django_app])
def test_the_usual_frameworks_are_served(make: Callable[[], object]) -> None:
    answer, problems = asked(make())
    assert answer.body == b"hello" + PUSH.body
    assert problems == []
