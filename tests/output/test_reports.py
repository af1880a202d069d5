"""Every report read back by a consumer of its format: what was put in comes out, whatever stands in names."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase
from markdown_it import MarkdownIt

from webhookctl.contract.result import CaseResult, Complaint, Delivered, Outcome, Place, RunResult
from webhookctl.formats import safe_line
from webhookctl.model import Attempt, FailureKind, Request, Response
from webhookctl.model import Failure as NoAnswer
from webhookctl.output.reports import FORMATS
from webhookctl.output.reports.annotations import MAX_ANNOTATIONS
from webhookctl.output.reports.lines import case_line, run_line
from webhookctl.output.reports.text import MAX_DETAILS_CHARACTERS, details, headline

NOW_S = 1_790_000_000.0
REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
HOSTILE = [
    "plain",
    "]]><evil/>",
    "<script>alert(1)</script>",
    "\x1b]0;title\x07\x1b[31mred",
    "\u202egnp.exe\u2066",
    "nul\x00bell\x07",
    "lone \ud800 surrogate",
    "two\nlines\r\nthree\u2028four",
    "a | b | c",
    "``` ```` `",
    "# heading\n::error::x\nok 1 - y\n1..9\n...",
    "100% : , \\ # SKIP",
    "not\ufffea\uffffcharacter",
    "[link](https://example.com) @someone ![x](y) www.example.com",
    " ",
    "é漢😀",
]


def delivered(body: bytes = b"{}", *, answer: bytes | None = b"no") -> Delivered:
    request = Request("POST", "/hooks", ((b"X-Name", b"\xff<b>"),), body)
    if answer is None:
        attempt = Attempt("http://x", NOW_S, 5, failure=NoAnswer(FailureKind.CLOSED, "closed"))
    else:
        attempt = Attempt("http://x", NOW_S, 5, Response(400, "Bad", ((b"A", b"b"),), answer))
    return Delivered("fixture", "", request, attempt, 0.25)


def case(outcome: Outcome, text: str = "plain", **changes: Any) -> CaseResult:
    complaint = Complaint(text, f"answered {text}", text, text, Place("a.contract.toml", 7, 3))
    base = CaseResult(
        contract=Place("a.contract.toml", 5, 1),
        name=f"case {text}",
        variant="tampered",
        outcome=outcome,
        complaints=(complaint,) if outcome is Outcome.FAILED else (),
        deliveries=(delivered(text.encode("utf-8", "surrogatepass")),),
        started_at_s=NOW_S,
        duration_s=0.0123,
        reason=text if outcome in (Outcome.ERROR, Outcome.UNSURE, Outcome.SKIPPED) else "",
        output=text,
        reproduction="webhookctl test a.contract.toml",
    )
    return replace(base, **changes)


def run_of(*cases: CaseResult) -> RunResult:
    return RunResult(cases, NOW_S, 1.5, 7, ("a note",))


def all_of(text: str) -> RunResult:
    """A run with a case of each outcome, all of them named and answered `text`."""
    return run_of(*(case(outcome, text, name=f"{outcome.value} {text}") for outcome in Outcome))


def test_details_show_the_start_of_what_was_sent_once_and_more_of_the_answers() -> None:
    sent, answer = b'{"n":1}' * 500, b"x" * 3_000
    found = details(case(Outcome.FAILED, deliveries=(delivered(sent, answer=answer), delivered(sent))))
    assert found.count(sent[:600].decode() + "… (3,500 bytes)") == 1
    assert sent[:601].decode() not in found
    assert found.count("(the same body)") == 1
    assert answer.decode() in found
    short = details(case(Outcome.FAILED, deliveries=(delivered(b"{}"), delivered(b"{}"))))
    assert "(the same body)" not in short


hostile = pytest.mark.parametrize("text", HOSTILE, ids=[ascii(text)[1:20] for text in HOSTILE])


@hostile
@pytest.mark.parametrize("report", sorted(FORMATS))
def test_no_report_holds_what_steers_a_terminal_and_every_one_can_be_written(report: str, text: str) -> None:
    written = FORMATS[report](all_of(text))
    written.encode()  # no lone surrogate
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2066]", written)


# --- JUnit ---


def junit_cases(run: RunResult) -> list[TestCase]:
    suites = JUnitXml.fromstring(FORMATS["junit"](run).encode())
    return [each for suite in suites for each in suite]


@hostile
def test_junit_is_read_back_by_junitparser(text: str) -> None:
    found = junit_cases(all_of(text))
    assert [type(each.result[0]) if each.result else None for each in found] == [
        None,
        Failure,
        Error,
        Skipped,
        Skipped,
    ]
    for outcome, each in zip(Outcome, found, strict=True):
        name = safe_line(f"{outcome.value} {text} [tampered]")
        assert each.name == re.sub("[\ufffe\uffff]", "\ufffd", name)
        assert (each.classname, each.time) == ("a.contract.toml", 0.012)
    failure, unsure = found[1].result[0], found[3].result[0]
    assert failure.text.count("answered") >= 1
    assert "webhookctl test a.contract.toml" in failure.text
    assert unsure.message.startswith("unsure: ")


def test_junit_counts_and_groups_by_contract() -> None:
    other = case(Outcome.PASSED, contract=Place("b.contract.toml"))
    suites = JUnitXml.fromstring(FORMATS["junit"](run_of(*all_of("x").cases, other)).encode())
    assert [suite.name for suite in suites] == ["a.contract.toml", "b.contract.toml"]
    (first, second) = suites
    assert (first.tests, first.failures, first.errors, first.skipped) == (5, 1, 1, 2)
    assert (second.tests, second.failures) == (1, 0)
    assert (suites.tests, suites.time) == (6, 1.5)
    lines = [each._elem.get("line") for suite in suites for each in suite]
    assert lines == ["5"] * 5 + [None]


# --- TAP 14 ---


@dataclass
class Tap:
    """What a strict reader of TAP 14 takes from a text."""

    plan: int = 0
    points: list[tuple[bool, int, str, str]] = field(
        default_factory=list
    )  # ok, number, description, directive
    blocks: list[dict[str, Any]] = field(default_factory=list)


def read_tap(text: str) -> Tap:
    """Source: testanything.org, version 14. Refuses every line that the grammar does not have."""
    lines = text.split("\n")
    assert lines.pop() == ""
    assert lines.pop(0) == "TAP version 14"
    found = Tap()
    while lines:
        line = lines.pop(0)
        if plan := re.fullmatch(r"1\.\.(\d+)", line):
            found.plan = int(plan[1])
        elif point := re.fullmatch(r"(not )?ok (\d+) - ((?:[^#\\]|\\[#\\])*?)(?: # (SKIP .*))?", line):
            description = re.sub(r"\\([#\\])", r"\1", point[3])
            found.points.append((not point[1], int(point[2]), description, point[4] or ""))
        elif line == "  ---":
            block = {}
            while (entry := lines.pop(0)) != "  ...":
                key, value = re.fullmatch(r"  (\w+): (.*)", entry).groups()  # type: ignore[union-attr]  # it fails then
                block[key] = json.loads(value) if value[0] in '"0123456789' else value
            found.blocks.append(block)
        else:
            raise AssertionError(f"no line of TAP: {line!r}")
    return found


@hostile
def test_tap_is_read_back_by_a_strict_reader(text: str) -> None:
    found = read_tap(FORMATS["tap"](all_of(text)))
    assert found.plan == 5
    assert [point[:2] for point in found.points] == [(True, 1), (False, 2), (False, 3), (True, 4), (True, 5)]
    assert [bool(point[3]) for point in found.points] == [False, False, False, True, True]
    for outcome, (_, _, description, _) in zip(Outcome, found.points, strict=True):
        shown = " ".join(safe_line(f"a.contract.toml: {outcome.value} {text} [tampered]").split())
        assert description == shown
    assert [block["severity"] for block in found.blocks] == ["fail", "error"]
    assert found.blocks[0]["details"] == details(all_of(text).cases[1])


def test_the_reader_of_tap_refuses_what_is_none() -> None:
    with pytest.raises(AssertionError, match="no line of TAP"):
        read_tap("TAP version 14\n1..1\nok one\n")


# --- GitHub ---

_COMMAND = re.compile(r"::(error|warning|notice)(?: ([^:\n]*))?::([^\r\n]*)")


def read_annotations(text: str) -> Iterator[tuple[str, dict[str, str], str]]:
    """The commands in `text` as GitHub's runner reads them."""

    def decoded(value: str) -> str:
        for code, character in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
            value = value.replace(code, character)
        return value

    for line in text.splitlines():
        match = _COMMAND.fullmatch(line)
        assert match is not None, line
        pairs = dict(pair.split("=", 1) for pair in (match[2] or "").split(",") if pair)
        yield match[1], {name: decoded(value) for name, value in pairs.items()}, decoded(match[3])


