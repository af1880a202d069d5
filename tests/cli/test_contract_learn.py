"""`webhookctl contract learn` against receivers that run for real, and `webhookctl drift` with what it wrote."""

import json
import sys
from pathlib import Path

import pytest

from tests.cli.commands import Delivery, Project, Result, run
from tests.cli.test_machine_output import validator
from webhookctl import WebhookServer

# Reads id, type, data.object.id and data.object.amount of a payment; tells the CRM of it.
RECEIVER = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.request import Request, urlopen

class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            event["id"]
            if event["type"] == "payment_intent.succeeded":
                paid = event["data"]["object"]
                order = {"payment": paid["id"], "amount": paid["amount"] + 0}
                urlopen(Request(os.environ["CRM"] + "/orders", json.dumps(order).encode())).close()
            status = 200
        except (KeyError, TypeError):
            status = 500
        self.send_response(status)
        self.end_headers()
    def log_message(self, *_):
        pass

HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Receiver).serve_forever()
"""
CONTRACT = """# Reviewed by us.
version = 1
settle = "50ms"

[receiver]
url = "http://127.0.0.1:{port}/hooks"
start = ["PYTHON", "receiver.py"]
folder = ".."
env = { CRM = "{crm.url}" }

[signer]
provider = "stripe"

[mocks.crm]

[[cases]]
name = "a payment reaches the CRM"
trigger = "payment_intent.succeeded"
"""
READS = {"id": "string", "type": "string", "data.object.id": "string", "data.object.amount": "integer"}
EVENT = {
    "id": "evt_1",
    "type": "payment_intent.succeeded",
    "data": {"object": {"id": "pi_1", "amount": 5, "note": "x"}},
}


@pytest.fixture
def contract(project: Project) -> Path:
    project.write("receiver.py", RECEIVER)
    return project.write("contracts/crm.contract.toml", CONTRACT.replace("PYTHON", sys.executable))


def test_exactly_the_fields_that_the_source_reads_are_found_and_written(
    project: Project, contract: Path
) -> None:
    result = run("contract", "learn", "contracts/crm.contract.toml", "--write", "--json")
    assert result.exit_code == 0, result.errors
    validator("contract-learn").validate(result.envelope)
    assert result.data["reads"] == {"payment_intent.succeeded": READS}
    text = contract.read_text()
    assert text.startswith(CONTRACT.replace("PYTHON", sys.executable))
    assert '"data.object.amount" = "integer"' in text
    assert run("test", "contracts").exit_code == 0  # it is still a contract

    def drifted(**changes: object) -> Result:
        event = {**EVENT, "data": {"object": {**EVENT["data"]["object"], **changes}}}  # type: ignore[index]  # a table
        project.record(
            Delivery(json.dumps(EVENT).encode(), event="payment_intent.succeeded"),
            Delivery(json.dumps(event).encode(), event="payment_intent.succeeded"),
        )
        return run("drift", "history", "--contract", "contracts/crm.contract.toml", "--json")

    unread = drifted(note=None, brand_new=1)
    assert (unread.exit_code, unread.data["events"][0]["findings"]) == (0, [])
    broken = drifted(amount="5.00")
    validator("drift").validate(broken.envelope)
    (finding,) = broken.data["events"][0]["findings"]
    assert (broken.exit_code, finding["path"], finding["first"]) == (1, "data.object.amount", "#4")


def test_what_is_read_is_printed_as_toml_and_told_of_on_stderr(project: Project, contract: Path) -> None:
    before = contract.read_bytes()
    result = run("contract", "learn", "payment_intent.succeeded", "--contract", "contracts/crm.contract.toml")
    assert result.exit_code == 0
    assert result.text.startswith('[reads."payment_intent.succeeded"]\n')
    assert "removed: 500 instead of 200" in result.errors
    assert "4 of 69 paths are read" in result.errors
    assert contract.read_bytes() == before


def test_a_limit_on_requests_is_kept_and_said(project: Project, contract: Path) -> None:
    result = run("contract", "learn", "--contract", "contracts/crm.contract.toml", "--max-requests", "20")
    assert "paths not tried: --max-requests was reached" in result.errors


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["payment_intent.succeeded", "--to", "http://example.com/x"], 2, "--i-own-this-host"),
        (["payment_intent.succeeded", "--to", "http://127.0.0.1:9"], 5, "not accepted as it is"),
        (["payment_intent.suceeded", "--to", "http://127.0.0.1:9"], 4, "hint:"),
        (["--to", "http://127.0.0.1:9"], 2, "no delivery to learn from"),
        (["a.contract.toml", "b.contract.toml"], 2, "one contract at a time"),
        (["a.contract.toml", "--contract", "b.contract.toml"], 2, "one contract at a time"),
        (["x", "--write"], 2, "--contract FILE"),
        (["--contract", "none.contract.toml"], 2, "cannot be read"),
        (["payment_intent.succeeded"], 2, "no listener runs"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_with_a_hint(
    project: Project, arguments: list[str], code: int, said: str
) -> None:
    result = run("contract", "learn", *arguments)
    assert (result.exit_code, said in result.errors) == (code, True), result.errors
    assert "Traceback" not in result.errors


def test_every_delivery_has_to_be_accepted_before_the_first_is_studied(project: Project) -> None:
    with WebhookServer() as receiver:
        receiver.answer(500, match=lambda received: received.json()["type"] == "charge.refunded")
        events = ("payment_intent.succeeded", "charge.refunded")
        result = run("contract", "learn", *events, "--to", receiver.url)
        assert (result.exit_code, "charge.refunded is not accepted as it is" in result.errors) == (5, True)
        assert [each.json()["type"] for each in receiver.received] == list(events)


def test_reads_that_cannot_be_written_leave_the_file_as_it_was(project: Project, contract: Path) -> None:
    text = contract.read_text().replace(
        "[receiver]", 'reads = { "payment_intent.succeeded" = { id = "string" } }\n[receiver]'
    )
    contract.write_text(text)
    result = run("contract", "learn", "--contract", "contracts/crm.contract.toml", "--write")
    assert (result.exit_code, "no table of their own" in result.errors) == (2, True)
    assert contract.read_text() == text
    assert [path.name for path in contract.parent.iterdir()] == [contract.name]


def test_a_provider_that_nobody_knows_is_learned_from_without_a_signature(project: Project) -> None:
    project.write("receiver.py", RECEIVER)
    toml = 'format = 1\nprovider = "acme"\nevent = "order"\n[request]\nmethod = "POST"\ntarget = "/"\n'
    project.write("fixtures/acme/order.toml", toml + 'body = "order.body.json"\nbody_recipe = "raw"\n')
    project.write("fixtures/acme/order.body.json", '{"id": "1", "type": "order", "note": null}')
    contract = CONTRACT.replace("PYTHON", sys.executable).replace('[signer]\nprovider = "stripe"\n', "")
    project.write("contracts/crm.contract.toml", contract)
    result = run("contract", "learn", "acme/order", "--contract", "contracts/crm.contract.toml")
    assert result.exit_code == 0, result.errors
    assert result.text == '[reads.order]\nid = "string"\ntype = "string"\n'
