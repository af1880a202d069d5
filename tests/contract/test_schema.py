"""The published schema of contract files says what the reader reads: no key more, no key less."""

import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.contract.test_file import BROKEN
from webhookctl.contract.file import read_contract
from webhookctl.contract.schedule import SCHEDULES
from webhookctl.contract.table import Table
from webhookctl.errors import UsageError
from webhookctl.signing.attack import FORGERIES

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGE = FOLDER / "contract-files.md"
SCHEMA: dict[str, Any] = json.loads((FOLDER / "contract.schema.json").read_text("utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)

WHOLE = """
version = 1
[receiver]
url = "http://localhost:{port}/"
start = "app"
[receiver.ready]
[signer]
[expect]
[mocks.crm]
[mocks.other]
replies = [{ }]
[[cases]]
name = "one"
send = "a"
expect = { }
[[cases]]
name = "two"
[[cases.deliver]]
send = "b"
expect = { }
[[cases]]
name = "three"
send = "c"
effects = [{ mock = "crm", request = { } }, { command = "q" }, { get = "/" }]
[listener]
[[sends]]
name = "four"
run = "q"
answers = [{ }]
expect = { }
[[sends]]
name = "five"
call = { url = "http://localhost:3000/" }
"""


def asked_keys(monkeypatch: pytest.MonkeyPatch) -> Mapping[tuple[str, ...], set[str]]:
    """What the reader asks each kind of table for, by its path without indexes and names."""
    asked: dict[tuple[str, ...], set[str]] = defaultdict(set)
    plain = Table.finish

    def finish(table: Table) -> None:
        path = tuple("*" if isinstance(step, int) else step for step in table.path)
        if path[:1] == ("mocks",):
            path = ("mocks", "*", *path[2:])
        asked[path].update(table._asked)
        plain(table)

    monkeypatch.setattr(Table, "finish", finish)
    read_contract(WHOLE.encode(), origin="x.contract.toml", environment={})
    return asked


def node(path: tuple[str, ...]) -> dict[str, Any]:
    """What the schema says of the table at `path`."""
    found = SCHEMA
    for step in path:
        if step != "*":
            found = found["properties"][step]
        elif "items" in found:
            found = found["items"]
        else:
            found = found["additionalProperties"]
        if "$ref" in found:
            found = SCHEMA["$defs"][found["$ref"].rpartition("/")[2]]
    return found


def test_the_reader_and_the_schema_know_the_same_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asked_keys(monkeypatch)
    assert len(asked) > 10
    for path, keys in asked.items():
        properties = set(node(path)["properties"])
        if path == ("cases", "*"):
            # A case without deliveries of its own takes the keys of one; it was asked for them in another case.
            assert node((*path, "deliver", "*"))["properties"].keys() <= properties
        assert keys == properties, path


def test_the_schema_knows_every_attack_and_every_schedule() -> None:
    case = SCHEMA["$defs"]["case"]["properties"]
    assert case["forge"]["anyOf"][0]["enum"] == [attack.name for attack in FORGERIES]
    assert case["retry"]["enum"] == sorted(SCHEDULES)


def test_the_schema_is_one_and_takes_what_the_reader_takes() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    VALIDATOR.validate(tomllib.loads(WHOLE))


def test_every_key_that_is_not_known_is_refused_by_both() -> None:
    refused = [text for text, words in BROKEN if "is not known here" in words or "is missing" in words]
    refused = [
        text for text in refused if "replies" not in text
    ]  # what excludes what, the reader alone knows
    assert len(refused) > 5
    for text in refused:
        assert list(VALIDATOR.iter_errors(tomllib.loads(text))), text


def snippets() -> Iterator[str]:
    for content in re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        if not content.startswith("# a fixture"):
            yield content


def test_every_example_of_the_page_is_valid_by_reader_and_schema() -> None:
    examples = list(snippets())
    assert len(examples) > 10
    for content in examples:
        text = content
        if "version = " not in text:
            text = "version = 1\n" + text
        if "[receiver]" not in text:
            text += '\n[receiver]\nurl = "http://localhost:3000/webhooks"\n'
        if 'mock = "crm"' in text and "[mocks.crm]" not in text:
            text += "\n[mocks.crm]\n"
        try:
            read_contract(text.encode(), origin=PAGE.name, environment={})
        except UsageError as error:
            raise AssertionError(error.message) from error
        VALIDATOR.validate(tomllib.loads(text))


def test_the_page_names_every_key() -> None:
    text = PAGE.read_text("utf-8")
    for name, definition in (("", SCHEMA), *SCHEMA["$defs"].items()):
        for key in definition.get("properties", {}):
            assert f"`{key}`" in text or f"\n{key} = " in text or f"[{key}" in text, f"{name}.{key}"


def test_the_page_shows_every_schedule_and_every_attack() -> None:
    text = PAGE.read_text("utf-8")
    for name, schedule in SCHEDULES.items():
        assert re.search(rf"^\| `{name}` \| .* \| {re.escape(schedule.source)} \|$", text, re.MULTILINE), name
    for attack in FORGERIES:
        assert f"| `{attack.name}` | {attack.title} | " in text
