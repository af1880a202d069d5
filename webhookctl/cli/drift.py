"""`webhookctl drift`: fresh deliveries compared with what is read of them, or with how they used to look."""

from pathlib import Path
from typing import Annotated

import typer

from webhookctl.cli import options
from webhookctl.errors import ExitCode


def drift(
    captures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CAPTURE",
            help="Fixtures, folders of them, #18, last, or history: all that was recorded. [default: history]",
            autocompletion=options.complete_fixture,
        ),
    ] = None,
    contract_file: Annotated[
        Path | None,
        typer.Option("--contract", metavar="FILE", help="Compare with what its receiver reads: [reads]."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="FIXTURES|SCHEMA",
            help="Compare with how these look. A JSON Schema or OpenAPI document, FILE or FILE#/pointer, is "
            "itself compared with --contract. Repeatable.",
        ),
    ] = None,
    event: Annotated[
        list[str] | None, typer.Option("--event", "-e", metavar="NAME", help="Only this event. Repeatable.")
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", "-n", metavar="N", min=1, max=options.MANY, help="Of the history the newest N."
        ),
    ] = 1_000,
    plain: options.Plain = False,
    json: options.Json = False,
) -> int:
    """Tell what changed in deliveries: exit code 1 when something that a receiver relies on broke, else 0.

    \b
    Examples:
      webhookctl drift history --contract contracts/stripe.contract.toml
      webhookctl drift --against openapi.json --contract contracts/shop.contract.toml
    """
    from webhookctl.config import forces_color
    from webhookctl.output import envelope
    from webhookctl.output.drifting import drift_lines, drift_record
    from webhookctl.output.painter import painter
    from webhookctl.wiring.drifting import DriftPlan, find_drift
    from webhookctl.wiring.project import open_project

    plan = DriftPlan(
        tuple(captures or ()),
        contract=contract_file,
        against=tuple(against or ()),
        events=tuple(event or ()),
        limit=limit,
    )
    drifts = find_drift(open_project(), plan)
    code = ExitCode.FINDING if any(each.is_breaking for each in drifts) else ExitCode.OK
    if json:
        envelope.write_envelope("drift", drift_record(drifts), exit_code=code)
        return code
    shown = painter(is_plain=plain, is_colour_forced=forces_color())
    for line in drift_lines(drifts):
        shown.line(line)
    return code
