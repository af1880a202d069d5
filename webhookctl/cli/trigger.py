"""`webhookctl trigger`: forge an event of the catalogue, sign it, send it, show what came back."""

from typing import TYPE_CHECKING, Annotated

import typer

from webhookctl.cli import options, sending
from webhookctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from webhookctl.wiring.project import Project


def trigger(
    event: Annotated[
        str | None,
        typer.Argument(
            metavar="EVENT",
            help="payment_intent.succeeded, github/push, orders/paid, …",
            autocompletion=options.complete_event,
        ),
    ] = None,
    to: options.To = None,
    provider: options.Provider = None,
    secret: options.Secrets = None,
    assignments: options.Assignments = None,
    removals: options.Removals = None,
    set_new: options.Creating = False,
    header: options.HeaderTexts = None,
    attack: Annotated[
        str | None,
        typer.Option(
            "--attack",
            metavar="NAME",
            help="Forge it so that the endpoint has to refuse it: unsigned, empty-signature, truncated-signature, "
            "wrong-secret, tampered, reserialised, weak-algorithm, stale, future, replayed.",
            autocompletion=options.complete_attack,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", min=0, help="The same N gives the same payload, byte for byte."),
    ] = None,
    times: options.Times = 1,
    concurrency: options.Concurrency = 1,
    rate: options.Rate = None,
    timeout: options.Timeout = None,
    insecure: options.Insecure = None,
    owns_host: options.OwnsHost = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the exact request and send nothing.")
    ] = False,
    list_events: Annotated[bool, typer.Option("--list", help="List the events of the catalogue.")] = False,
    json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """Forge and send a signed event.

    \b
    Examples:
      webhookctl trigger payment_intent.succeeded
      webhookctl trigger github/push --to http://localhost:3000/hooks --set ref=refs/heads/dev

    The payload is realistic and consistent; nothing but the endpoint is contacted. With --attack the exit code
    is 0 when the endpoint refuses (4xx), 1 when it does not.
    """
    from webhookctl.wiring.project import open_project

    project = open_project()
    if list_events:
        return _list(provider, is_json=json)
    if event is None:
        raise UsageError("event-missing", "which event?", "webhookctl trigger --list shows the catalogue")
    from webhookctl import catalogue
    from webhookctl.delivery.prepare import parse_edits

    template = catalogue.resolve(event, provider=provider or _only_provider(project, event))
    edits = parse_edits(assignments or [], removals or [], header or [], is_creating=set_new)
    from webhookctl.wiring.sending import forging

    forgery = None
    if attack is not None:
        from webhookctl.wiring.attacking import attack_called

        forgery = attack_called(attack)
    endpoint = project.target(to) if not dry_run or to else sending.imagined_endpoint(project)
    url = sending.full_url(endpoint)
    if forgery is None:
        work = [forging(project, template, edits, secret_flags=secret or [], seed=seed, url=url)]
    else:
        from webhookctl.wiring.attacking import attacking, refuse_foreign

        if not dry_run and not owns_host:
            refuse_foreign(endpoint)
        work = attacking(project, template, edits, forgery, secret_flags=secret or [], seed=seed, url=url)
    command = sending.Command("trigger", is_json=json, is_plain=plain, attack=forgery)
    if dry_run:
        return command.show_only(work, endpoint)
    send_options = sending.send_options(
        project, endpoint, times=times, concurrency=concurrency, rate=rate, timeout=timeout, insecure=insecure
    )
    return command.send(work, send_options, owns_host=owns_host)


def _only_provider(project: "Project", event: str) -> str | None:
    """The configured provider decides only where the bare name would otherwise be open."""
    from webhookctl import catalogue

    configured = project.config.provider
    if configured is None or "/" in event:
        return None
    is_open = catalogue.accepts_any_event(configured) or f"{configured}/{event}" in catalogue.names(
        configured
    )
    return configured if is_open else None


def _list(provider: str | None, *, is_json: bool) -> int:
    from webhookctl import catalogue
    from webhookctl.output import envelope

    names = list(catalogue.names(provider))
    providers = [provider] if provider else list(catalogue.providers())
    free = [name for name in providers if catalogue.accepts_any_event(name)]
    if is_json:
        data: dict[str, object] = {
            "events": [
                {"provider": name.partition("/")[0], "event": name.partition("/")[2]} for name in names
            ],
            "any_event": free,
        }
        envelope.write_envelope("trigger", data, exit_code=ExitCode.OK)
    else:
        envelope.write("".join(f"{line}\n" for line in [*names, *(f"{name}/<any event>" for name in free)]))
    return ExitCode.OK
