"""`webhookctl doctor`: what would go wrong."""

import os
import socket

import pytest

from tests.cli.commands import Delivery, Project, run


def findings(exit_code: int = 0) -> dict[str, tuple[str, str]]:
    """State and detail by subject; of several lines of a subject the worst."""
    result = run("doctor", "--json")
    assert result.exit_code == exit_code, result.text
    ranked = sorted(
        result.data["findings"], key=lambda finding: ["ok", "warn", "fail"].index(finding["state"])
    )
    return {finding["subject"]: (finding["state"], finding["detail"]) for finding in ranked}


@pytest.fixture
def free_port(project: Project) -> int:
    """A port that the project is configured to listen on, free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
    project.write("webhookctl.toml", f"port = {port}\n")
    return port


def test_a_new_project_is_in_order(project: Project, free_port: int) -> None:
    found = findings()
    assert {state for state, _ in found.values()} == {"ok"}
    assert found["listener"] == ("ok", f"none running; 127.0.0.1 port {free_port} is free")
    assert found["history"][1].startswith("0 deliveries, 0 B, at ")
    assert not (project.folder / ".webhookctl").exists()


def test_the_text_has_a_line_for_each_finding(project: Project, free_port: int) -> None:
    lines = run("doctor").text.splitlines()
    assert len(lines) == len(run("doctor", "--json").data["findings"])
    assert all(line.startswith(("ok    ", "warn  ", "fail  ")) for line in lines)


def test_what_was_recorded_is_counted_with_what_is_not_merged_yet(project: Project) -> None:
    project.record(Delivery(os.urandom(100_000)))
    count, size, _ = findings()["history"][1].split(", ", 2)
    assert (count, size.split()[1]) == ("1 delivery", "kB")
    assert float(size.split()[0]) >= 100


def test_a_port_that_is_taken_is_a_warning(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        project.write("webhookctl.toml", f"port = {port}\n")
        state, detail = findings()["listener"]
    assert state == "warn"
    assert detail.startswith(f"port {port} on 127.0.0.1 cannot be used: ")


def test_a_broken_configuration_is_the_finding_and_not_a_crash(project: Project) -> None:
    project.write("webhookctl.toml", "port = \n")
    state, detail = findings(exit_code=1)["configuration"]
    assert state == "fail"
    assert detail.startswith("webhookctl.toml:1:8: not TOML")


def test_a_provider_that_does_not_exist_is_found(project: Project) -> None:
    project.write("webhookctl.toml", 'provider = "strpe"\n')
    assert findings(exit_code=1)["providers"] == ("fail", "no provider 'strpe' (did you mean stripe?)")


def test_a_secret_of_a_provider_that_does_not_exist_is_a_warning(project: Project) -> None:
    project.write("webhookctl.toml", '[secrets]\nstrpe = "env:SAMPLE"\n')
    assert findings()["providers"][0] == "warn"


def test_a_secret_that_leads_nowhere_is_found(project: Project) -> None:
    project.write("webhookctl.toml", '[secrets]\nstripe = "env:NOT_SET"\n')
    state, detail = findings(exit_code=1)["secrets"]
    assert (state, "NOT_SET" in detail) == ("fail", True)


@pytest.mark.parametrize(("name", "subject"), [(".webhookctl", "state folder"), ("fixtures", "fixtures")])
def test_a_file_in_the_place_of_a_folder_is_found(project: Project, name: str, subject: str) -> None:
    project.write(name, b"")
    state, detail = findings(exit_code=1)[subject]
    assert (state, "is not a folder" in detail) == ("fail", True)


def test_a_folder_that_cannot_be_written_is_found(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    # Tests may run as root, whom no permission stops: the system's answer is replaced.
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = findings(exit_code=1)
    assert (found["state folder"][0], found["fixtures"][0]) == ("fail", "fail")


def test_a_damaged_history_is_found_and_the_rest_is_still_checked(project: Project) -> None:
    project.write(".webhookctl/history.sqlite3", b"no database at all, sorry" * 100)
    found = findings(exit_code=1)
    assert found["history"][0] == "fail"
    assert "listener" in found


def test_a_broken_fixture_is_a_warning(project: Project) -> None:
    project.write("fixtures/stripe/broken.toml", "format = \n")
    result = run("doctor", "--json")
    assert result.exit_code == 0
    states = [(finding["state"], finding["subject"]) for finding in result.data["findings"]]
    assert ("warn", "fixtures") in states


def test_running_listeners_are_named(project: Project) -> None:
    from webhookctl.store.project import ProjectState

    with ProjectState(project.folder).announce("http://127.0.0.1:4999", pid=os.getpid()):
        assert findings()["listener"] == ("ok", f"running at http://127.0.0.1:4999 (process {os.getpid()})")
