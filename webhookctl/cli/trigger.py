"""`webhookctl trigger`: forge an event of the catalogue, sign it, send it, show what came back."""

from typing import TYPE_CHECKING, Annotated

import typer

from webhookctl.cli import handshake, options, sending
from webhookctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from webhookctl.catalogue import Template
    from webhookctl.wiring.project import Project


def trigger(
    event: Annotated[
        str | None,
        typer.Argument(
            metavar="EVENT",
            help="payment_intent.succeeded, github/push, orders/paid, …; handshake:slack for a provider's challenge.",
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
    verify_token: Annotated[
        list[str] | None,
        typer.Option(
            "--verify-token",
            metavar="VALUE|env:NAME|file:PATH",
            help="Verify token that a handshake brings (Meta, Strava).",
        ),
    ] = None,
    wrong_token: Annotated[
        bool, typer.Option("--wrong-token", help="Handshake with a wrong verify token: has to be refused.")
    ] = False,
    wrong_signature: Annotated[
        bool,
        typer.Option("--wrong-signature", help="Handshake with a wrong signature: has to be refused."),
    ] = False,
    key_url: Annotated[
        str | None,
        typer.Option(
            "--key-url",
            metavar="URL",
            help="Where the payload says that the certificate is (AWS SNS, PayPal); see `listen --serve-keys`.",
        ),
    ] = None,
    times: options.Times = 1,
    concurrency: options.Concurrency = 1,
    rate: options.Rate = None,
    timeout: options.Timeout = None,
    insecure: options.Insecure = None,
    ca_file: options.CaFile = None,
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

    A provider without events in the catalogue, your own for example, takes any event: trigger acme/order.paid.
    The payload is realistic and consistent; nothing but the endpoint is contacted. handshake:slack
    sends the challenge of Slack, as Slack does, and checks the answer. With --attack the exit code
    is 0 when the endpoint refuses (4xx), 1 when it does not.
    """
    from webhookctl.wiring.project import open_project

    project = open_project()
    if list_events:
        return _list(provider, is_json=json)
    if event is None:
        raise UsageError("event-missing", "which event?", "webhookctl trigger --list shows the catalogue")
    if event.startswith(handshake.PREFIX):
        handshake.refuse_other_options(
            {
                "--set": assignments,
                "--unset": removals,
                "--times": times > 1,
                "--concurrency": concurrency > 1,
                "--rate": rate,
            }
        )
        return handshake.run(
            project,
            handshake.HandshakeOptions(
                event.removeprefix(handshake.PREFIX),
                to=to,
                secrets=tuple(secret or ()),
                verify_tokens=tuple(verify_token or ()),
                is_token_wrong=wrong_token,
                is_signature_wrong=wrong_signature,
                headers=tuple(header or ()),
                seed=seed,
                timeout=timeout,
                insecure=insecure,
                ca_file=ca_file,
                is_dry_run=dry_run,
                is_json=json,
                is_plain=plain,
            ),
        )
    if verify_token or wrong_token or wrong_signature:
        raise UsageError(
            "handshake-missing",
            "--verify-token, --wrong-token and --wrong-signature belong to a handshake",
            "for example webhookctl trigger handshake:meta --wrong-token",
        )
    from webhookctl import catalogue
    from webhookctl.delivery.prepare import parse_edits

    template = _template(
        project, event, provider or project.config.provider, is_json=json
    ) or catalogue.resolve(event, provider=provider or _only_provider(project, event))
    edits = parse_edits(assignments or [], removals or [], header or [], is_creating=set_new)
    from webhookctl.wiring.sending import forging

    forgery = None
    if attack is not None:
        from webhookctl.wiring.attacking import attack_called

        forgery = attack_called(attack)
    endpoint = project.target(to) if not dry_run or to else sending.imagined_endpoint(project)
    url = sending.full_url(endpoint)
    if forgery is None:
        work = [
            forging(
                project,
                template,
                edits,
                secret_flags=secret or [],
                seed=seed,
                url=url,
                key_url=key_url,
            )
        ]
    else:
        from webhookctl.wiring.attacking import attacking, refuse_foreign

        if not dry_run and not owns_host:
            refuse_foreign(endpoint)
        work = attacking(project, template, edits, forgery, secret_flags=secret or [], seed=seed, url=url)
    command = sending.Command("trigger", is_json=json, is_plain=plain, attack=forgery)
    if dry_run:
        return command.show_only(work, endpoint)
    send_options = sending.send_options(
        project,
        endpoint,
        times=times,
        concurrency=concurrency,
        rate=rate,
        timeout=timeout,
        insecure=insecure,
        ca_file=ca_file,
    )
    return command.send(work, send_options, owns_host=owns_host)


def _template(project: "Project", event: str, provider: str | None, *, is_json: bool) -> "Template | None":
    """A plain event of a known provider that the catalogue has none of; None where the catalogue decides."""
    from webhookctl import catalogue

    head, slash, rest = event.partition("/")
    if slash and head in project.provider_ids() and provider in (None, head):
        provider, event = head, rest
    if provider is None or not event or provider in catalogue.providers():
        return None
    from webhookctl.output import envelope
    from webhookctl.wiring.generic_event import generic_template

    template = generic_template(project.scheme(provider), event)
    if provider not in project.own_schemes and not is_json:
        envelope.write_note(
            f"note: the catalogue has no events of {provider}: this is a plain payload, signed"
        )
    return template


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
    from webhookctl import handshake as handshakes
    from webhookctl.output import envelope

    greetings = [row for row in handshakes.load_all() if provider in (None, row.provider, row.id)]
    if provider is not None and provider not in catalogue.providers() and greetings:
        names: list[str] = []
        providers: list[str] = []
    else:
        names = list(catalogue.names(provider))
        providers = [provider] if provider else list(catalogue.providers())
    free = [name for name in providers if catalogue.accepts_any_event(name)]
    if is_json:
        data: dict[str, object] = {
            "events": [
                {"provider": name.partition("/")[0], "event": name.partition("/")[2]} for name in names
            ],
            "any_event": free,
            "handshakes": [{"provider": row.provider, "handshake": row.id} for row in greetings],
        }
        envelope.write_envelope("trigger", data, exit_code=ExitCode.OK)
    else:
        shown = [*names, *(f"{name}/<any event>" for name in free)]
        shown += [f"{handshake.PREFIX}{row.id}" for row in greetings]
        envelope.write("".join(f"{line}\n" for line in shown))
    return ExitCode.OK
