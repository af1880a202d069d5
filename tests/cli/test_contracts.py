"""`webhookctl test` as a user runs it: receivers right and wrong, reports, selection, what it leaves behind."""

import json
import os
import socket
import sys
from datetime import datetime

import pytest

from tests.cli.commands import Project, Result, run
from tests.cli.receivers import CONTRACT, SOURCE
from tests.cli.test_machine_output import validator
from tests.processes import is_alive

SECRET = "whsec_a_secret_of_the_tests"


@pytest.fixture
def shop(project: Project) -> Project:
    """A project with a receiver and its contract."""
    project.write("receiver.py", SOURCE)
    with_fault(project, "")
    return project


def with_fault(project: Project, fault: str, text: str = CONTRACT) -> None:
    text = text.replace("PYTHON", sys.executable).replace('"receiver.py"', '"../receiver.py"')
    project.write("contracts/shop.contract.toml", text.replace("FAULT", fault))


def play(*arguments: str) -> Result:
    return run("test", *arguments, environ={"STRIPE_WEBHOOK_SECRET": SECRET})


def outcomes(result: Result) -> dict[str, str]:
    """Each result's verdict by its name; the envelope fits its schema."""
    validator("test").validate(result.envelope)
    return {
        case["name"] + (f" [{case['variant']}]" if case["variant"] else ""): case["outcome"]
        for case in result.data["cases"]
    }


def assert_nothing_runs(project: Project) -> None:
    for path in (project.folder / "contracts").glob("pid-*"):
        assert not is_alive(path.name.removeprefix("pid-"))


def test_a_right_receiver_passes_and_is_ended(shop: Project) -> None:
    result = play()
    assert (result.exit_code, result.errors) == (0, "")
    lines = result.text.splitlines()
    assert lines[0] == "contracts/shop.contract.toml"
    assert [line.split("  ")[1:3] for line in lines[1:5]] == [
        ["passed", "paid once"],
        ["passed", "forged [unsigned]"],
        ["passed", "forged [reserialised]"],
        ["passed", "forged [stale]"],
    ]
    assert lines[5].startswith("4 passed in ")
    assert list((shop.folder / "contracts").glob("pid-*"))
    assert_nothing_runs(shop)
    assert not (shop.folder / ".webhookctl" / "last-failed.json").exists()


@pytest.mark.parametrize(
    ("fault", "failing"),
    [
        ("unchecked", {"forged [unsigned]", "forged [reserialised]", "forged [stale]"}),
        ("stale", {"forged [stale]"}),
        ("twice", {"paid once"}),
        ("slow", {"paid once", "forged [unsigned]", "forged [reserialised]", "forged [stale]"}),
    ],
)
def test_a_wrong_receiver_fails_exactly_where_it_is_wrong(
    shop: Project, fault: str, failing: set[str]
) -> None:
    with_fault(shop, fault)
    result = play("--json")
    found = outcomes(result)
    assert {name for name, outcome in found.items() if outcome == "failed"} == failing
    assert set(found.values()) <= {"failed", "passed"}
    assert result.exit_code == 1
    assert_nothing_runs(shop)


def test_a_receiver_that_parses_before_it_checks_fails_where_the_layout_counts(shop: Project) -> None:
    with_fault(shop, "reserialised")
    found = outcomes(play("--json"))
    assert found["paid once"] == "failed"  # its own layout is not the provider's
    assert found["forged [unsigned]"] == "passed"


def test_a_failure_shows_expectation_place_output_and_how_to_play_it_again(shop: Project) -> None:
    with_fault(shop, "twice")
    text = play("-k", "paid").text
    assert "mock crm: was called 3 times" in text
    assert "expected once, received 3 times" in text
    assert "asked for in contracts/shop.contract.toml:23" in text
    assert "| got " in text
    (again,) = [line.partition("again: webhookctl ")[2] for line in text.splitlines() if "again: " in line]
    assert again == "test contracts/shop.contract.toml --case 'paid once'"


@pytest.mark.parametrize(
    ("fault", "words", "output"),
    [
        ("dies", "ended with exit code 3", "got "),
        ("megabytes", "ended with exit code 1 before it was ready", "no database"),
        ("never", "was not ready within 0.5 s", "waiting for a database"),
    ],
)
def test_a_receiver_that_cannot_be_tested_is_an_error_with_its_last_output(
    shop: Project, fault: str, words: str, output: str
) -> None:
    with_fault(
        shop, fault, CONTRACT.replace('within = "10s"', 'within = "500ms"') if fault == "never" else CONTRACT
    )
    result = play("--json")
    assert set(outcomes(result).values()) == {"error"}
    assert result.exit_code == 5
    for case in result.data["cases"]:
        assert words in case["reason"]
        assert output in case["output"]
        assert len(case["output"]) < 70_000
    assert SECRET not in result.text
    assert_nothing_runs(shop)


