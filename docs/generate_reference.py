"""Writes docs/reference/cli.md from the application itself, or with --check says whether it is up to date.

Run as `python docs/generate_reference.py [--check]`. Knows Typer's commands and parameters, no command of ours.
"""  # noqa: INP001  (a script beside the pages it writes, not a package)

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from webhookctl.cli.app import app

PAGE = Path(__file__).parent / "reference" / "cli.md"
_INTRODUCTION = """# Commands

Written by `python docs/generate_reference.py` from the application; do not edit it by hand.

`webhookctl COMMAND --help` (or `-h`) shows the same in the terminal. `--traceback` may stand anywhere and adds
Python's traceback to an error. `--version` (`-V`) prints the version. Exit codes: [exit-codes.md](exit-codes.md).
"""


def page() -> str:
    """The whole page."""
    return _INTRODUCTION + "".join(_section(name, command) for name, command in _commands())


def _commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, groups left out; in the order of the help page."""
    root: Any = typer.main.get_command(app)
    yield from _below(root, "")


def _below(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _below(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def _section(name: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    usage = " ".join(["webhookctl", name, "[OPTIONS]", *map(_usage, arguments)])
    parts = [f"## `webhookctl {name}`", f"```\n{usage}\n```", *_paragraphs(command.help)]
    if arguments:
        rows = [f"| `{_cell(each.metavar)}` | {_meaning(each)} |\n" for each in arguments]
        parts.append("| Argument | Meaning |\n|---|---|\n" + "".join(rows).rstrip())
    rows = [f"| {_names(each)} | {_meaning(each)} |\n" for each in options if each.name != "help"]
    parts.append("| Option | Meaning |\n|---|---|\n" + "".join(rows).rstrip())
    return "\n" + "\n\n".join(parts) + "\n"


def _usage(argument: Any) -> str:
    text = argument.metavar if argument.required else f"[{argument.metavar}]"
    is_repeated = argument.nargs == -1 and not argument.metavar.endswith("...")
    return f"{text}..." if is_repeated else text


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.strip().split("\n\n"):
        if paragraph.startswith("\b\nExamples:\n"):  # \b: not to be wrapped
            lines = [line.strip() for line in paragraph.splitlines()[2:]]
            yield "```console\n" + "\n".join(f"$ {line}" for line in lines) + "\n```"
        else:
            yield " ".join(paragraph.split())


def _names(option: Any) -> str:
    names = [f"`{name}`" for name in (*option.opts, *option.secondary_opts)]
    value = f" `{_cell(option.metavar)}`" if option.metavar else ""
    return ", ".join(names) + value


def _meaning(parameter: Any) -> str:
    text = _cell(parameter.help or "")
    is_shown = parameter.default not in (None, False, "", ()) and "[default" not in text
    return f"{text} [default: {_cell(str(parameter.default))}]".strip() if is_shown else text


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def main() -> int:
    """Write the page, or compare it with `--check`: 1 when it is stale."""
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, "utf-8")
        return 0
    is_current = PAGE.exists() and PAGE.read_text("utf-8") == text
    if not is_current:
        sys.stderr.write(f"{PAGE.name} is stale: run python docs/generate_reference.py\n")
    return 0 if is_current else 1


if __name__ == "__main__":
    sys.exit(main())
