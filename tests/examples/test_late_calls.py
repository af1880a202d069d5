"""What an app does behind its answer: a call that belongs to one case is not counted in the next."""

from pathlib import Path

from tests.examples.test_examples import ALL, cases, name, play

SOURCE = """
import json, os, threading, urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer


def tell_crm():
    urllib.request.urlopen(os.environ["CRM"], b"{}").close()


class App(BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if event["type"] == "payment_intent.succeeded":
            threading.Timer(0.1, tell_crm).start()
        self.send_response(200)
        self.end_headers()


HTTPServer(("127.0.0.1", int(os.environ["PORT"])), App).serve_forever()
"""

CONTRACT = """
version = 1
settle = "700ms"
receiver = { url = "http://127.0.0.1:{port}/", start = ["${PYTHON}", "app.py"], env = { CRM = "{crm.url}" } }
signer = { provider = "stripe", secret = "env:STRIPE_WEBHOOK_SECRET" }
mocks = { crm = {} }

[[cases]]
name = "a call that nobody waits for"
trigger = "payment_intent.succeeded"

[[cases]]
name = "nothing is called"
trigger = "invoice.paid"
effects = [{ mock = "crm", count = 0 }]
"""


def test_a_call_behind_the_answer_of_one_case_does_not_spoil_the_next(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SOURCE)
    (tmp_path / "late.contract.toml").write_text(CONTRACT)
    done = play(ALL[0], tmp_path, "late.contract.toml", "--json")
    assert {name(case): case["outcome"] for case in cases(done)} == {
        "a call that nobody waits for": "passed",
        "nothing is called": "passed",
    }, done.stdout
