"""Contract files as tests: only when asked, one for each case and variant, told without traceback or secret."""

import sys

import pytest

from tests.plugin.sessions import APP, SECRET, fresh_session, session, text_of

pytest_plugins = ["pytester"]

INI = "[pytest]\nwebhook_contracts = contracts/*.contract.toml\n"

RECEIVER = """
import http.server, sys
sys.path.insert(0, ".")
from webhookctl import verify

class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        secret = sys.argv[2]
        print("hello", secret, flush=True)
        is_right = verify("stripe", self.headers.items(), body, secret=secret).is_ok
        self.send_response(200 if is_right else 400)
        self.end_headers()
        self.wfile.write(secret.encode())

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
"""

CONTRACT = f"""
version = 1

[receiver]
url = "http://127.0.0.1:{{port}}/hooks"
start = ["{sys.executable}", "receiver.py", "{{port}}", "{SECRET}"]

[signer]
provider = "stripe"
secret = "env:SAMPLE_SECRET"

[[cases]]
name = "a right one is taken"
trigger = "charge.refunded"
expect = {{ status = 200 }}

[[cases]]
name = "forgeries are refused"
trigger = "charge.refunded"
forge = ["unsigned", "stale"]
expect = {{ status = 400 }}

[[cases]]
name = "teapot"
trigger = "charge.refunded"
expect = {{ status = 418 }}

[[cases]]
name = "later"
trigger = "charge.refunded"
skip = "not built yet"
"""


@pytest.fixture
def contract(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("SAMPLE_SECRET", SECRET)
    folder = pytester.mkdir("contracts")
    (folder / "receiver.py").write_text(RECEIVER)
    (folder / "stripe.contract.toml").write_text(CONTRACT)
    pytester.makeini(INI)
    return pytester


def test_each_case_and_variant_is_a_test(contract: pytest.Pytester) -> None:
    result = session(contract, "-v", "-rs")
    result.assert_outcomes(passed=3, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "contracts/stripe.contract.toml::a right one is taken PASSED*",
            "contracts/stripe.contract.toml::forgeries are refused [[]unsigned[]] PASSED*",
            "contracts/stripe.contract.toml::forgeries are refused [[]stale[]] PASSED*",
            "contracts/stripe.contract.toml::teapot FAILED*",
            "*not built yet*",
        ]
    )


def test_a_failure_shows_what_was_expected_and_the_exchange_without_secrets(
    contract: pytest.Pytester,
) -> None:
    result = session(contract, "-k", "teapot")
    result.assert_outcomes(failed=1, deselected=4)
    text = text_of(result)
    assert "asked for in contracts/stripe.contract.toml:" in text
    assert "< 200 OK" in text
    assert "hello ****" in text
    assert SECRET not in text
    assert "Traceback" not in text
    assert "contracts.py" not in text


def test_one_case_is_selected_by_its_name(contract: pytest.Pytester) -> None:
    session(contract, "contracts/stripe.contract.toml::forgeries are refused [stale]").assert_outcomes(
        passed=1
    )


def test_contracts_are_left_alone_unless_they_are_asked_for(contract: pytest.Pytester) -> None:
    contract.makeini("[pytest]\n")
    assert session(contract).ret == pytest.ExitCode.NO_TESTS_COLLECTED
    contract.makeini("[pytest]\nwebhook_contracts = other/*.contract.toml /etc/*\n")
    assert session(contract).ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_contract_that_cannot_be_read_is_an_error_with_its_place(contract: pytest.Pytester) -> None:
    path = contract.path / "contracts" / "stripe.contract.toml"
    path.write_text(CONTRACT.replace("[signer]", "[singer]"))
    result = session(contract)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*contracts/stripe.contract.toml:*", "*did you mean*"])
    assert "Traceback" not in text_of(result)
    assert "site-packages" not in text_of(result)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("receiver.py", "missing.py", "*missing.py*"),
        ("env:SAMPLE_SECRET", "env:NOWHERE", "*NOWHERE*"),
        ("charge.refunded", "charge.refnded", "*charge.refnded*"),
    ],
    ids=["receiver", "secret", "event"],
)
def test_what_cannot_begin_is_an_error_of_each_case_in_words(
    contract: pytest.Pytester, old: str, new: str, words: str
) -> None:
    path = contract.path / "contracts" / "stripe.contract.toml"
    path.write_text(CONTRACT.replace(old, new))
    result = session(contract)
    result.assert_outcomes(errors=5)
    result.stdout.fnmatch_lines([words])
    assert "Traceback" not in text_of(result)
    assert "contracts.py" not in text_of(result)


