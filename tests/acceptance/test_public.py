"""`listen` with a public URL of others: smee, Svix Play, cloudflared; and the webhook at GitHub. Real processes."""

import asyncio
import hashlib
import hmac
import json
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from tests.acceptance.receivers import app, raw_request, send_raw
from tests.acceptance.running import DEADLINE_S, Listening, Project, unsafe_characters
from tests.net.foreign.servers import (
    STREAM_HEAD,
    decoded,
    gosmee_event,
    plain,
    smee_event,
    stream_server,
    svix_event,
    svix_server,
)
from tests.net.github_api import TOKEN, GithubApi, github_api
from tests.net.programs import Programs, programs
from tests.ports import refusing_port
from tests.processes import is_alive
from webhookctl import signing
from webhookctl.model import Secret

__all__ = ["programs"]
Server = TypeVar("Server")
GITHUB_SECRET = "sample-github-secret"
UP = """
open(sys.argv[0] + '.pid', 'w').write(str(os.getpid()))
box('https://calm-river.trycloudflare.com'); registered(); time.sleep(600)
"""


@contextmanager
def in_thread(
    serve: Callable[[Callable[[Server], None], asyncio.Event], Coroutine[Any, Any, None]],
) -> Iterator[Server]:
    """Run a server of asyncio in a thread; it gives itself once it is up, and ends when the event is set."""
    found: list[Server] = []
    is_up = threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def up(server: Server) -> None:
        found.append(server)
        is_up.set()

    async def main() -> None:
        over = asyncio.Event()
        loops.append((asyncio.get_running_loop(), over))
        await serve(up, over)

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert is_up.wait(DEADLINE_S)
    try:
        yield found[0]
    finally:
        loop, over = loops[0]
        loop.call_soon_threadsafe(over.set)
        thread.join(DEADLINE_S)


def streaming(
    *scripts: list[bytes],
) -> Callable[[Callable[[str], None], asyncio.Event], Coroutine[Any, Any, None]]:
    async def serve(up: Callable[[str], None], over: asyncio.Event) -> None:
        async with stream_server(*scripts) as server:
            up(server.url)
            await over.wait()
            server.release.set()

    return serve


