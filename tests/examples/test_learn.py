"""What `contract learn` finds out about the FastAPI example is what its source reads, and `drift` keeps watch on it."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.examples.test_examples import ALL, EXAMPLES, play

FASTAPI = ALL[0]
READ = {  # in app.py: everything in brackets after `event` and `record`
    "payment_intent.succeeded": {
        "id": "string",
        "type": "string",
        "data.object.id": "string",
        "data.object.amount": "integer",
    },
    "charge.refunded": {"id": "string", "type": "string", "data.object.payment_intent": "string"},
}
CAPTURE = "payment_intent.succeeded"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example in a folder of its own, with one capture."""
    ignored = shutil.ignore_patterns(".webhookctl", "__pycache__")
    shutil.copytree(EXAMPLES / "fastapi", tmp_path, ignore=ignored, dirs_exist_ok=True)
    for saved in (EXAMPLES.parent / "fixtures" / "stripe").glob(f"{CAPTURE}.*"):
        (tmp_path / "captures").mkdir(exist_ok=True)
        shutil.copy(saved, tmp_path / "captures")
    return tmp_path


def contract(project: Path) -> Path:
    return project / "contracts" / "stripe.contract.toml"


def rewrite(project: Path, *renamed: str) -> None:
    """As if the provider had given other names to these fields of its objects."""
    body = project / "captures" / f"{CAPTURE}.body.json"
    payload = json.loads(body.read_text())
    for name in renamed:
        record = payload["data"]["object"]
        record[f"{name}_of_another_name"] = record.pop(name)
    body.write_text(json.dumps(payload, indent=2, ensure_ascii=False))


def test_learn_finds_exactly_the_fields_that_the_source_reads(project: Path) -> None:
    arguments = ("learn", *READ, "--contract", str(contract(project)), "--write")
    done = play(FASTAPI, project, *arguments, command="contract")
    assert done.returncode == 0, done.stdout + done.stderr
    assert tomllib.loads(contract(project).read_text())["reads"] == READ


@pytest.mark.parametrize(
    ("renamed", "code", "said"),
    [
        ((), 0, "nothing breaking, 0 notices"),
        (("amount",), 1, "BREAKING data.object.amount"),
        (("currency", "customer", "amount_received"), 0, "nothing breaking, 0 notices"),
    ],
    ids=["nothing changed", "a field that is read", "fields that are not"],
)
def test_drift_flags_what_is_read_and_is_silent_about_the_rest(
    project: Path, renamed: tuple[str, ...], code: int, said: str
) -> None:
    with contract(project).open("a") as file:
        for event, fields in READ.items():
            file.write(f'\n[reads."{event}"]\n')
            file.writelines(f"{json.dumps(path)} = {json.dumps(kind)}\n" for path, kind in fields.items())
    rewrite(project, *renamed)
    arguments = (str(project / "captures"), "--contract", str(contract(project)))
    done = play(FASTAPI, project, *arguments, command="drift")
    assert (done.returncode, said in done.stdout) == (code, True), done.stdout + done.stderr
