"""The reference pages say what the application does: every command, setting, variable, error, exit code, key."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from tests.cli.commands import DEADLINE_S, Project, run
from tests.cli.test_machine_output import validator
from webhookctl import errors, signing
from webhookctl.config import Config, merge
from webhookctl.errors import ExitCode
from webhookctl.fixture import body_name, document
from webhookctl.signing import primitive, scheme_file

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
SETTINGS = {field.name: field.metadata for field in fields(Config) if field.metadata}
_CODE = re.compile(r"[a-z]+(-[a-z]+)*")


def page(name: str) -> str:
    return (REFERENCE / name).read_text("utf-8")


def rows(name: str) -> dict[str, list[str]]:
    """The rows of all tables of a page: further cells by what is in the first, backticks taken off."""
    found = {}
    for line in page(name).splitlines():
        if line.startswith("| "):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            found[cells[0].strip("`")] = cells[1:]
    return found


def toml_block(name: str, number: int) -> str:
    return str(re.findall(r"```toml\n(.*?)```", page(name), re.DOTALL)[number])


def raised_codes() -> Iterator[tuple[str, str]]:
    """Every code in the source with the name of the class it is given to."""
    for path in sorted((ROOT / "webhookctl").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            name, arguments = node.func.id, node.args
            if name == "Problem":
                arguments = arguments[1:]
            elif name != "ErrorOccurred" and not isinstance(getattr(errors, name, None), type):
                continue
            if len(arguments) > 1:
                yield from ((code, name) for code in _codes(arguments[0]))
    yield "tunnel-protocol", "RelayError"  # given to super().__init__
    yield "secret-unreadable", "UsageError"  # in a file: chosen by the kind of OSError


def _codes(node: ast.expr) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and _CODE.fullmatch(each.value):
            yield each.value


def test_the_command_reference_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate_reference.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_error_code_has_its_row_with_its_exit_code() -> None:
    documented = rows("errors.md")
    for code, name in raised_codes():
        assert code in documented, f"{code} is missing in errors.md"
        if name not in ("ErrorOccurred", "Problem"):
            assert documented[code][0] == str(int(getattr(errors, name).exit_code)), code


def test_no_row_is_about_an_error_that_is_gone() -> None:
    documented = {code for code in rows("errors.md") if _CODE.fullmatch(code)}
    assert documented == {code for code, _ in raised_codes()}


def test_every_exit_code_has_its_row() -> None:
    documented = {int(code): cells[0] for code, cells in rows("exit-codes.md").items() if code.isdecimal()}
    assert documented == {int(code): code.name.lower() for code in ExitCode}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_its_row_with_default_kind_and_meaning(name: str) -> None:
    shown, kind, meaning = rows("configuration.md")[name]
    known = SETTINGS[name]
    default = known["default"]
    if default is None or default == []:
        expected = "none" if default is None else "empty"
    else:
        expected = f"{default:g}" if isinstance(default, float) else str(default)
    assert shown.strip("`").lower() == expected.lower()
    assert (kind, meaning) == (known["kind"].expected, known["meaning"])


def test_every_variable_has_its_row() -> None:
    documented = rows("environment.md")
    expected = {f"WEBHOOKCTL_{name.upper()}" for name in SETTINGS if name != "route"}
    expected |= set(merge._OTHER_VARIABLES)
    assert {name for name in documented if name.startswith("WEBHOOKCTL_")} == expected


@pytest.mark.parametrize("provider", signing.provider_ids())
def test_every_provider_has_its_row_of_variables(provider: str) -> None:
    scheme = signing.load(provider)
    variables, form = rows("environment.md")[f"{scheme.name} (`{provider}`)"]
    assert tuple(re.findall(r"`(\w+)`", variables)) == scheme.secret_variables
    assert form == scheme.secret_form


def test_the_provider_file_in_the_page_works() -> None:
    assert signing.parse_scheme(toml_block("provider-file.md", 1), "acme.toml").id == "acme"


def test_every_key_of_the_packaged_provider_files_is_explained() -> None:
    keys: set[str] = set()
    for path in sorted((ROOT / "webhookctl" / "signing" / "data").glob("*.toml")):
        for name, value in tomllib.loads(path.read_text("utf-8")).items():
            if name == "claims":  # their names are the provider's
                continue
            tables = [
                table for table in (value if isinstance(value, list) else [value]) if isinstance(table, dict)
            ]
            keys |= {key for table in tables for key in table} or {name}
    text = page("provider-file.md")
    assert {key for key in keys if f"`{key}`" not in text} == set()


def test_every_algorithm_encoding_and_evidence_is_named() -> None:
    text = page("provider-file.md")
    names = [*primitive.PRIMITIVES, *primitive.ENCODINGS, *primitive.DERIVATIONS, *scheme_file.EVIDENCE]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_fixture_in_the_page_is_one_and_every_key_is_explained() -> None:
    text = page("fixture-format.md")
    assert body_name(toml_block("fixture-format.md", 0).encode(), "x") is not None
    keys = [*document._TOP_KEYS, *document._REQUEST_KEYS, *document._REDACTED_KEYS]
    keys += [*document._SIGNATURE_KEYS, *document._RESPONSE_KEYS]
    assert [key for key in keys if f"`{key}`" not in text and f"`[{key}]`" not in text] == []


def test_the_configuration_in_the_page_can_be_loaded(project: Project) -> None:
    project.write("webhookctl.toml", toml_block("configuration.md", 0))
    assert run("config", "show", environ={"WEBHOOKCTL_PROFILE": "ci"}).exit_code == 0


def test_every_event_of_listen_and_its_fields_are_in_the_page() -> None:
    documented = rows("ndjson.md")
    for form in json.loads(page("listen.schema.json"))["oneOf"]:
        own = set(form["properties"]) - {"v", "type", "ts", "seq", "id"}
        kind = form["properties"]["type"]["const"]
        assert own <= set(re.findall(r"`(\w+)`", documented[kind][1])), kind


def test_the_lines_in_the_page_are_of_the_form_they_explain() -> None:
    lines = [json.loads(line) for line in page("ndjson.md").splitlines() if line.startswith('{"v":')]
    assert lines[0]["type"] == "ready"
    assert lines[-1]["type"] == "stopped"
    for line in lines:
        validator("listen").validate(line)


def test_links_between_the_pages_lead_somewhere() -> None:
    for path in REFERENCE.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