def github_headers(body: bytes) -> dict[str, str]:
    signature = hmac.new(GITHUB_SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {
        "x-github-event": "push",
        "x-github-delivery": "11111111-1111-4111-8111-111111111111",
        "x-hub-signature-256": f"sha256={signature}",
        "content-type": "application/json",
        "content-length": str(len(body)),
    }


def test_smee_is_mended_where_the_signature_proves_it_and_blamed_where_not(project: Project) -> None:
    spaced, lost = b'{"ref": "refs/heads/main", "n": [1, 2]}', b'{"price":1.0}'
    script = [
        STREAM_HEAD,
        b"id: 0\nevent: ready\ndata: {}\n\n",
        smee_event(1, '{"ref":"refs/heads/main","n":[1,2]}', **github_headers(spaced)),
        smee_event(2, '{"price":1}', **github_headers(lost)),
        b"WAIT",
    ]
    new = [plain("307 Temporary Redirect", Location="/fresh-channel-1")]
    ours = project.with_environment(GITHUB_WEBHOOK_SECRET=GITHUB_SECRET)
    with in_thread(streaming(new, script)) as url, app() as running:
        arguments = ("--relay", f"smee+{url}", "--forward-to", f"{running.url}/hooks", "--json")
        with ours.listening(*arguments, "--exit-after", "2") as listening:
            verdicts = listening.wait_for("verdict", 2)
            assert [verdict["verdict"] for verdict in verdicts] == ["ok", "body_changed"]
            assert "smee re-serialised the body" in verdicts[1]["reason"]
            bodies = {received.body for received in running.wait_for(2)}
            assert bodies == {spaced, b'{"price":1}'}
            assert listening.wait() == 0
            ready = listening.events[0]
            assert ready["relay"]["url"] == f"{url}/fresh-channel-1"
            assert "most signatures break" in ready["relay"]["note"]
            assert listening.of_type("request")[0]["target"] == "/"


def test_gosmee_hides_nothing_of_a_hostile_body_and_the_terminal_stays_whole(project: Project) -> None:
    body = json.dumps({"action": "\x1b]0;owned\x07\u202e"}, ensure_ascii=False).encode()
    script = [
        STREAM_HEAD,
        gosmee_event(body, **{"x-github-event": "\x9b2J", "x-b": "1"}),
        b"data: \x1b[2J\n\n",
        b"WAIT",
    ]
    with (
        in_thread(streaming(script)) as url,
        project.listening("--relay", f"gosmee+{url}/channel-1234", "-vv") as listening,
    ):
        listening.wait_for_text("was left out")
        assert listening.stop() == 130
        assert unsafe_characters(listening.lines.raw) == []


def test_svix_play_gets_the_apps_answer(project: Project) -> None:
    async def serve(up: Callable[[Any], None], over: asyncio.Event) -> None:
        async with svix_server() as server:
            server.events = [svix_event("ev-1", b'{"type":"user.created"}', "PUT", **{"x-a": "1"})]
            up(server)
            await over.wait()

    with in_thread(serve) as server, app(lambda _: (418, b"short and stout")) as running:
        arguments = ("--relay", f"svix+{server.url}", "--forward-to", f"{running.url}/in", "--json")
        with project.listening(*arguments, "--exit-after", "1") as listening:
            assert listening.wait() == 0
        received = running.wait_for(1)[0]
        assert (received.method, received.path, received.body) == ("PUT", "/in", b'{"type":"user.created"}')
        assert server.answers[0]["data"]["status"] == 418
        assert decoded(server.answers[0]) == b"short and stout"


def test_a_relay_that_is_not_there_is_told_with_its_exit_code(project: Project) -> None:
    with refusing_port() as port:
        result = project.run("listen", "--port", "0", "--relay", f"smee+http://127.0.0.1:{port}/c")
    assert result.exit_code == 6
    assert result.errors.startswith(f"error: http://127.0.0.1:{port}/c cannot be reached")
    assert "hint: " in result.errors


def test_a_plain_url_of_smee_is_recognised(project: Project) -> None:
    absent = [plain("404 Not Found")]

    async def serve(up: Callable[[str], None], over: asyncio.Event) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            is_stream = head.startswith(b"GET /channel-1") and b"text/event-stream" in head
            writer.write(plain("200 OK", Content_Type="text/event-stream") if is_stream else absent[0])
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            up(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/channel-1")
            await over.wait()

    with in_thread(serve) as url:
        result = project.run("listen", "--port", "0", "--relay", url)
        assert result.exit_code == 6
        assert f"--relay smee+{url}" in result.errors


@contextmanager
def registered(project: Project, api: GithubApi, *arguments: str) -> Iterator[Listening]:
    """A listener behind a stand-in of cloudflared, registered at the stand-in of GitHub."""
    ours = project.with_environment(
        GITHUB_TOKEN=TOKEN, GITHUB_API_URL=api.url, GITHUB_WEBHOOK_SECRET=GITHUB_SECRET
    )
    given = ("--tunnel", "cloudflared", "--register", "github:sample/app", "--json", *arguments)
    with ours.listening(*given) as listening:
        listening.wait_for("hook.registered")
        yield listening


def test_the_webhook_is_there_while_we_listen_and_gone_afterwards(
    project: Project, programs: Programs
) -> None:
    programs.cloudflared(UP)
    given = ("--register-events", "push,issues", "--backfill")
    with github_api() as api, registered(project, api, *given) as listening:
        assert listening.of_type("public")[0]["url"] == "https://calm-river.trycloudflare.com"
        [hook] = api.hooks.values()
        assert hook["events"] == ["push", "issues"]
        assert hook["config"]["url"] == "https://calm-river.trycloudflare.com"
        assert hook["config"]["secret"] == GITHUB_SECRET
        listening.wait_for("backfill")
        assert listening.stop() == 130
        assert api.hooks == {}
        assert [event["type"] for event in listening.events[-2:]] == ["hook.removed", "stopped"]
        assert TOKEN not in listening.lines.raw.decode() + listening.errors
        assert GITHUB_SECRET not in listening.lines.raw.decode() + listening.errors
    assert not is_alive(int((programs.folder / "cloudflared.pid").read_text()))


def test_a_webhook_left_by_a_kill_is_taken_up_again(project: Project, programs: Programs) -> None:
    programs.cloudflared(UP)
    with github_api() as api:
        with registered(project, api) as listening:
            listening.interrupt(signal.SIGKILL)
            listening.wait()
        assert len(api.hooks) == 1
        process_id = int((programs.folder / "cloudflared.pid").read_text())
        with registered(project, api) as listening:
            assert listening.of_type("hook.registered")[0]["how"] == "taken up again"
            assert len(api.hooks) == 1
            assert listening.stop() == 130
        assert api.hooks == {}
    assert not is_alive(process_id)


def test_an_option_is_stronger_than_a_relay_of_the_configuration(
    project: Project, programs: Programs
) -> None:
    programs.cloudflared(UP)
    (project.folder / "webhookctl.toml").write_text('relay = "https://relay.example.com"\n')
    with project.listening("--tunnel", "cloudflared", "--json") as listening:
        listening.wait_for("public")
        assert listening.stop() == 130


def test_a_webhook_that_cannot_be_made_ends_the_listening(project: Project, programs: Programs) -> None:
    programs.cloudflared(UP)
    with github_api() as api:
        ours = project.with_environment(GITHUB_TOKEN="wrong", GITHUB_API_URL=api.url)
        result = ours.run(
            "listen", "--port", "0", "--tunnel", "cloudflared", "--register", "github:sample/app"
        )
    assert result.exit_code == 2
    assert "GitHub does not accept the token (env:GITHUB_TOKEN)" in result.errors
    assert not is_alive(int((programs.folder / "cloudflared.pid").read_text()))


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("--tunnel", "cloudflared"), 6, "cloudflared is not found on the PATH"),
        (("--tunnel", "clodflared"), 2, "there is cloudflared and ngrok"),
        (("--tunnel", "ngrok", "--public-url", "https://a.example.com"), 2, "exclude each other"),
        (("--register", "github:sample/app"), 2, "needs a URL"),
        (
            ("--register", "github:sample/app", "--public-url", "https://a.example.com"),
            2,
            "GITHUB_TOKEN is not set",
        ),
        (("--register", "gitlab:a/b", "--public-url", "https://a.example.com"), 2, "github"),
        (("--register", "github:a/b/c", "--public-url", "https://a.example.com"), 2, "no repository"),
        (("--register", "github:a/b", "--register-token", "ghp_open"), 2, "can see it"),
        (("--public-url", "a.example.com"), 2, "whole URL"),
        (("--backfill",), 2, "--register github:OWNER/REPO"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_is_told_before_anything_is_started(
    project: Project, programs: Programs, arguments: tuple[str, ...], code: int, word: str
) -> None:
    ours = project.with_environment(GITHUB_TOKEN="sample") if "github:a/b/c" in arguments else project
    result = ours.run("listen", "--port", "0", *arguments)
    assert result.exit_code == code
    assert word in result.errors
    assert "Ready" not in result.text


def test_a_scheme_that_signs_the_url_fits_behind_a_tunnel_program(project: Project) -> None:
    scheme = signing.load("twilio_form")
    url = "https://calm-river.trycloudflare.com/sms?a=1"
    body = b"From=%2B15550100&Body=hello"
    signed = signing.sign_request(
        scheme, Secret("sample-token"), body=body, timestamp_s=0.0, message_id="m", url=url
    )
    signature = next(value for name, value in signed.headers if name == b"X-Twilio-Signature")
    request = raw_request(
        "/sms?a=1",
        body,
        ("X-Twilio-Signature", signature.decode()),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-For", "198.51.100.7"),
        kind="application/x-www-form-urlencoded",
    ).replace(b"Host: hooks.example.com", b"Host: calm-river.trycloudflare.com")
    ours = project.with_environment(TWILIO_AUTH_TOKEN="sample-token")
    with ours.listening("--provider", "twilio_form", "--json") as listening:
        assert send_raw(listening.url, request).status == 202
        assert listening.wait_for("verdict")[0]["verdict"] == "ok"


def test_the_stand_in_of_github_wants_the_token() -> None:
    with github_api() as api, pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{api.url}/repos/sample/app/hooks")