def test_a_receiver_that_hangs_fails_its_time_limit_or_leaves_it_unsure(shop: Project) -> None:
    with_fault(shop, "hangs")
    assert outcomes(play("--json", "--timeout", "1s", "-k", "paid")) == {"paid once": "failed"}
    with_fault(shop, "hangs", CONTRACT.replace('within = "300ms"\n', ""))
    result = play("--json", "--timeout", "1s", "-k", "unsigned")
    assert outcomes(result) == {"forged [unsigned]": "unsure"}
    assert result.exit_code == 0
    assert play("--timeout", "1s", "-k", "unsigned", "--strict").exit_code == 1
    assert_nothing_runs(shop)


def test_a_receiver_that_ignores_sigterm_or_forks_away_is_ended_all_the_same(shop: Project) -> None:
    for fault in ("stubborn", "forks"):
        with_fault(shop, fault)
        play("-k", "unsigned")
        assert_nothing_runs(shop)
    stray = (shop.folder / "contracts" / "stray").read_text()
    assert not is_alive(stray)


def test_a_port_that_is_taken_is_an_error_that_says_so(shop: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with_fault(shop, "", CONTRACT.replace("{port}", str(port)))
        result = play()
    assert result.exit_code == 5
    assert f"port {port} is taken" in result.text


def test_a_receiver_with_a_port_of_its_own_is_started_on_it(shop: Project) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with_fault(shop, "", CONTRACT.replace("{port}", str(port)))
    assert play().exit_code == 0


def test_a_receiver_that_is_not_there_is_unreachable(shop: Project) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    result = play("--to", f"http://127.0.0.1:{port}/hooks", "-x", "--json")
    assert (result.exit_code, set(outcomes(result).values())) == (5, {"error"})
    assert "it refuses connections" in result.data["cases"][0]["reason"]
    assert len(result.data["cases"]) == 1
    assert f"--to http://127.0.0.1:{port}/hooks" in result.data["cases"][0]["reproduction"]


def test_cases_are_selected_by_words_names_and_what_failed_last(shop: Project) -> None:
    everything = play("--list").text.splitlines()
    assert everything[0] == "contracts/shop.contract.toml::paid once"
    assert len(everything) == 4
    assert play("--list", "-k", "forged and not stale").text.splitlines() == everything[1:3]
    assert play("--list", "--case", "forged").text.splitlines() == everything[1:]
    assert play("--list", "--case", "forged [stale]").text.splitlines() == everything[3:]
    assert play("--list", "--last-failed").text.splitlines() == everything
    with_fault(shop, "stale")
    assert play().exit_code == 1
    assert play("--list", "--last-failed").text.splitlines() == everything[3:]
    with_fault(shop, "")
    assert "1 passed" in play("--last-failed").text
    assert play("--list", "--last-failed").text.splitlines() == everything


def test_the_list_is_json_too(shop: Project) -> None:
    result = play("--list", "--json")
    validator("test").validate(result.envelope)
    last = result.data["cases"][-1]
    assert (last["name"], last["variant"], last["contract"], last["line"]) == (
        "forged",
        "stale",
        "contracts/shop.contract.toml",
        31,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("-k", "nothing-like-it"), 4, "no case is selected"),
        (("-k", "(paid"), 2, "a bracket is not closed"),
        (("nothing",), 4, "no fixture is called nothing"),
        (("gone.contract.toml",), 2, "gone.contract.toml cannot be read"),
        (("--report", "xml"), 2, "there is no report 'xml'"),
        (("--report", "tap", "--report", "md"), 2, "cannot both go to stdout"),
        (("--report", "junit="), 2, "no file is named"),
        (("--watch", "--report", "tap"), 2, "--watch is for people"),
        (("--timeout", "soon"), 2, "soon"),
        (("--to", "ftp://example.com"), 2, "ftp"),
        (("--to", "http://example.com"), 2, "somebody's host"),
        (("--secret", "env:NO_SUCH_VARIABLE"), 2, "NO_SUCH_VARIABLE"),
        (("--provider", "strip"), 2, "strip"),
    ],
)
def test_what_cannot_be_played_is_one_error(
    shop: Project, arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = play(*arguments)
    assert (result.exit_code, result.stdout) == (code, b"")
    assert result.errors.startswith("error: ")
    assert words in result.errors


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("settle", "settel", 2, "3:1: settel is not known here"),
        ('trigger = "payment', 'send = "payment', 4, "contract.toml:18: no fixture is called"),
        ("payment_intent.succeeded", "payment_intent.suceeded", 2, "no forgeable event"),
        ('provider = "stripe"', 'provider = "strip"', 2, "strip"),
        ("env:STRIPE_WEBHOOK_SECRET", "env:NO_SUCH_VARIABLE", 2, "NO_SUCH_VARIABLE"),
    ],
)
def test_a_contract_that_is_wrong_plays_nothing(
    shop: Project, old: str, new: str, code: int, words: str
) -> None:
    with_fault(shop, "", CONTRACT.replace(old, new))
    result = play()
    assert (result.exit_code, result.stdout) == (code, b"")
    assert words in result.errors
    assert not list((shop.folder / "contracts").glob("pid-*"))