@hostile
def test_annotations_stand_at_the_line_that_asked_and_say_what_went_wrong(text: str) -> None:
    found = list(read_annotations(FORMATS["github"](all_of(text))))
    assert [kind for kind, _, _ in found] == ["error", "error", "warning"]
    _, properties, message = found[0]
    assert properties == {
        "file": "a.contract.toml",
        "line": "7",
        "col": "3",
        "title": safe_line(f"failed {text} [tampered]"),
    }
    assert (
        message == f"{headline(all_of(text).cases[1], limit=1_000)}\nagain: webhookctl test a.contract.toml"
    )


def test_annotations_are_few_and_say_where_the_rest_is() -> None:
    run = run_of(*(case(Outcome.FAILED, name=f"case {number}") for number in range(MAX_ANNOTATIONS + 3)))
    found = list(read_annotations(FORMATS["github"](run)))
    assert len(found) == MAX_ANNOTATIONS + 1
    assert found[-1] == ("notice", {}, "3 more are in the step summary")
    assert FORMATS["github"](run_of(case(Outcome.PASSED))) == ""


# --- HTML ---


class Page(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[str] = []
        self.rows: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)
        if tag == "tr":
            self.rows.append("")

    def handle_data(self, data: str) -> None:
        if self.rows:
            self.rows[-1] += data


