"""`webhookctl providers`: the signing schemes that are known here, one whole, and a check of your own files."""

from typing import TYPE_CHECKING, Annotated

import typer

from webhookctl.cli import options
from webhookctl.errors import ExitCode

if TYPE_CHECKING:
    from webhookctl.signing import Scheme

app = typer.Typer(no_args_is_help=True)


@app.callback()
def providers() -> None:
    """Look at the signing schemes of providers, and check your own."""


@app.command("list")
def list_providers(json: options.Json = False, plain: options.Plain = False) -> int:
    """List the providers that can be signed for and verified.

    \b
    Examples:
      webhookctl providers list
      webhookctl providers list --json | jq '.data.providers[] | select(.evidence != "verified") | .id'
    """
    from webhookctl.output import envelope
    from webhookctl.wiring.project import open_project

    project = open_project()
    schemes = [project.scheme(provider) for provider in project.provider_ids()]
    if json:
        data: dict[str, object] = {
            "providers": [_record(scheme) for scheme in schemes],
            "counts": _counts(schemes),
        }
        envelope.write_envelope("providers list", data, exit_code=ExitCode.OK)
        return ExitCode.OK
    from webhookctl.config import forces_color
    from webhookctl.formats import safe_line
    from webhookctl.output.painter import painter

    paint = painter(is_plain=plain, is_colour_forced=forces_color())
    width = max(len(scheme.id) for scheme in schemes)
    for scheme in schemes:
        style = "ok" if scheme.is_verified else "warn"
        paint.line(
            [
                ("provider", scheme.id.ljust(width)),
                (style, f"  {scheme.evidence.ljust(11)}"),
                ("plain", f"  {safe_line(scheme.name)}"),
            ]
        )
    counts = _counts(schemes)
    envelope.write_note(", ".join(f"{count} {evidence}" for evidence, count in counts.items()))
    return ExitCode.OK


@app.command("show")
def show(
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", autocompletion=options.complete_provider)],
    json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """Show how a provider signs, as a recipe to read, with where that is known from.

    \b
    Examples:
      webhookctl providers show stripe
      webhookctl providers show slack --json | jq .data.scheme
    """
    from webhookctl.output import envelope
    from webhookctl.wiring.project import open_project

    scheme = open_project().scheme(provider)
    if json:
        envelope.write_envelope("providers show", {"scheme": _record(scheme)}, exit_code=ExitCode.OK)
        return ExitCode.OK
    from webhookctl.config import forces_color
    from webhookctl.output.painter import painter
    from webhookctl.output.providers import recipe_lines

    paint = painter(is_plain=plain, is_colour_forced=forces_color())
    for line in recipe_lines(scheme):
        paint.line(line)
    return ExitCode.OK


@app.command("lint")
def lint(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Provider files of your own (TOML).")],
    json: options.Json = False,
) -> int:
    """Check provider files of your own. Exit code 2 when one cannot be used.

    \b
    Examples:
      webhookctl providers lint acme.toml
      webhookctl providers lint providers/*.toml --json
    """
    from webhookctl import signing
    from webhookctl.errors import UsageError
    from webhookctl.output import envelope

    problems: list[dict[str, object]] = []
    for file in files:
        try:
            text = options.read_input(file).decode("utf-8")
            signing.parse_scheme(text, file)
        except UnicodeDecodeError:
            problems.append({"path": file, "message": f"{file} is not UTF-8 text", "hint": ""})
        except UsageError as error:
            problems.append({"path": file, "message": error.message, "hint": error.hint})
    code = ExitCode.USAGE if problems else ExitCode.OK
    if json:
        envelope.write_envelope(
            "providers lint", {"checked": len(files), "problems": problems}, exit_code=code
        )
        return code
    from webhookctl.formats import safe_line

    for problem in problems:
        envelope.write(f"{safe_line(str(problem['message']))}\n")
        if problem["hint"]:
            envelope.write(f"  hint: {safe_line(str(problem['hint']))}\n")
    envelope.write_note(f"{len(files)} checked, {len(problems)} cannot be used")
    return code


def _record(scheme: "Scheme") -> dict[str, object]:
    return {
        "id": scheme.id,
        "name": scheme.name,
        "evidence": scheme.evidence,
        "verified_with": list(scheme.verified_with),
        "algorithm": scheme.algorithm,
        "headers": [header.name for header in scheme.headers],
        "secret_variables": list(scheme.secret_variables),
        "source": scheme.source,
        "note": scheme.note,
    }


def _counts(schemes: "list[Scheme]") -> dict[str, int]:
    """How many schemes there are of each evidence, the best first."""
    counts: dict[str, int] = {}
    for scheme in sorted(schemes, key=lambda each: (not each.is_verified, each.evidence)):
        counts[scheme.evidence] = counts.get(scheme.evidence, 0) + 1
    return counts
