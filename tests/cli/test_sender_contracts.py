"""Contracts of senders, played by `webhookctl test` against small senders: a good one, and one with each flaw."""

import sys
from pathlib import Path

import pytest

from tests.cli.commands import Project, run
from tests.cli.test_machine_output import validator
from tests.contract.senders import SECRET

SENDER = Path(__file__).parents[1] / "contract" / "senders.py"
CONTRACT = """
version = 1
settle = "50ms"

[signer]
provider = "standardwebhooks"
secret = "env:HOOK_SECRET"

[[sends]]
name = "it tries again, later and later"
within = "30s"
run = ["{python}", "{sender}", "{{listener.url}}", "{flaw}"]
answers = [{{ status = 500 }}, {{ status = 503 }}, {{ status = 500 }}, {{ status = 200 }}]

[sends.expect]
attempts = 4
signature = "valid"
same_id = true
fresh_timestamp = true
backoff = true
headers = {{ content-type = "^application/json" }}
body = {{ type = "order.paid" }}

[[sends]]
name = "it stops when the endpoint is gone"
run = ["{python}", "{sender}", "{{listener.url}}", "{flaw}"]
answers = [{{ status = 410 }}]
quiet = "600ms"
expect = {{ attempts = 1 }}

[[sends]]
name = "it follows no redirect"
run = ["{python}", "{sender}", "{{listener.url}}", "{flaw}"]
answers = [{{ status = 307, headers = {{ Location = "{{listener.url}}/elsewhere" }} }}, {{ status = 200 }}]
quiet = "400ms"
expect = {{ no_redirect_followed = true }}
"""
RETRY, GONE, REDIRECT = (
    "it tries again, later and later",
    "it stops when the endpoint is gone",
    "it follows no redirect",
)


def played(project: Project, flaw: str, *, contract: str = CONTRACT) -> tuple[int, dict[str, list[str]]]:
    """The exit code, and by case what was complained about; cases that passed have nothing."""
    text = contract.format(python=sys.executable, sender=SENDER, flaw=flaw)
    project.write("contracts/sender.contract.toml", text)
    result = run("test", "contracts", "--json", environ={"HOOK_SECRET": SECRET})
    validator("test").validate(result.envelope)
    cases = result.data["cases"]
    assert all(bool(case["complaints"]) == (case["outcome"] == "failed") for case in cases), cases
    return result.exit_code, {
        case["name"]: [complaint["what"] for complaint in case["complaints"]] for case in cases
    }


def test_a_good_sender_passes(project: Project) -> None:
    assert played(project, "") == (0, {RETRY: [], GONE: [], REDIRECT: []})


@pytest.mark.parametrize(
    ("flaw", "case", "complaints"),
    [
        ("unsigned", RETRY, [f"signature of attempt {number}" for number in (1, 2, 3, 4)]),
        ("wrong-secret", RETRY, [f"signature of attempt {number}" for number in (1, 2, 3, 4)]),
        ("new-id", RETRY, ["same_id"]),
        ("no-backoff", RETRY, ["backoff"]),
        ("never-retries", RETRY, ["attempts"]),
        ("no-content-type", RETRY, [f"headers.content-type of attempt {number}" for number in (1, 2, 3, 4)]),
        ("ignores-gone", GONE, ["attempts"]),
        ("follows-redirect", REDIRECT, ["no_redirect_followed"]),
    ],
)
def test_each_flaw_fails_its_own_case_for_its_own_reason(
    project: Project, flaw: str, case: str, complaints: list[str]
) -> None:
    # What never comes need not be waited for long; the others have all the time that a slow machine takes.
    contract = CONTRACT.replace('"30s"', '"1500ms"') if flaw == "never-retries" else CONTRACT
    code, found = played(project, flaw, contract=contract)
    assert code == 1
    assert {name: whats for name, whats in found.items() if whats} == {case: complaints}


def test_an_attempt_that_was_signed_long_ago_fails(project: Project) -> None:
    code, found = played(project, "old-timestamp")
    assert code == 1
    assert "fresh_timestamp" in found[RETRY]


def test_a_command_that_fails_without_sending_is_an_error_with_its_words(project: Project) -> None:
    project.write(
        "contracts/sender.contract.toml",
        f"""version = 1
[[sends]]
name = "nothing comes"
run = ["{sys.executable}", "-c", "raise SystemExit('no database')"]
""",
    )
    result = run("test", "contracts", "--json")
    (case,) = result.data["cases"]
    assert (result.exit_code, case["outcome"]) == (5, "error")
    assert "no database" in case["reason"]