@hostile
def test_html_has_the_same_elements_whatever_stands_in_the_results(text: str) -> None:
    found, plain = Page(FORMATS["html"](all_of(text))), Page(FORMATS["html"](all_of("plain")))
    assert found.elements == plain.elements
    assert "script" not in found.elements
    assert len(found.rows) == 6
    for outcome, row in zip(Outcome, found.rows[1:], strict=True):
        assert safe_line(f"{outcome.value} {text} [tampered]") in row
    assert details(all_of(text).cases[1]) in found.rows[2]


CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := which(name))), ""
)


@pytest.mark.skipif(
    not CHROMIUM, reason="Chromium is not installed: the HTML report was not opened in a browser"
)
def test_a_browser_shows_the_html_report_and_runs_nothing_in_it(tmp_path: Path) -> None:
    mark = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
    (tmp_path / "report.html").write_text(FORMATS["html"](all_of(mark)), "utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-quic",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--dump-dom",
    ]
    profile, url = f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "report.html").as_uri()
    command = [CHROMIUM, *options, profile, url]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=120)
    shown = done.stdout.decode()
    page = Page(shown)
    assert "<title>webhookctl test: 1 passed, " in shown
    assert not {"script", "img"} & set(page.elements)
    assert len(page.rows) == 6
    assert mark in page.rows[2]


def test_html_fetches_nothing_and_says_so_to_the_browser() -> None:
    written = FORMATS["html"](all_of("plain"))
    assert "default-src 'none'" in written
    assert "http:" not in re.sub(r"http://x|http-equiv", "", written)


# --- Markdown ---


@hostile
def test_markdown_keeps_its_table_and_renders_names_as_text(text: str) -> None:
    written = FORMATS["md"](all_of(text))
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(written)
    assert [token.type for token in tokens].count("tr_open") == 6
    assert not any(token.type == "html_block" for token in tokens)
    children = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in children} == {"text"} | {child.type for child in children} & {
        "text_special"
    }
    fences = [token.content for token in tokens if token.type == "fence"]
    assert fences == [f"{details(all_of(text).cases[number])}\n" for number in (1, 2)]
    headings = [token for token in tokens if token.type == "heading_open"]
    assert len(headings) == 3