def test_unreadable_contracts_are_told(shop: Project) -> None:
    shop.write("large.contract.toml", b"# " + b"x" * 1024 * 1024)
    assert "larger than 1 MiB" in play("large.contract.toml").errors
    (shop.folder / "folder.contract.toml").mkdir()
    assert "is no plain file" in play("folder.contract.toml").errors
    os.mkfifo(shop.folder / "pipe.contract.toml")
    assert "is no plain file" in play("pipe.contract.toml").errors


def test_answers_are_saved_and_compared(shop: Project) -> None:
    text = CONTRACT.replace(
        'name = "paid once"\n', 'name = "paid once"\nsnapshot = true\nunstable = ["id"]\n'
    )
    with_fault(shop, "", text)
    assert "webhookctl test --update" in play("-k", "paid").text
    assert play("-k", "paid", "--update").exit_code == 0
    path = shop.folder / "contracts" / "shop.snapshots.json"
    saved = json.loads(path.read_text())
    assert saved["cases"]["paid once"][0]["body"] == {"received": True}
    assert play("-k", "paid").exit_code == 0
    path.write_text(path.read_text().replace("true", "false"))
    result = play("-k", "paid")
    assert (result.exit_code, "snapshot[0].body.received: is another" in result.text) == (1, True)
    path.write_text("{")
    assert "is no snapshot" in play("-k", "paid").text
    path.unlink()
    path.mkdir()
    assert play("-k", "paid").exit_code == 5


def test_everything_is_played_again_and_again_with_fresh_ids(shop: Project) -> None:
    result = play("--repeat", "3", "-k", "paid", "--json")
    assert [case["outcome"] for case in result.data["cases"]] == ["passed"] * 3
    ids = {json.loads(case["deliveries"][0]["request"]["body_text"])["id"] for case in result.data["cases"]}
    assert len(ids) == 3


def test_files_and_their_parallel_cases_are_played_at_once(shop: Project) -> None:
    text = CONTRACT.replace("[mocks.crm]\n", "").replace('env = { CRM = "{crm.url}" }\n', "")
    cases = '[[cases]]\nname = "%s"\ntrigger = "payment_intent.succeeded"\n'
    head = (
        text.partition("[[cases]]")[0]
        .replace("version = 1", "version = 1\nparallel = true")
        .replace("300ms", "5s")
    )
    with_fault(shop, "slow", head + "".join(cases % f"case {number}" for number in range(6)))
    shop.write(
        "contracts/other.contract.toml", (shop.folder / "contracts" / "shop.contract.toml").read_text()
    )
    result = play("-j", "6", "--json")
    assert result.exit_code == 0
    names = [case["name"] for case in result.data["cases"]]
    assert names == [f"case {number}" for number in range(6)] * 2
    begun = sorted((case["started_at"], case["duration_s"]) for case in result.data["cases"])
    first, last = datetime.fromisoformat(begun[0][0]), datetime.fromisoformat(begun[-1][0])
    assert (last - first).total_seconds() < sum(duration_s for _, duration_s in begun[:6])