def test_a_sender_that_is_set_off_by_a_call_needs_an_answer_to_it(project: Project) -> None:
    project.write(
        "contracts/sender.contract.toml",
        """version = 1
[[sends]]
name = "nobody is there"
call = { url = "http://127.0.0.1:9/notify", json = { to = "{listener.url}" } }
""",
    )
    result = run("test", "contracts", "--json")
    (case,) = result.data["cases"]
    assert (result.exit_code, case["outcome"]) == (5, "error")
    assert "http://127.0.0.1:9/notify" in case["reason"]


def test_a_call_may_set_off_what_is_received(project: Project) -> None:
    project.write(
        "contracts/sender.contract.toml",
        """version = 1
settle = "20ms"
[[sends]]
name = "an echo"
call = { url = "{listener.url}", json = { ok = true } }
expect = { attempts = 1, exactly = { ok = true }, headers = { content-type = "json" } }
""",
    )
    assert run("test", "contracts").exit_code == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "says neither run nor call"),
        ('run = "x"\ncall = { url = "http://x" }', "says both"),
        ('run = "x"\nexpect = { atempts = 1 }', "did you mean attempts?"),
        ('run = "x"\nexpect = { signature = "any" }', "signature 'any' is not known here"),
        ('run = "x"\nexpect = { attempts = -1 }', "is below 0"),
        ('call = { url = "http://x:y" }', "url"),
        ('run = "x {crm.url}"', "names no mock"),
        ('run = "x"\nskipp = "later"', "did you mean skip?"),
    ],
)
def test_what_is_wrong_is_shown_where_it_is_written(project: Project, line: str, said: str) -> None:
    project.write("contracts/a.contract.toml", f'version = 1\n[[sends]]\nname = "a"\n{line}\n')
    result = run("test", "contracts")
    assert result.exit_code == 2
    assert said in result.errors
    assert "a.contract.toml:" in result.errors


def test_names_are_not_given_twice_and_a_listener_may_have_a_port(project: Project) -> None:
    one = '[[sends]]\nname = "a"\nrun = "x"\n'
    project.write("contracts/a.contract.toml", f"version = 1\n{one}{one}")
    assert "a second case is called 'a'" in run("test", "contracts").errors
    project.write("contracts/a.contract.toml", f"version = 1\nlistener = {{ port = 70000 }}\n{one}")
    assert "is no port" in run("test", "contracts").errors
    project.write("contracts/a.contract.toml", f"version = 1\nparallel = true\n{one}")
    assert "does not go with" in run("test", "contracts").errors


def test_a_started_service_is_told_where_to_send_and_called_by_its_path(project: Project) -> None:
    project.write(
        "service.py",
        """import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.request import Request, urlopen


class Service(BaseHTTPRequestHandler):
    def do_POST(self):
        urlopen(Request(os.environ["HOOK_URL"], self.rfile.read(int(self.headers["content-length"])))).close()
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_):
        pass


HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Service).serve_forever()
""",
    )
    project.write(
        "contracts/sender.contract.toml",
        f"""version = 1
settle = "20ms"
[receiver]
url = "http://127.0.0.1:{{port}}"
start = ["{sys.executable}", "service.py"]
folder = ".."
env = {{ HOOK_URL = "{{listener.url}}" }}
[[sends]]
name = "an order is announced"
call = {{ url = "/orders", json = {{ id = "ord_1" }} }}
expect = {{ attempts = 1, body = {{ id = "ord_1" }} }}
""",
    )
    result = run("test", "contracts")
    assert result.exit_code == 0, result.text


def test_a_secret_that_is_not_there_is_said_before_anything_is_sent(project: Project) -> None:
    text = CONTRACT.format(python=sys.executable, sender=SENDER, flaw="")
    project.write("contracts/sender.contract.toml", text)
    result = run("test", "contracts")
    assert (result.exit_code, "HOOK_SECRET" in result.errors) == (2, True)
    assert "FAILED" not in result.text


def test_no_report_shows_the_secret_that_a_sender_was_given(project: Project) -> None:
    project.write(
        "contracts/sender.contract.toml",
        f"""version = 1
[signer]
provider = "standardwebhooks"
secret = "env:HOOK_SECRET"
[[sends]]
name = "it tells all"
run = ["{sys.executable}", "-c", "import os; raise SystemExit('with ' + os.environ['HOOK_SECRET'])"]
""",
    )
    result = run("test", "contracts", "--json", environ={"HOOK_SECRET": SECRET})
    assert "with ****" in result.data["cases"][0]["reason"]
    assert SECRET not in result.text
