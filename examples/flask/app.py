"""A receiver of Standard Webhooks with Flask: checked by the standard's own library, idempotent, quick, in any order.

BROKEN=… makes one of the usual mistakes, so that the contract can show that it finds it.
"""

import json
import os
import sqlite3
import time
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Lock, Thread

from flask import Flask, request
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

CRM_URL = os.environ.get("CRM_URL", "")
BROKEN = os.environ.get("BROKEN", "")

app = Flask(__name__)
webhook = Webhook(os.environ["WEBHOOK_SECRET"])
database = sqlite3.connect(os.environ.get("DATABASE", ":memory:"), check_same_thread=False)
database.executescript("""
CREATE TABLE IF NOT EXISTS message (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS invoice (id TEXT PRIMARY KEY, amount INTEGER, is_void INTEGER DEFAULT 0);
""")
lock = Lock()  # one connection, many threads


@app.post("/webhooks")
def receive() -> tuple[str, int]:
    headers = {name.lower(): value for name, value in request.headers.items()}
    if not is_signed(request.get_data(), headers):
        return "bad signature", 400
    message = json.loads(request.get_data())
    if BROKEN == "too-slow" and message["type"] == "invoice.sent":
        time.sleep(3)  # a PDF that is made before the answer, say
    with lock, database:  # a failure undoes all of it: the next delivery of the message begins anew
        # The table says whether a message is new: two copies at the same moment cannot both be.
        message_id = [headers["webhook-id"]]
        is_new = database.execute("INSERT OR IGNORE INTO message VALUES (?)", message_id).rowcount
        if not is_new and BROKEN != "not-idempotent":
            return "seen before", 200
        take(message["type"], message["data"])
    return "ok", 200


def is_signed(body: bytes, headers: Mapping[str, str]) -> bool:
    if BROKEN == "no-signature-check":
        return True
    if BROKEN == "reserialised":  # looks the same, and is not what was signed
        body = json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()
    if BROKEN == "accepts-stale":
        return is_signed_at_some_time(body, headers)
    try:
        webhook.verify(body, dict(headers))
    except (WebhookVerificationError, ValueError):
        return False
    return True


def is_signed_at_some_time(body: bytes, headers: Mapping[str, str]) -> bool:
    """The mistake of a check by hand that forgets how old the signature is."""
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    return webhook.sign(headers["webhook-id"], at, body.decode()) == headers.get("webhook-signature")


def take(kind: str, invoice: Mapping[str, object]) -> None:
    if kind == "invoice.paid":
        database.execute(
            "INSERT INTO invoice (id, amount) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET amount = excluded.amount",
            [invoice["id"], invoice["amount"]],
        )
        # The sender waits for the answer, not for this.
        Thread(target=tell_crm, args=[invoice], daemon=True).start()
    elif kind == "invoice.voided":
        if BROKEN == "dies-on-reorder":
            database.execute("SELECT amount FROM invoice WHERE id = ?", [invoice["id"]]).fetchone()[0]
        # It may come before the payment: it is remembered until that comes.
        database.execute(
            "INSERT INTO invoice (id, is_void) VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET is_void = 1",
            [invoice["id"]],
        )


@app.get("/invoices/<invoice>")
def show(invoice: str) -> dict[str, object]:
    with lock:
        row = database.execute("SELECT amount, is_void FROM invoice WHERE id = ?", [invoice]).fetchone()
    return {"amount": row[0], "void": bool(row[1])} if row else {}


def tell_crm(invoice: Mapping[str, object]) -> None:
    if CRM_URL:
        data = json.dumps({"invoice": invoice["id"], "amount": invoice["amount"]}).encode()
        call = urllib.request.Request(f"{CRM_URL}/orders", data, {"Content-Type": "application/json"})
        urllib.request.urlopen(call, timeout=5).close()
