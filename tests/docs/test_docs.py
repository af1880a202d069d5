"""The pages are true where a machine can tell: links lead somewhere, commands parse, snippets compile."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import typer.main

from webhookctl.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/*.md"),
        *ROOT.glob("examples/*/README.md"),
        ROOT / "fixtures" / "README.md",
    ]
)
APPLICATION = typer.main.get_command(app)

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_INLINE_COMMAND = re.compile(r"`(webhookctl [^`]+)`")
_END_OF_COMMAND = frozenset({"|", "||", "&&", "&", ";", ">", "<", "…"})
_MACHINE_PATH = re.compile(r"/(?:home|root|Users|tmp|work|opt)/")
_REGISTRY_HOST = re.compile(
    "|".join(  # written in pieces, so that no search for them ends here
        [
            "pypi" + r"\.org",
            "python" + "hosted",
            "npm" + "js",
            "crates" + r"\.io",
            r"proxy\." + "golang",
            "artifactory",
        ]
    ),
    re.IGNORECASE,
)


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """The contents of a page's code blocks in one of `languages`."""
    for language, content in _BLOCK.findall(page.read_text("utf-8")):
        if language in languages:
            yield content


def prose(page: Path) -> str:
    return _BLOCK.sub("", page.read_text("utf-8"))


def shown_lines(page: Path) -> Iterator[str]:
    """Every line of a page that a reader may type."""
    for content in blocks(page, "sh", "yaml"):
        yield from content.splitlines()
    for content in blocks(page, "console"):
        yield from (line.removeprefix("$ ") for line in content.splitlines() if line.startswith("$ "))
    yield from _INLINE_COMMAND.findall(prose(page))


def commands(page: Path) -> Iterator[str]:
    """What follows `webhookctl` in every command line of a page."""
    for line in shown_lines(page):
        # What stands before the name tells whether it is the command, or the name of a package, hook or folder.
        for before, after in pairwise(line.split("webhookctl ")):
            if re.search(r"(?:^|[;&|(:])\s*$", before):
                yield after


def arguments(text: str) -> list[str]:
    """The arguments of the command alone, without what a shell does with its output."""
    if ')"' in text and text.count("(") < text.count(")"):
        text = text.partition(')"')[0]
    lexer = shlex.shlex(text, posix=True, punctuation_chars="&;|<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    found = []
    for word in lexer:
        if word in _END_OF_COMMAND:
            break
        found.append(word)
    return found


def anchors(page: Path) -> set[str]:
    text = _BLOCK.sub("", page.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(text)}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in _LINK.findall(prose(page)):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{relative(page)} links to {link}"
        assert target.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(target), f"{relative(page)} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_command_line_parses(page: Path) -> None:
    for command in commands(page):
        try:
            parse(arguments(command))
        except Exception as error:
            raise AssertionError(f"{relative(page)}: webhookctl {command}: {error}") from error


def parse(words: list[str]) -> None:
    """Parse as the application does, without running anything."""
    command, name = APPLICATION, "webhookctl"
    while subcommands := getattr(command, "commands", None):
        if not words or words[0] == "COMMAND":  # the name alone, or a place for any command
            return
        command, name, words = subcommands[words[0]], words[0], words[1:]
    if words:  # else prose speaks of the command
        with command.make_context(name, list(words)):
            pass


def test_the_check_of_command_lines_sees_commands_and_finds_mistakes() -> None:
    assert sum(len(list(commands(page))) for page in PAGES) > 100
    assert arguments('listen --json > "a b" | jq .') == ["listen", "--json"]
    assert arguments('listen --print-secret)"') == ["listen", "--print-secret"]
    for mistake in (
        ["lissen"],
        ["listen", "--forwrd-to", "3000"],
        ["fixtures", "list", "--bdy"],
        ["replay", "--exact"],
    ):
        with pytest.raises(Exception, match=r".+"):
            parse(mistake)


def test_the_readme_lists_exactly_the_commands_there_are() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(getattr(APPLICATION, "commands"))  # noqa: B009  (the type has no such attribute)


def test_the_readme_names_exactly_what_can_be_forged_and_counts_the_schemes() -> None:
    from webhookctl import catalogue, signing

    text = (ROOT / "README.md").read_text("utf-8")
    forged = re.search(r"^Forged events \(`trigger`\): (.*)$", text, re.MULTILINE)
    assert forged is not None
    assert sorted(re.findall(r"`(\w+)`", forged[1])) == sorted(catalogue.providers())
    counted = re.search(r"(\d+) schemes.*?(\d+) of them are verified", text, re.DOTALL)
    assert counted is not None
    schemes = [signing.load(provider) for provider in signing.provider_ids()]
    assert int(counted[1]) == len(schemes)
    assert int(counted[2]) == sum(scheme.is_verified for scheme in schemes)


def test_the_index_leads_to_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link).resolve() for link in _LINK.findall(index.read_text("utf-8"))}
    written = {page for page in PAGES if page.is_relative_to(ROOT / "docs") and page != index}
    assert {relative(page) for page in written - linked} == set()


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_no_page_names_a_machine_path_or_a_registry_host(page: Path) -> None:
    text = page.read_text("utf-8")
    assert _MACHINE_PATH.findall(text) == []
    assert _REGISTRY_HOST.findall(text) == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_python_snippets_compile_and_toml_snippets_parse(page: Path) -> None:
    for snippet in blocks(page, "python"):
        compile(snippet, relative(page), "exec")
    for snippet in blocks(page, "toml"):
        tomllib.loads(snippet)


def test_every_setting_in_the_guides_is_one_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from webhookctl import config

    schema = json.loads((ROOT / "docs" / "reference" / "contract.schema.json").read_text("utf-8"))
    others = {"format", "id", "evidence", *schema["properties"]}  # fixtures, provider files, contracts
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for page in PAGES:
        for number, snippet in enumerate(blocks(page, "toml")):
            table = tomllib.loads(snippet)
            if not others & table.keys():
                path = tmp_path / f"{page.stem}-{number}.toml"
                path.write_text(snippet)
                config.load(cwd=tmp_path, environ={}, explicit_path=path)


def test_the_provider_file_in_the_guide_is_one_that_is_read() -> None:
    from webhookctl import signing

    snippet = next(blocks(ROOT / "docs" / "how-to" / "own-provider.md", "toml"))
    assert signing.parse_scheme(snippet, "acme.toml").id == "acme"


def test_the_changelog_begins_with_what_is_not_released() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
