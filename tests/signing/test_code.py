"""Generated verifiers run: they accept what is signed, and refuse what is changed, stale or signed by others."""

import json
import os
import shutil
import subprocess
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.signing.generated import cases, planned, scheme_of
from webhookctl.errors import UsageError
from webhookctl.signing import load, parse_scheme, provider_ids
from webhookctl.signing.code import LANGUAGES, plan, verification_code

PROVIDERS = tuple(planned())


def python_verifier(provider: str) -> Callable[..., bool]:
    module = types.ModuleType(provider)
    exec(compile(verification_code(scheme_of(provider), "python"), f"{provider}.py", "exec"), module.__dict__)
    verify = module.__dict__["verify"]
    assert callable(verify)
    return verify  # type: ignore[no-any-return]  # made by exec


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_python_code_judges_rightly(provider: str) -> None:
    verify = python_verifier(provider)
    for case in cases(provider):
        options: dict[str, Any] = dict(case.parameters)
        if planned()[provider].timestamp is not None:
            options["now"] = case.now_s
        headers = {name.decode(): value.decode() for name, value in case.headers}
        assert verify(case.body, headers, case.key, **options) is case.is_right, case.name


_NODE = """
import { readFileSync } from "node:fs";
const answers = [];
for (const one of JSON.parse(readFileSync("cases.json"))) {
  const { verify } = await import(`./${one.provider}.mjs`);
  const key = one.isPair ? { publicKey: one.key } : { secret: one.key };
  const body = Buffer.from(one.body, "base64");
  answers.push(verify({ body, headers: one.headers, now: one.now, ...key, ...one.parameters }));
}
console.log(JSON.stringify(answers));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed: its code did not run")
def test_the_node_code_judges_rightly(tmp_path: Path) -> None:
    every = [case for provider in PROVIDERS for case in cases(provider)]
    for provider in PROVIDERS:
        (tmp_path / f"{provider}.mjs").write_text(verification_code(scheme_of(provider), "node"))
    records = [
        {
            **case.record(),
            "isPair": planned()[case.provider].is_pair,
            "parameters": {camel(name): value for name, value in case.parameters.items()},
        }
        for case in every
    ]
    (tmp_path / "cases.json").write_text(json.dumps(records))
    (tmp_path / "main.mjs").write_text(_NODE)
    done = subprocess.run(["node", "main.mjs"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    wrong = [case.name for case, answer in zip(every, answers, strict=True) if answer is not case.is_right]
    assert not wrong


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed: its code did not run")
def test_the_go_code_judges_rightly(tmp_path: Path) -> None:
    every = [case for provider in PROVIDERS for case in cases(provider)]
    (tmp_path / "go.mod").write_text("module generated\n\ngo 1.19\n")
    for provider in PROVIDERS:
        (tmp_path / provider).mkdir()
        (tmp_path / provider / "verify.go").write_text(verification_code(scheme_of(provider), "go"))
    (tmp_path / "cases.json").write_text(json.dumps([case.record() for case in every]))
    (tmp_path / "main.go").write_text(go_program())
    environ = {
        **os.environ,
        "GOCACHE": str(tmp_path / "cache"),
        "GOFLAGS": "-mod=mod",
        "GOTOOLCHAIN": "local",
    }
    run_go(tmp_path, environ, "vet", "./...")
    answers = json.loads(run_go(tmp_path, environ, "run", "."))
    wrong = [case.name for case, answer in zip(every, answers, strict=True) if answer is not case.is_right]
    assert not wrong


def run_go(folder: Path, environ: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        ["go", *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def go_program() -> str:
    imports, calls = [], []
    for provider, one in planned().items():
        name = "x_" + provider.replace("-", "_")
        imports.append(f'\t{name} "generated/{provider}"')
        parameters = "".join(f', one.Parameters["{parameter}"]' for parameter in one.parameters)
        clock = ", now" if one.timestamp else ""
        calls.append(
            f'\t\tcase "{provider}":\n\t\t\tanswer = {name}.Verify(body, header, one.Key{parameters}{clock})'
        )
    return (
        'package main\n\nimport (\n\t"encoding/base64"\n\t"encoding/json"\n\t"fmt"\n\t"net/http"\n\t"os"\n\t"time"\n\n'
        + "\n".join(imports)
        + """
)

type testCase struct {
	Provider, Body, Key string
	Headers, Parameters map[string]string
	Now                 float64
}

func main() {
	data, _ := os.ReadFile("cases.json")
	var cases []testCase
	if err := json.Unmarshal(data, &cases); err != nil {
		panic(err)
	}
	answers := []bool{}
	for _, one := range cases {
		body, _ := base64.StdEncoding.DecodeString(one.Body)
		header := http.Header{}
		for name, value := range one.Headers {
			header.Set(name, value)
		}
		now := time.UnixMilli(int64(one.Now * 1000))
		_ = now
		answer := false
		switch one.Provider {
"""
        + "\n".join(calls)
        + """
		}
		answers = append(answers, answer)
	}
	text, _ := json.Marshal(answers)
	fmt.Println(string(text))
}
"""
    )


def test_how_many_schemes_there_is_code_for_and_why_not_for_the_others() -> None:
    reasons: dict[str, list[str]] = {}
    for provider in provider_ids():
        found = plan(load(provider))
        if isinstance(found, str) and load(provider).is_signed:
            reasons.setdefault(found, []).append(provider)
    assert len(PROVIDERS) >= 145
    assert sorted(map(len, reasons.values())) == [5, 9, 10]
    with pytest.raises(UsageError) as caught:
        verification_code(load("aws_sns"), "python")
    assert caught.value.code == "code-unavailable"
    assert "sns-validator" in caught.value.hint
    with pytest.raises(UsageError, match="does not sign"):
        verification_code(load("strava"), "python")
    with pytest.raises(UsageError) as caught:
        verification_code(load("stripe"), "cobol")
    assert caught.value.code == "language-unknown"


def test_a_time_deep_in_the_body_is_left_to_the_recipe() -> None:
    text = HOSTILE.replace("{ts}", "").replace("tolerance_s", 'place = "body.a.b"\ntolerance_s')
    assert isinstance(plan(parse_scheme(text, "own.toml")), str)


@pytest.mark.parametrize("value", ["{sig};{ts}", "v1={sig};{ts}", "x;{ts};{sig}"])
def test_a_list_that_mixes_places_is_left_to_the_recipe(value: str) -> None:
    text = HOSTILE.replace('t\\"={ts},v\\\\={sig}', value).replace('separator = ","', 'separator = ";"')
    assert value in text
    assert isinstance(plan(parse_scheme(text, "own.toml")), str)


HOSTILE = r"""
id = "own"
name = "Own \"\"\" \u001b[2J */ ` \\ name"

[signature]
template = "{key}\"{ts}\\{body}"
algorithm = "hmac-sha256"
encoding = "hex"
values = { key = "k\"1" }

[[header]]
name = "X-Own-Key"
value = "{key}"

[[header]]
name = "X-Own"
value = "t\"={ts},v\\={sig}"
separator = ","

[timestamp]
unit = "s"
tolerance_s = 60
"""


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_the_texts_of_ones_own_scheme_cannot_break_out_of_their_literals(language: str) -> None:
    scheme = parse_scheme(HOSTILE, "own.toml")
    code = verification_code(scheme, language)
    assert "\x1b" not in code
    assert '"t\\"="' in code
    assert '"v\\\\="' in code
    if language == "python":
        compile(code, "own.py", "exec")
