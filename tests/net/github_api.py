"""A stand-in for GitHub's REST API: the webhooks of one place, on a free port, in a thread; all values are our own."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, dict[str, str], object]
TOKEN = "sample-token"


class GithubApi:
    """What it holds (`hooks`, `attempts` newest first) and what it was asked (`calls`). `answers` come first."""

    def __init__(self) -> None:
        self.hooks: dict[int, dict[str, Any]] = {}
        self.attempts: list[dict[str, Any]] = []
        self.redelivered: list[int] = []
        self.calls: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[Answer] = []
        self.page = 100
        self.url = ""
        self._next = 1001

    def add_hook(self, url: str, **fields: object) -> int:
        self._next += 1
        self.hooks[self._next] = {
            "id": self._next,
            "name": "web",
            "active": True,
            "events": ["push"],
            "config": {"url": url, "content_type": "json"},
            **fields,
        }
        return self._next

    def add_attempt(self, number: int, guid: str, at: str, status: int, event: str = "push") -> None:
        self.attempts.insert(
            0, {"id": number, "guid": guid, "delivered_at": at, "status_code": status, "event": event}
        )

    def answer(self, method: str, target: str, body: Any, headers: dict[str, str]) -> Answer:
        self.calls.append(f"{method} {target}")
        self.headers.append(headers)
        if self.answers:
            return self.answers.pop(0)
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {}, {"message": "Bad credentials"}
        parts = urlsplit(target)
        match = re.fullmatch(
            r"/(?:repos/sample/app|orgs/sample)/hooks(?:/(\d+)(?:/deliveries(?:/(\d+)/attempts)?)?)?",
            parts.path,
        )
        if match is None or (match[1] and int(match[1]) not in self.hooks):
            return 404, {}, {"message": "Not Found"}
        hook_id = int(match[1]) if match[1] else 0
        if match[2]:
            self.redelivered.append(int(match[2]))
            return 202, {}, {}
        if parts.path.endswith("/deliveries"):
            return self._paged(self.attempts, parts.path, parts.query)
        if method == "GET":
            return self._paged(list(self.hooks.values()), parts.path, parts.query)
        if method == "DELETE":
            del self.hooks[hook_id]
            return 204, {}, None
        if method == "POST":
            hook_id = self.add_hook(body["config"]["url"])
        self.hooks[hook_id].update({key: body[key] for key in ("events", "config", "active")})
        return (201 if method == "POST" else 200), {}, self.hooks[hook_id]

    def _paged(self, records: list[dict[str, Any]], path: str, query: str) -> Answer:
        start = int(parse_qs(query).get("cursor", ["0"])[0])
        headers = {}
        if start + self.page < len(records):
            headers["Link"] = (
                f'<{self.url}{path}?cursor=0>; rel="first", <{self.url}{path}?cursor={start + self.page}>; rel="next"'
            )
        return 200, headers, records[start : start + self.page]


@contextmanager
def github_api() -> Iterator[GithubApi]:
    """A `GithubApi` at `url`."""
    api = GithubApi()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            status, headers, answer = api.answer(self.command, self.path, body, dict(self.headers))
            data = (
                answer
                if isinstance(answer, bytes)
                else b""
                if answer is None
                else json.dumps(answer).encode()
            )
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815  (the library's names)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's name)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
