"""What a test sends to: URLs, applications, commands; nothing is left behind."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.processes import is_alive
from webhookctl import Command, Target, forge
from webhookctl.errors import EndpointError, UsageError

PUSH = forge("github", "push", secret="sample-secret")

RECEIVER = """
import http.server, os, sys

class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.end_headers()
        self.wfile.write(f"{os.getpid()} {self.path} {os.environ.get('GREETING')}".encode())

print("ready to receive", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
"""


def test_a_url_is_taken_as_it_is() -> None:
    with Target("http://localhost:1/hooks") as target:
        assert target.url == "http://localhost:1/hooks"
        assert target.take_problems() == []
        assert target.output == ""


@pytest.mark.parametrize("url", ["", "localhost:3000", "ftp://example.com", "/hooks"])
def test_a_text_that_is_no_url_is_an_error(url: str) -> None:
    with pytest.raises(UsageError, match="is not a URL") as caught, Target(url):
        pass
    assert caught.value.code == "url-invalid"


@pytest.mark.parametrize("form", [list, tuple, " ".join], ids=["list", "tuple", "text"])
def test_a_command_is_started_awaited_and_ended(tmp_path: Path, form: Callable[[list[str]], Any]) -> None:
    (tmp_path / "receiver.py").write_text(RECEIVER)
    words = form([sys.executable, "receiver.py", "{port}"])
    with Target(Command(words, environment={"GREETING": "hello"}, folder=str(tmp_path))) as target:
        answer = PUSH.send(target.url + "/hooks")
        process, path, greeting = answer.text.split()
        assert (answer.status, path, greeting) == (202, "/hooks", "hello")
        assert "ready to receive" in target.output
        assert is_alive(int(process))
    assert not is_alive(int(process))


def test_a_command_that_dies_is_an_error_with_its_last_words() -> None:
    before = threading.active_count()
    command = Command([sys.executable, "-c", "import sys; sys.exit('no \\x1b[1mdatabase')"])
    with pytest.raises(EndpointError) as caught, Target(command):
        pass
    notes = "".join(caught.value.__notes__)
    assert "its last output:" in notes
    assert "database" in notes
    assert "\x1b" not in notes
    assert threading.active_count() == before


def test_a_command_that_is_not_there_is_an_error() -> None:
    with pytest.raises(EndpointError), Target(Command("no-such-program-anywhere")):
        pass


def test_an_application_that_does_not_start_leaves_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(UsageError, match="is no application"), Target(3):
        pass
    assert threading.active_count() == before


def test_an_application_is_served_and_its_exceptions_told_once() -> None:
    before = set(threading.enumerate())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("boom")

    with Target(app) as target:
        assert not target.url.endswith("/")
        assert PUSH.send(target.url).status == 500
        assert [type(each) for each in target.take_problems()] == [KeyError]
        assert target.take_problems() == []
    assert target.take_problems() == []
    from webhookctl.library.background import close_sending

    close_sending()
    assert set(threading.enumerate()) <= before
