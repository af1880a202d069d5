"""A receiver of GitHub's webhooks with Django in one file: checked by hand, idempotent, quick, in any order.

BROKEN=… makes one of the usual mistakes, so that the contract can show that it finds it.
"""

import hashlib
import hmac
import json
import os
import sqlite3
import sys
import time
import urllib.request
from collections.abc import Mapping
from threading import Lock, Thread

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

SECRET = os.environ["GITHUB_WEBHOOK_SECRET"].encode()
TRACKER_URL = os.environ.get("TRACKER_URL", "")
BROKEN = os.environ.get("BROKEN", "")

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    SECRET_KEY="an example",
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"shown": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["shown"]},
    },
)
database = sqlite3.connect(os.environ.get("DATABASE", ":memory:"), check_same_thread=False)
database.executescript("""
CREATE TABLE IF NOT EXISTS delivery (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS pull (number INTEGER PRIMARY KEY, title TEXT, is_closed INTEGER DEFAULT 0);
""")
lock = Lock()  # one connection, many threads


@csrf_exempt  # a webhook has no session: its signature is its proof
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    if not is_signed(request.body, request.headers.get("X-Hub-Signature-256", "")):
        return HttpResponse("bad signature", status=401)
    event, payload = request.headers.get("X-GitHub-Event", ""), json.loads(request.body)
    if BROKEN == "too-slow" and event == "push":
        time.sleep(3)  # a build that is done before the answer, say
    with lock, database:  # a failure undoes all of it: the next delivery begins anew
        # The table says whether a delivery is new: two copies at the same moment cannot both be.
        delivery = [request.headers["X-GitHub-Delivery"]]
        is_new = database.execute("INSERT OR IGNORE INTO delivery VALUES (?)", delivery).rowcount
        if not is_new and BROKEN != "not-idempotent":
            return HttpResponse("seen before")
        if event == "pull_request":
            take(payload["action"], payload["pull_request"])
    return HttpResponse("ok")


def is_signed(body: bytes, header: str) -> bool:
    if BROKEN == "no-signature-check":
        return True
    if BROKEN == "reserialised":  # looks the same, and is not what was signed
        body = json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()
    right = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(right.encode(), header.encode())


def take(action: str, pull: Mapping[str, object]) -> None:
    if action == "opened":
        database.execute(
            "INSERT INTO pull (number, title) VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET title = excluded.title",
            [pull["number"], pull["title"]],
        )
        # GitHub waits for the answer, not for this.
        Thread(target=tell_tracker, args=[pull["number"]], daemon=True).start()
    elif action == "closed":
        if BROKEN == "dies-on-reorder":
            database.execute("SELECT title FROM pull WHERE number = ?", [pull["number"]]).fetchone()[0]
        # It may come before it was opened: that is remembered.
        database.execute(
            "INSERT INTO pull (number, is_closed) VALUES (?, 1) ON CONFLICT (number) DO UPDATE SET is_closed = 1",
            [pull["number"]],
        )


def show(request: HttpRequest, number: int) -> JsonResponse:
    with lock:
        row = database.execute("SELECT title, is_closed FROM pull WHERE number = ?", [number]).fetchone()
    return JsonResponse({"title": row[0], "closed": bool(row[1])} if row else {})


def tell_tracker(number: object) -> None:
    if TRACKER_URL:
        data = json.dumps({"pull": number}).encode()
        call = urllib.request.Request(f"{TRACKER_URL}/pulls", data, {"Content-Type": "application/json"})
        urllib.request.urlopen(call, timeout=5).close()


urlpatterns = [path("webhooks/github", receive), path("pulls/<int:number>", show)]

if __name__ == "__main__":
    address = f"127.0.0.1:{sys.argv[1]}"
    execute_from_command_line([sys.argv[0], "runserver", "--noreload", "--skip-checks", address])
