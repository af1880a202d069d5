"""`webhookctl show`: one recorded delivery, whole."""

from typing import Annotated

import typer

from webhookctl.cli import options
from webhookctl.errors import ExitCode


def show(
    target: Annotated[str, typer.Argument(metavar="#ID|last", help="A delivery of the history.")] = "last",
    body: Annotated[
        bool, typer.Option("--body", help="Write the request body alone, byte for byte.")
    ] = False,
    json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """Show a recorded delivery: request, verdict, every attempt with its response.

    \b
    Examples:
      webhookctl show '#18'
      webhookctl show last --body > body.json
    """
    from webhookctl.output import envelope
    from webhookctl.wiring.project import open_project
    from webhookctl.wiring.sources import find_exchange, held_exchange, is_exchange

    if target != "last" and not is_exchange(target):
        from webhookctl.errors import UsageError

        raise UsageError("id-invalid", f"{target!r} is no delivery", "give a number such as '#18', or last")
    exchange = (held_exchange if body else find_exchange)(open_project(), target)
    if body:
        envelope.write_bytes(exchange.capture.request.body)
    elif json:
        from webhookctl.output import record

        envelope.write_envelope("show", {"exchange": record.exchange(exchange)}, exit_code=ExitCode.OK)
    else:
        from webhookctl.config import forces_color
        from webhookctl.output.history import exchange_lines
        from webhookctl.output.painter import painter

        paint = painter(is_plain=plain, is_colour_forced=forces_color())
        for line in exchange_lines(exchange):
            paint.line(line)
    return ExitCode.OK
