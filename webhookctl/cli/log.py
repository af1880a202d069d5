"""`webhookctl log`: what the history holds, newest first."""

from typing import TYPE_CHECKING, Annotated

import typer

from webhookctl.cli import options
from webhookctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhookctl.model import Exchange


def log(
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, max=options.MANY, help="Show at most N.")
    ] = 20,
    provider: options.Provider = None,
    event: Annotated[
        str | None,
        typer.Option("--event", "-e", metavar="PATTERN", help="Only events that match: 'payment_intent.*'."),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            "-s",
            metavar="STATUS",
            help="Only with this outcome: 200, 4xx, failed (no 2xx), none.",
        ),
    ] = None,
    bad_signature: Annotated[
        bool, typer.Option("--bad-signature", help="Only deliveries whose signature was wrong.")
    ] = False,
    json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """Show the recorded deliveries, newest first.

    \b
    Examples:
      webhookctl log --event 'payment_intent.*' --status failed
      webhookctl log --json -n 1 | jq '.data.exchanges[0]'
    """
    from webhookctl.store.history import History
    from webhookctl.wiring.project import open_project

    accepts_status = _status_filter(status)

    def accept(exchange: "Exchange") -> bool:
        from webhookctl import match

        detection = exchange.detection
        return (
            (provider is None or detection.provider == provider)
            and (
                event is None
                or match.event_matches(event, provider=detection.provider, event=detection.event)
            )
            and (not bad_signature or exchange.verdict.is_bad)
            and accepts_status(exchange)
        )

    project = open_project()
    with History(project.state.history_path) as history:
        found = history.newest(limit=limit, accept=accept)
        total = history.count()
    if provider is not None and not found:
        project.scheme(provider)  # a typing error would look like an empty history
    from webhookctl.output import envelope

    if json:
        from webhookctl.output import record

        exchanges = [record.exchange(exchange) for exchange in found]
        envelope.write_envelope("log", {"exchanges": exchanges, "total": total}, exit_code=ExitCode.OK)
        return ExitCode.OK
    from webhookctl.config import forces_color
    from webhookctl.output.history import log_lines
    from webhookctl.output.painter import painter

    show = painter(is_plain=plain, is_colour_forced=forces_color())
    for line in log_lines(found, width=show.width):
        show.line(line)
    if not found:
        envelope.write_note(
            "nothing recorded yet" if not total else f"none of {total:,} recorded deliveries fits"
        )
    elif total > len(found):
        envelope.write_note(
            f"{len(found)} of {total:,} recorded deliveries; webhookctl show '#{found[0].id}' shows one"
        )
    return ExitCode.OK


def _status_filter(text: str | None) -> "Callable[[Exchange], bool]":
    def accept(exchange: "Exchange") -> bool:
        if text is None:
            return True
        attempt = exchange.attempts[-1] if exchange.attempts else None
        if text == "none":
            return attempt is None
        if text == "failed":
            return attempt is not None and not attempt.is_success
        if attempt is None or attempt.status is None:
            return False
        code = str(attempt.status)
        return code == text or (text.endswith("xx") and code[0] == text[0])

    is_code = (
        text is not None
        and len(text) == 3
        and text[0] in "12345"
        and (text[1:].isdecimal() or text[1:] == "xx")
    )
    if text is not None and not is_code and text not in ("failed", "none"):
        raise UsageError("status-invalid", f"--status {text!r} is no status", "give 200, 4xx, failed or none")
    return accept