def test_markdown_is_small_enough_for_a_step_summary() -> None:
    big = "x" * 2_000_000
    cases = [case(Outcome.FAILED, output=big, deliveries=(delivered(big.encode()),) * 9) for _ in range(100)]
    written = FORMATS["md"](run_of(*cases))
    assert len(written.encode()) < 1024 * 1024
    assert "left out" in written


# --- JSON and NDJSON ---


@cache
def case_schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((REFERENCE / "test.schema.json").read_text())
    return schema


@hostile
def test_json_fits_its_schema_and_loses_nothing(text: str) -> None:
    from tests.cli.test_machine_output import validator

    document = json.loads(FORMATS["json"](all_of(text)))
    envelope = {
        "version": 1, "command": "test", "status": "finding", "exit_code": 1, "data": document, "errors": [],
    }  # fmt: skip
    validator("test").validate(envelope)
    assert [each["name"] for each in document["cases"]] == [f"{outcome.value} {text}" for outcome in Outcome]
    assert document["cases"][1]["complaints"][0]["message"] == f"answered {text}"
    assert document["summary"] == {outcome.value: 1 for outcome in Outcome}


@hostile
def test_ndjson_is_one_line_for_each_case_and_one_for_the_run(text: str) -> None:
    run = all_of(text)
    written = FORMATS["ndjson"](run)
    documents = [json.loads(line) for line in written.split("\n")[:-1]]
    assert [each["type"] for each in documents] == ["case.finished"] * 5 + ["run.finished"]
    whole = json.loads(FORMATS["json"](run))
    for document, expected in zip(documents[:5], whole["cases"], strict=True):
        assert document == {"v": 1, "type": "case.finished", **expected}
    assert documents[5]["summary"] == whole["summary"]
    assert "cases" not in documents[5]
    assert written == "".join(case_line(each) for each in run.cases) + run_line(run)


# --- the words that the reports share ---


def test_details_are_bounded_and_show_the_exchange() -> None:
    big = case(Outcome.FAILED, "y" * 1_000_000, deliveries=(delivered(b"z" * 1_000_000),) * 20)
    assert len(details(big)) <= MAX_DETAILS_CHARACTERS + 1
    text = details(case(Outcome.FAILED, deliveries=(delivered(b"sent", answer=b"received"),)))
    parts = ["> POST /hooks", "> X-Name: ÿ<b>", "sent", "< 400 Bad", "< A: b", "received"]
    for part in (*parts, "asked for in a.contract.toml:7"):
        assert part in text
    assert "< closed" in details(case(Outcome.FAILED, deliveries=(delivered(answer=None),)))


def test_a_headline_is_one_short_line() -> None:
    assert headline(case(Outcome.FAILED, "a\nb")) == "a b: answered a b"
    assert headline(case(Outcome.PASSED)) == ""
    long = headline(case(Outcome.ERROR, "e" * 500))
    assert (len(long), long[-1]) == (200, "…")
    both = replace(case(Outcome.FAILED), outcome=Outcome.ERROR, reason="the receiver died")
    assert headline(both) == "the receiver died"


def test_a_case_without_a_line_a_place_or_a_way_to_repeat_it_is_told_of_too() -> None:
    bare = case(
        Outcome.FAILED,
        contract=Place("fixtures/stripe"),
        complaints=(Complaint("answer", "none came"),),
        output="",
        reproduction="",
    )
    run = run_of(bare)
    assert details(bare).startswith("answer: none came\n\n> POST")
    ((_, properties, message),) = read_annotations(FORMATS["github"](run))
    assert properties == {"file": "fixtures/stripe", "title": "case plain [tampered]"}
    assert message == "answer: none came"
    assert json.loads(FORMATS["json"](run))["cases"][0]["complaints"][0]["place"] is None