def changed(contract: pytest.Pytester, *changes: tuple[str, str]) -> None:
    """Put other words into receiver and contract."""
    for name in ("receiver.py", "stripe.contract.toml"):
        path = contract.path / "contracts" / name
        text = path.read_text()
        for old, new in changes:
            text = text.replace(old, new)
        path.write_text(text)


def test_a_receiver_that_dies_is_an_error_with_its_last_words(contract: pytest.Pytester) -> None:
    changed(
        contract,
        ("is_right = verify", "sys.exit('dying of ' + secret) or __import__('os')._exit(3)\n        verify"),
    )
    changed(contract, ("sys.exit('dying of ' + secret) or", "print('dying of ' + secret, flush=True) or"))
    result = session(contract, "-k", "taken")
    result.assert_outcomes(failed=1, deselected=4)
    result.stdout.fnmatch_lines(["error: *", "*dying of ****"])
    assert SECRET not in text_of(result)


def test_a_receiver_that_dies_and_does_not_come_back_is_an_error_of_what_follows(
    contract: pytest.Pytester,
) -> None:
    changed(
        contract,
        ("is_right = verify", "open('dead', 'w').close() or __import__('os')._exit(3)\n        verify"),
        (
            "import http.server, sys",
            "import http.server, os, sys\nif os.path.exists('dead'): sys.exit('dead already: ' + sys.argv[2])",
        ),
    )
    result = session(contract)
    result.assert_outcomes(failed=5)
    result.stdout.fnmatch_lines(["error: *", "dead already: ****"])
    assert SECRET not in text_of(result)


def test_what_is_unsure_is_skipped_with_the_reason(contract: pytest.Pytester) -> None:
    contract.makeconftest("import webhookctl.pytest_plugin.contracts as ours\nours._TIMEOUT_S = 0.3")
    changed(contract, ("is_right = verify", "__import__('time').sleep(60)\n        verify"))
    result = session(contract, "-k", "taken", "-rs")
    result.assert_outcomes(skipped=1, deselected=4)
    result.stdout.fnmatch_lines(["SKIPPED * unsure: *"])


def test_a_project_that_cannot_be_read_is_an_error_in_words(contract: pytest.Pytester) -> None:
    (contract.path / "webhookctl.toml").write_text("prot = 3\n")
    result = session(contract)
    result.assert_outcomes(errors=5)
    result.stdout.fnmatch_lines(["error: *unknown setting prot*", "hint: *"])
    assert "Traceback" not in text_of(result)


def test_contracts_and_tests_run_together(contract: pytest.Pytester) -> None:
    contract.makeconftest(APP)
    contract.makepyfile("def test_it(webhook): webhook.send('stripe', 'charge.refunded').assert_accepted()")
    session(contract).assert_outcomes(passed=4, failed=1, skipped=1)


def test_workers_share_no_contract(contract: pytest.Pytester) -> None:
    result = fresh_session(contract, "-p", "xdist", "-n", "2", "--dist", "loadgroup")
    result.assert_outcomes(passed=3, failed=1, skipped=1)


SENDER = """
import sys, urllib.request
from webhookctl import sign

body = b'{"type": "order.paid", "data": {}}'
headers = {"Content-Type": "application/json", **sign("standardwebhooks", body, secret=sys.argv[2], message_id="msg_1")}
urllib.request.urlopen(urllib.request.Request(sys.argv[1], body, headers)).close()
"""
SENDS = f"""
version = 1

[signer]
provider = "standardwebhooks"
secret = "env:SENDER_SECRET"

[[sends]]
name = "an order is told of"
run = ["{sys.executable}", "sender.py", "{{listener.url}}", "SENT_WITH"]
expect = {{ attempts = 1, signature = "valid" }}
"""


@pytest.mark.parametrize(("used", "outcome"), [("right", {"passed": 1}), ("wrong", {"failed": 1})])
def test_what_a_sender_has_to_do_is_a_test_too(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, used: str, outcome: dict[str, int]
) -> None:
    right, wrong = "whsec_c2FtcGxlIHNlY3JldCBvZiBhIHRlc3Q=", "whsec_b3RoZXIgc2VjcmV0IG9mIGEgdGVzdA=="
    monkeypatch.setenv("SENDER_SECRET", right)
    pytester.makeini(INI)
    pytester.makepyfile(sender=SENDER)
    folder = pytester.mkdir("contracts")
    text = SENDS.replace("SENT_WITH", right if used == "right" else wrong).replace(
        "sender.py", "../sender.py"
    )
    (folder / "sender.contract.toml").write_text(text, "utf-8")
    session(pytester).assert_outcomes(**outcome)
