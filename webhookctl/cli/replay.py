"""`webhookctl replay`: send saved deliveries again, exactly as they were or freshly signed."""

from typing import Annotated

import typer

from webhookctl.cli import options, sending
from webhookctl.errors import UsageError


def replay(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...",
            help="A fixture (name or path), a folder, a glob, '#18' or `last` from the history, or a body file (or -) "
            "with --provider.",
            autocompletion=options.complete_fixture,
        ),
    ],
    to: options.To = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Byte for byte as it came, old signature and all.")
    ] = False,
    resign: Annotated[
        bool, typer.Option("--resign", help="Sign anew, with the present time. [default where possible]")
    ] = False,
    provider: options.Provider = None,
    secret: options.Secrets = None,
    assignments: options.Assignments = None,
    removals: options.Removals = None,
    set_new: options.Creating = False,
    header: options.HeaderTexts = None,
    new_id: Annotated[
        bool, typer.Option("--new-id", help="Give it a new delivery id, so that it counts as another event.")
    ] = False,
    times: options.Times = 1,
    concurrency: options.Concurrency = 1,
    rate: options.Rate = None,
    timeout: options.Timeout = None,
    insecure: options.Insecure = None,
    ca_file: options.CaFile = None,
    fixtures: options.FixtureFolderOption = None,
    owns_host: options.OwnsHost = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the exact requests and send nothing.")
    ] = False,
    json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """Send saved deliveries again.

    Freshly signed where the provider is known, else exactly as they were.

    \b
    Examples:
      webhookctl replay payment_intent.succeeded
      webhookctl replay '#18' --to http://localhost:3000/webhooks --exact
    """
    if exact and resign:
        raise UsageError("mode-ambiguous", "--exact and --resign contradict each other", "choose one")
    from webhookctl.delivery.prepare import Mode, parse_edits
    from webhookctl.wiring.project import open_project
    from webhookctl.wiring.sending import ReplayPlan, load_all, replaying

    project = open_project()
    plan = ReplayPlan(
        targets=tuple(targets),
        mode=Mode.EXACT if exact else Mode.RESIGNED if resign else None,
        edits=parse_edits(assignments or [], removals or [], header or [], is_creating=set_new),
        provider=provider,
        secret_flags=tuple(secret or ()),
        has_new_id=new_id,
        fixtures=fixtures,
    )
    saved = load_all(project, plan, options.read_stdin)
    endpoint = project.target(to) if not dry_run or to else sending.imagined_endpoint(project)
    work = replaying(project, plan, saved, endpoint)
    command = sending.Command("replay", is_json=json, is_plain=plain)
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