def test_fixtures_alone_are_tested_within_the_provider_s_limit(shop: Project) -> None:
    with_fault(shop, "", CONTRACT.replace("trigger =", "skip = 'a receiver for others'\ntrigger ="))
    body = b'{"id":"evt_1","type":"invoice.paid","data":{"object":{"id":"in_1"}}}'
    for name, more in (
        ("paid", ""),
        ("refused", "[expect]\nstatus = 201\n"),
        ("odd", "[expect]\nstatsu = 201\n"),
    ):
        shop.write(f"fixtures/stripe/{name}.body.json", body)
        shop.write(
            f"fixtures/stripe/{name}.toml",
            'format = 1\nprovider = "stripe"\nevent = "invoice.paid"\ndelivery_id = "evt_1"\n'
            '[request]\nmethod = "POST"\n'
            'target = "/"\nheaders = [["Content-Type", "application/json"], ["Stripe-Signature", "{resign}"]]\n'
            f'body = "{name}.body.json"\nbody_recipe = "raw"\n{more}',
        )
    broken = play("fixtures/stripe", "--to", "http://127.0.0.1:1/")
    assert (broken.exit_code, "statsu is not known here" in broken.errors) == (4, True)
    (shop.folder / "fixtures/stripe/odd.toml").unlink()
    with_fault(shop, "")
    text = CONTRACT.partition("[[cases]]")[0]
    with_fault(
        shop,
        "",
        text
        + "".join(f'[[cases]]\nname = "{name}"\nsend = "stripe/{name}"\n' for name in ("paid", "refused")),
    )
    result = play("--json")
    assert outcomes(result) == {"paid": "passed", "refused": "passed"}
    first, second = (
        json.loads(case["deliveries"][0]["request"]["body_text"]) for case in result.data["cases"]
    )
    assert first["id"] != second["id"] != "evt_1"
    named = play("fixtures/stripe", "--to", "http://127.0.0.1:1/", "--list").text.splitlines()
    assert named == [f"fixtures/stripe::fixtures/stripe/{name}.toml" for name in ("paid", "refused")]


def test_reports_are_written_beside_what_is_shown_and_hold_no_secret(shop: Project) -> None:
    with_fault(shop, "dies")
    formats = ["json", "ndjson", "junit", "tap", "md", "html", "github"]
    result = play(*(word for name in formats for word in ("--report", f"{name}=out/{name}")))
    assert "4 error" in result.text
    for name in formats:
        text = (shop.folder / "out" / name).read_text()
        assert "paid once" in text
        assert SECRET not in text
    lines = (shop.folder / "out" / "ndjson").read_text().splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["case.finished"] * 4 + ["run.finished"]
    assert [json.loads(line)["type"] for line in play("--report", "ndjson").text.splitlines()][
        -1
    ] == "run.finished"
    assert play("--report", "tap").text.startswith("TAP version")
    assert play("--report", "junit=receiver.py/x").errors.startswith("error: the report receiver.py/x")


def test_under_github_annotations_and_the_summary_come_by_themselves(shop: Project) -> None:
    with_fault(shop, "stale")
    summary = shop.folder / "summary.md"
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary), "STRIPE_WEBHOOK_SECRET": SECRET}
    result = run("test", environ=environ)
    assert "::error " in result.text
    assert "file=contracts/shop.contract.toml," in result.text
    assert "forged" in summary.read_text()


def test_trigger_attacks_and_says_whether_it_was_refused(shop: Project) -> None:
    import subprocess

    for fault, code, words in (
        ("", 0, "tampered: refused, as it has to be"),
        ("unchecked", 1, "tampered: not refused"),
    ):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environ = {**os.environ, "PORT": str(port), "STRIPE_WEBHOOK_SECRET": SECRET}
        with subprocess.Popen(
            [sys.executable, "receiver.py", fault], env=environ, stdout=subprocess.PIPE, cwd=shop.folder
        ) as receiver:
            assert receiver.stdout is not None
            receiver.stdout.readline()
            try:
                result = run(
                    "trigger", "payment_intent.succeeded", "--attack", "tampered", "--to", str(port),
                    environ={"STRIPE_WEBHOOK_SECRET": SECRET},
                )  # fmt: skip
                replayed = run(
                    "trigger", "payment_intent.succeeded", "--attack", "replayed", "--to", str(port), "--json",
                    environ={"STRIPE_WEBHOOK_SECRET": SECRET},
                )  # fmt: skip
            finally:
                receiver.kill()
        assert (result.exit_code, words in result.text) == (code, True)
        bodies = [attempt["request"]["body_b64"] for attempt in replayed.data["attempts"]]
        assert (len(bodies), len(set(bodies)), replayed.exit_code) == (2, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--attack", "tamperd"), "did you mean tampered?"),
        (("--attack", "tampered", "--to", "http://example.com"), "--i-own-this-host"),
        (("--attack", "future", "--to", "1"), "does not refuse timestamps of the future"),
    ],
)
def test_an_attack_that_cannot_be_made_is_one_error(
    shop: Project, arguments: tuple[str, ...], words: str
) -> None:
    result = run("trigger", "payment_intent.succeeded", *arguments)
    assert (result.exit_code, result.stdout) == (2, b"")
    assert words in result.errors
