"""`webhookctl config show`: the settings in force and where each came from."""

from typing import Annotated

import typer

from webhookctl.cli import options
from webhookctl.errors import ExitCode

app = typer.Typer(no_args_is_help=True, help="Show the configuration.")


@app.callback()
def config() -> None:
    """Show the configuration: flags over WEBHOOKCTL_* over webhookctl.toml over the user's file over defaults."""


@app.command("show")
def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value came from.")] = False,
    json: options.Json = False,
) -> int:
    """Show every setting in force; secrets are never shown.

    \b
    Examples:
      webhookctl config show --origin
      WEBHOOKCTL_PORT=5000 webhookctl config show --json
    """
    from webhookctl.output import envelope
    from webhookctl.wiring.project import open_project

    settings = open_project().config.entries()
    if json:
        data: dict[str, object] = {
            "settings": [
                {
                    "name": entry.name,
                    "value": entry.shown_value,
                    "origin": entry.origin,
                    "meaning": entry.meaning,
                }
                for entry in settings
            ]
        }
        envelope.write_envelope("config show", data, exit_code=ExitCode.OK)
        return ExitCode.OK
    from webhookctl.formats import safe_line

    name_width = max(len(entry.name) for entry in settings)
    value_width = min(40, max(len(entry.shown_value) for entry in settings))
    for entry in settings:
        line = f"{entry.name.ljust(name_width)}  {safe_line(entry.shown_value).ljust(value_width if origin else 0)}"
        envelope.write((f"{line}  {safe_line(entry.origin)}" if origin else line).rstrip() + "\n")
    return ExitCode.OK
