"""`webhookctl providers`: the signing schemes that are known here, one whole, and a check of your own files."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from webhookctl.cli import new_provider, options
from webhookctl.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webhookctl.signing import Entry, Scheme

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
    if json:
        schemes = [project.scheme(provider) for provider in project.provider_ids()]
        data: dict[str, object] = {
            "providers": [_record(scheme) for scheme in schemes],
            "counts": _counts(schemes),
            "verification": _verification(schemes),
        }
        envelope.write_envelope("providers list", data, exit_code=ExitCode.OK)
        return ExitCode.OK
    from webhookctl.config import forces_color
    from webhookctl.formats import safe_line
    from webhookctl.output.painter import painter

    paint = painter(is_plain=plain, is_colour_forced=forces_color())
    entries = project.provider_entries()
    width = max(len(entry.id) for entry in entries)
    for entry in entries:
        style = "ok" if entry.is_verified else "warn"
        paint.line(
            [
                ("provider", entry.id.ljust(width)),
                (style, f"  {entry.evidence.ljust(11)}"),
                ("plain", f"  {safe_line(entry.name)}"),
            ]
        )
    counts = _counts(entries)
    envelope.write_note(", ".join(f"{count} {evidence}" for evidence, count in counts.items()))
    return ExitCode.OK


@app.command("show")
def show(
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", autocompletion=options.complete_provider)],
    code: Annotated[
        str | None,
        typer.Option("--code", metavar="LANGUAGE", help="Print code that verifies: python, node or go."),
    ] = None,
    json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """Show how a provider signs, as a recipe to read, or as code to copy into an app.

    \b
    Examples:
      webhookctl providers show stripe
      webhookctl providers show slack --code python > verify_slack.py
    """
    from webhookctl.output import envelope
    from webhookctl.wiring.project import open_project

    scheme = open_project().scheme(provider)
    text = None
    if code is not None:
        from webhookctl.signing.code import verification_code

        text = verification_code(scheme, code)
    if json:
        data: dict[str, object] = {"scheme": _record(scheme), "recipe": _recipe(scheme), "code": text}
        envelope.write_envelope("providers show", data, exit_code=ExitCode.OK)
        return ExitCode.OK
    if text is not None:
        envelope.write(text)
        if not scheme.is_verified:
            envelope.write_note(f"note: the scheme of {scheme.name} is not verified ({scheme.evidence})")
        return ExitCode.OK
    from webhookctl.config import forces_color
    from webhookctl.output.painter import painter
    from webhookctl.output.providers import recipe_lines

    paint = painter(is_plain=plain, is_colour_forced=forces_color())
    for line in recipe_lines(scheme):
        paint.line(line)
    return ExitCode.OK


app.command("new")(new_provider.new)


@app.command("detect")
def detect(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FILE|-|FIXTURE|#ID",
            help="A body with -H headers, a fixture, or a delivery of the history.",
        ),
    ] = "-",
    header: options.HeaderTexts = None,
    json: options.Json = False,
) -> int:
    """Say who could have sent a request, and what gives them away, the likeliest first. Exit code 1 for nobody.

    \b
    Examples:
      webhookctl providers detect '#18'
      webhookctl providers detect -H 'svix-id: msg_1' body.json --json
    """
    from webhookctl.delivery.prepare import parse_headers
    from webhookctl.model import with_headers
    from webhookctl.output import envelope
    from webhookctl.wiring.project import open_project
    from webhookctl.wiring.sources import load_target

    project = open_project()
    (saved,) = [*load_target(project, target, stdin=options.read_stdin, provider="generic")][:1]
    request = replace(saved.request, headers=with_headers(saved.request.headers, parse_headers(header or [])))
    found = project.detector.candidates(request)
    code = ExitCode.OK if found else ExitCode.FINDING
    if json:
        records = [{"provider": provider, "reason": reason} for provider, reason in found]
        envelope.write_envelope("providers detect", {"candidates": records}, exit_code=code)
        return code
    from webhookctl.formats import safe_line

    width = max((len(provider) for provider, _ in found), default=0)
    for provider, reason in found:
        envelope.write(safe_line(f"{provider.ljust(width)}  {reason}") + "\n")
    if not found:
        envelope.write_note("no provider is recognised; your own: webhookctl providers new ID")
    return code


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


def _recipe(scheme: "Scheme") -> dict[str, object]:
    from webhookctl import signing

    found = signing.recipe(scheme)
    return {"steps": [{"what": what, "how": how} for what, how in found.steps], "traps": list(found.traps)}


def _record(scheme: "Scheme") -> dict[str, object]:
    return {
        "id": scheme.id,
        "name": scheme.name,
        "evidence": scheme.evidence,
        "verified_with": list(scheme.verified_with),
        "verified_once": list(scheme.verified_once),
        "algorithm": scheme.algorithm,
        "headers": [header.name for header in scheme.headers],
        "secret_variables": list(scheme.secret_variables),
        "source": scheme.source,
        "note": scheme.note,
    }


_OTHERS = ("third party", "the scheme's library", "the signed text alone")  # not the provider's own verifier


def _verification(schemes: "Sequence[Scheme]") -> dict[str, int]:
    """How many schemes there are, and whose code has accepted their signatures."""
    verified = [scheme for scheme in schemes if scheme.is_verified]
    by_sdk = [
        scheme
        for scheme in verified
        if any(not any(other in oracle for other in _OTHERS) for oracle in scheme.verified_with)
    ]
    return {
        "known": len(schemes),
        "by_official_sdk": len(by_sdk),
        "by_other_code": len(verified) - len(by_sdk),
        "unverified": len(schemes) - len(verified),
    }


def _counts(schemes: "Sequence[Scheme | Entry]") -> dict[str, int]:
    """How many schemes there are of each evidence, the best first."""
    counts: dict[str, int] = {}
    for scheme in sorted(schemes, key=lambda each: (not each.is_verified, each.evidence)):
        counts[scheme.evidence] = counts.get(scheme.evidence, 0) + 1
    return counts
