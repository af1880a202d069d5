"""`webhookctl fixtures`: list, show, lint, fmt, save."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import Delivery, Project, run
from webhookctl.model import Verdict, VerdictKind

BODY = b'{"id": "evt_1", "type": "invoice.paid", "amount": 1}'
FORM = Delivery(
    b"line one\r\nline two\r\n",
    ((b"Content-Type", b"text/plain"),),
    None,
    None,
    Verdict(VerdictKind.UNKNOWN_SCHEME, None, "no provider recognised"),
)


@pytest.fixture
def saved(project: Project) -> Project:
    """Two fixtures: stripe/invoice.paid, and a text of an unknown sender."""
    project.record(Delivery(BODY, ((b"Stripe-Signature", b"t=1,v1=00"),)), FORM)
    for target in ("#1", "#2"):
        assert run("fixtures", "save", target).exit_code == 0
    return project


def fixture_files(project: Project) -> dict[str, bytes]:
    root = project.folder / "fixtures"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def body_file(project: Project, ending: str) -> Path:
    [path] = (project.folder / "fixtures").rglob(f"*.body.{ending}")
    return path


def test_save_writes_a_pair_of_files_and_prints_the_path(project: Project) -> None:
    project.record(Delivery(BODY))
    result = run("fixtures", "save", "#1")
    assert (result.exit_code, result.errors) == (0, "")
    path = project.folder / "fixtures/stripe/invoice.paid.toml"
    assert result.text == f"{path}\n"
    assert path.is_file()
    assert path.with_name("invoice.paid.body.json").is_file()


def test_save_takes_a_name_and_never_overwrites(project: Project) -> None:
    project.record(Delivery(BODY))
    names = [Path(run("fixtures", "save", "last", "Card declined").text.strip()).stem for _ in range(2)]
    assert names == ["Card-declined", "Card-declined-2"]
    assert json.loads(run("fixtures", "save", "1", "x", "--json").stdout)["data"]["path"].endswith(
        "/stripe/x.toml"
    )


def test_a_name_cannot_lead_out_of_the_folder(project: Project) -> None:
    project.record(Delivery(BODY))
    path = Path(run("fixtures", "save", "1", "../../../outside").text.strip())
    assert path.parent == project.folder / "fixtures" / "stripe"


def test_save_redacts_unless_it_is_told_not_to(project: Project) -> None:
    project.record(Delivery(BODY, ((b"Authorization", b"Bearer sample-token"),)))
    run("fixtures", "save", "1", "redacted")
    run("fixtures", "save", "1", "whole", "--keep-secrets")
    files = fixture_files(project)
    assert b"sample-token" not in files["stripe/redacted.toml"]
    assert b"sample-token" in files["stripe/whole.toml"]


@pytest.mark.parametrize("target", ["invoice.paid", "x", ""])
def test_only_deliveries_are_saved(project: Project, target: str) -> None:
    result = run("fixtures", "save", target)
    assert (result.exit_code, result.errors.splitlines()[0]) == (2, f"error: {target!r} is no delivery")


def test_list_shows_name_size_and_state(saved: Project) -> None:
    lines = [(line.split()[0], line.split()[3:]) for line in run("fixtures", "list").text.splitlines()]
    assert lines == [("stripe/invoice.paid", ["52", "B"]), ("unknown/post-hooks", ["20", "B"])]
    body_file(saved, "json").write_text('{"edited": true}\n')
    assert run("fixtures", "list").text.splitlines()[0].endswith("  edited")


def test_a_broken_fixture_is_listed_with_its_problem(saved: Project) -> None:
    (saved.folder / "fixtures/stripe/invoice.paid.toml").write_text("format = \n")
    result = run("fixtures", "list")
    assert result.exit_code == 0
    assert "stripe/invoice.paid  " in result.text
    assert "  broken: " in result.text
    [first, second] = run("fixtures", "list", "--json").data["fixtures"]
    assert (first["name"], second["problem"]) == ("stripe/invoice.paid", None)
    assert "invoice.paid.toml" in first["problem"]


def test_a_project_without_fixtures_is_told_how_to_get_some(project: Project) -> None:
    result = run("fixtures", "list")
    assert (result.exit_code, result.stdout) == (0, b"")
    assert result.errors.startswith("no fixtures yet: `webhookctl listen` saves them")


@pytest.mark.parametrize("command", ["list", "lint", "fmt"])
def test_a_folder_that_was_named_has_to_be_there(project: Project, command: str) -> None:
    result = run("fixtures", command, "--fixtures", "nowhere")
    assert (result.exit_code, result.stdout) == (2, b"")
    assert result.errors == "error: there is no folder nowhere\nhint: check --fixtures\n"


def test_another_folder_can_be_named(saved: Project) -> None:
    (saved.folder / "fixtures").rename(saved.folder / "elsewhere")
    assert run("fixtures", "list").stdout == b""
    assert len(run("fixtures", "list", "--fixtures", "elsewhere").text.splitlines()) == 2


def test_show_has_the_request_as_it_is_saved(saved: Project) -> None:
    text = run("fixtures", "show", "invoice.paid").text
    assert text.startswith("stripe  invoice.paid\nsig ok\n\nPOST /hooks\nStripe-Signature: {resign}\n\n{\n")


def test_show_writes_the_exact_wire_body(saved: Project) -> None:
    assert run("fixtures", "show", "stripe/invoice.paid", "--body").stdout == BODY
    assert run("fixtures", "show", "post-hooks", "--body").stdout == FORM.body
    assert body_file(saved, "json").read_bytes() != BODY  # in its file it is laid out to be read


def test_show_takes_one_fixture(saved: Project) -> None:
    several = run("fixtures", "show", "*")
    assert (several.exit_code, several.stdout) == (4, b"")
    assert several.errors.startswith("error: * is 2 fixtures\nhint: for example ")
    misspelt = run("fixtures", "show", "invoice.payed")
    assert (misspelt.exit_code, misspelt.errors) == (
        4,
        "error: no fixture is called invoice.payed\nhint: did you mean stripe/invoice.paid?\n",
    )


def test_lint_is_content_with_what_save_wrote(saved: Project) -> None:
    result = run("fixtures", "lint")
    assert (result.exit_code, result.stdout) == (0, b"")
    assert result.errors == "2 fixtures checked, 0 problems\n"


def test_lint_takes_an_edited_body_as_meant(saved: Project) -> None:
    path = body_file(saved, "json")
    path.write_text(path.read_text().replace("1", "2"))
    assert run("fixtures", "lint").exit_code == 0


def test_lint_finds_converted_line_ends(saved: Project) -> None:
    path = body_file(saved, "txt")
    path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))
    result = run("fixtures", "lint")
    assert result.exit_code == 4
    assert "line end" in result.text
    assert ".gitattributes" in result.text.splitlines()[1]
    assert result.errors == "2 fixtures checked, 1 problem\n"
    [problem] = run("fixtures", "lint", "--json").data["problems"]
    assert problem["code"] == "fixture-line-endings"


def test_lint_finds_broken_json_and_missing_files(saved: Project) -> None:
    body_file(saved, "json").write_text('{"a": \n')
    body_file(saved, "txt").unlink()
    codes = {problem["code"] for problem in run("fixtures", "lint", "--json").data["problems"]}
    assert codes == {"fixture-body-json", "fixture-body-missing"}


def test_lint_finds_secrets_unless_it_is_told_not_to(project: Project) -> None:
    project.record(Delivery(BODY, ((b"Authorization", b"Bearer sample-token"),)))
    run("fixtures", "save", "1", "--keep-secrets")
    result = run("fixtures", "lint")
    assert result.exit_code == 4
    assert "header Authorization is not redacted" in result.text
    assert "sample-token" not in result.text
    assert run("fixtures", "lint", "--no-secrets").exit_code == 0


def test_lint_looks_at_what_it_is_given(saved: Project) -> None:
    body_file(saved, "txt").unlink()
    assert run("fixtures", "lint", "stripe").exit_code == 0
    assert run("fixtures", "lint", "stripe", "post-hooks").exit_code == 4
    assert run("fixtures", "lint", "nothing").errors.startswith("error: no fixture is called nothing\n")


def test_fmt_leaves_what_save_wrote_alone(saved: Project) -> None:
    before = fixture_files(saved)
    result = run("fixtures", "fmt")
    assert (result.exit_code, result.stdout, result.errors) == (0, b"", "0 of 2 fixtures changed\n")
    assert fixture_files(saved) == before


def test_fmt_lays_out_once_and_keeps_the_request(saved: Project) -> None:
    path = saved.folder / "fixtures/stripe/invoice.paid.toml"
    path.write_text(path.read_text().replace("format = 1", "format    =   1"))
    first = run("fixtures", "fmt")
    assert (first.text, first.errors) == (f"formatted {path}\n", "1 of 2 fixtures changed\n")
    assert "format = 1\n" in path.read_text()
    again = run("fixtures", "fmt", "--json")
    assert again.data == {"checked": 2, "changed": []}
    assert run("fixtures", "show", "invoice.paid", "--body").stdout == BODY


def test_a_folder_that_cannot_be_written_is_a_usage_error(project: Project) -> None:
    project.record(Delivery(BODY))
    project.write("fixtures", b"a file in the place of the folder")
    result = run("fixtures", "save", "1")
    assert (result.exit_code, result.stdout) == (2, b"")
    assert result.errors.startswith("error: cannot write fixtures to ")
    assert run("fixtures", "list").exit_code == 2
