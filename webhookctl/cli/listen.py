"""`webhookctl listen`: options into a plan, a renderer for the terminal or for programs, then the session runs."""

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from webhookctl.cli import exposing, options
from webhookctl.cli.relaying import RelayOptions, backlog_renderer, relay_plan
from webhookctl.errors import ExitCode, UsageError, WebhookctlError

if TYPE_CHECKING:
    from webhookctl.model import Headers
    from webhookctl.session import Route
    from webhookctl.wiring.listening import ListenPlan
    from webhookctl.wiring.project import Project
    from webhookctl.wiring.watching import Renderer


def listen(
    forward_to: Annotated[
        list[str] | None,
        typer.Option(
            "--forward-to",
            "-f",
            metavar="[PATTERN=]URL",
            help="Where deliveries go: http://localhost:3000/webhooks, or just 3000. Repeatable, and with a pattern: "
            "'payment_intent.*=http://…' by event, '/github/**=http://…' by path. The first match answers.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="PORT", help="Port to listen on; 0 takes a free one. [default: 4400]"),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="ADDRESS", help="Address to listen on. [default: 127.0.0.1]"),
    ] = None,
    provider: options.Provider = None,
    secret: options.Secrets = None,
    events: Annotated[
        list[str] | None,
        typer.Option(
            "--events",
            "-e",
            metavar="PATTERN",
            help="Forward and save these events only (all are recorded). Repeatable.",
        ),
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="DIR", help="Folder of the fixtures. [default: fixtures]")
    ] = None,
    no_save: Annotated[
        bool, typer.Option("--no-save", help="Save no fixtures; the history still records all.")
    ] = False,
    save_limit: Annotated[
        int | None,
        typer.Option(
            "--save-limit", metavar="N", min=0, help="Fixtures saved per event type at most. [default: 20]"
        ),
    ] = None,
    keep_secrets: Annotated[
        bool, typer.Option("--keep-secrets", help="Do not redact what is saved as fixtures.")
    ] = False,
    ack: Annotated[
        str | None,
        typer.Option(
            "--ack",
            metavar="response|early",
            help="Answer with the app's response, or at once with 202 (for breakpoints).",
        ),
    ] = None,
    handshake: Annotated[
        str | None,
        typer.Option(
            "--handshake",
            metavar="auto|app|off",
            help="Who answers challenges (Slack, Meta, Zoom, …): the app, and webhookctl where that does not rightly "
            "(auto); the app alone (app); nobody (off). [default: auto]",
        ),
    ] = None,
    verify_token: Annotated[
        list[str] | None,
        typer.Option(
            "--verify-token",
            metavar="VALUE|env:NAME|file:PATH",
            help="Verify token that a challenge has to bring (Meta, Strava). Repeatable. [default: any, on loopback]",
        ),
    ] = None,
    confirm_sns: Annotated[
        bool | None,
        typer.Option(
            "--confirm-sns",
            help="Open the URL that AWS SNS sends to confirm a subscription.",
            show_default=False,
        ),
    ] = None,
    timeout: options.Timeout = None,
    insecure: options.Insecure = None,
    ca_file: options.CaFile = None,
    tls: Annotated[
        str | None,
        typer.Option("--tls", metavar="auto|CERT,KEY", help="Listen with HTTPS; auto makes a certificate."),
    ] = None,
    exit_after: Annotated[
        int | None,
        typer.Option("--exit-after", metavar="N", min=1, max=options.MANY, help="Stop after N deliveries."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="EVENT", help="Stop when this event was delivered.")
    ] = None,
    idle_timeout: Annotated[
        str | None,
        typer.Option("--idle-timeout", metavar="TIME", help="Stop when nothing comes for this long."),
    ] = None,
    max_body: Annotated[
        str | None, typer.Option("--max-body", metavar="SIZE", help="Largest body taken in. [default: 32MiB]")
    ] = None,
    header: options.HeaderTexts = None,
    serve_keys: Annotated[
        bool,
        typer.Option(
            "--serve-keys",
            help="Serve the public halves of this project's test keys: GET "
            "/.well-known/webhookctl/PROVIDER/jwks.json, cert.pem or public.pem.",
        ),
    ] = False,
    relay: Annotated[
        str | None,
        typer.Option(
            "--relay",
            metavar="URL",
            help="Take deliveries from this relay too: they get a public URL there, and wait there while nobody "
            "listens here. Makes a channel at first use and remembers it.",
        ),
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option("--channel", metavar="NAME", help="Channel on the relay. [default: the project's own]"),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="env:NAME|file:PATH",
            help="Key of a channel that was made elsewhere. [default: env:WEBHOOKCTL_RELAY_KEY, else remembered]",
        ),
    ] = None,
    takeover: Annotated[
        bool, typer.Option("--takeover", help="Take the channel over from a client that listens on it now.")
    ] = False,
    observe: Annotated[
        bool,
        typer.Option(
            "--observe", help="Look on while another client answers: forwards only with --forward-to."
        ),
    ] = False,
    backlog: Annotated[
        str | None,
        typer.Option(
            "--backlog",
            metavar="all|none|N",
            help="Missed deliveries to take: all, none, or the newest N. [default: all; with --observe none]",
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency",
            metavar="N",
            min=1,
            max=1000,
            help="Forward N relayed deliveries at once; above 1 their order is lost. [default: 1]",
        ),
    ] = None,
    tunnel: exposing.Tunnel = None,
    public_url: exposing.PublicUrl = None,
    register: exposing.Register = None,
    register_events: exposing.RegisterEvents = None,
    register_token: exposing.RegisterToken = None,
    register_keep: exposing.RegisterKeep = False,
    backfill: exposing.Backfill = False,
    print_secret: Annotated[
        bool,
        typer.Option("--print-secret", help="Print the secret that deliveries are checked with, and exit."),
    ] = False,
    json: options.Json = False,
    plain: options.Plain = False,
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="-v headers, -vv bodies, -vvv everything.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Failures only.")] = False,
) -> int:
    """Receive, check, record and forward deliveries.

    \b
    Examples:
      webhookctl listen --forward-to http://localhost:3000/webhooks
      webhookctl listen --relay https://relay.example.com --json | jq .

    Any method and path is taken. Each delivery is on disk before its sender is answered, and is saved as a
    fixture behind the answer.
    """
    from webhookctl.wiring.project import open_project

    project = open_project()
    if print_secret:
        return _print_secret(project, provider, secret or [])
    from webhookctl.cli.running import calm_collector, run_async
    from webhookctl.wiring import listening

    plan = _configured(project)
    plan = replace(
        plan,
        host=host or plan.host,
        port=plan.port if port is None else _port(port),
        routes=_routes(forward_to) if forward_to else plan.routes,
        provider=provider or plan.provider,
        secrets=tuple(secret or ()),
        events=_patterns(events) or plan.events,
        fixtures=None
        if no_save
        else save or plan.fixtures or (project.config.fixtures if save_limit else None),
        save_limit=plan.save_limit if save_limit is None else save_limit,
        is_keeping_secrets=keep_secrets,
        is_early_ack=plan.is_early_ack if ack is None else _is_early(ack),
        timeout_s=plan.timeout_s if timeout is None else _duration(timeout, "--timeout"),
        is_insecure=plan.is_insecure if insecure is None else insecure,
        ca_file=ca_file or plan.ca_file,
        tls=_tls(tls),
        exit_after=exit_after,
        until=until,
        idle_timeout_s=None if idle_timeout is None else _duration(idle_timeout, "--idle-timeout"),
        max_body_bytes=plan.max_body_bytes if max_body is None else _size(max_body, "--max-body"),
        added_headers=plan.added_headers + _headers(header or []),
        handshakes=replace(
            plan.handshakes,
            mode=plan.handshakes.mode if handshake is None else _handshake_mode(handshake),
            verify_tokens=tuple(verify_token or ()),
            is_sns_confirmed=plan.handshakes.is_sns_confirmed if confirm_sns is None else confirm_sns,
        ),
        serves_keys=serve_keys,
    )
    given = RelayOptions(relay, channel, key, takeover, observe, backlog, concurrency)
    is_timed = timeout is not None or project.config.origin("timeout_s") != "default"
    public = exposing.ExposeOptions(
        tunnel, public_url, register, register_events, register_token, register_keep, backfill
    )
    plan = replace(
        plan,
        expose=exposing.expose_plan(public),
        relay=None
        if relay is None and public.is_elsewhere
        else relay_plan(project, plan, given, is_timed=is_timed, is_forwarding=bool(forward_to)),
    )
    renderer = _renderer(project, is_json=json, is_plain=plain, verbose=verbose, is_quiet=quiet)
    renderers = [renderer] if json or quiet or plan.relay is None else [renderer, backlog_renderer()]
    calm_collector()
    try:
        return run_async(listening.listen(project, plan, renderers))
    except WebhookctlError as error:
        if not getattr(renderer, "has_begun", False):
            raise
        return _report_behind_stream(error)


def _report_behind_stream(error: WebhookctlError) -> int:
    """The stream on stdout has ended with `stopped`: an envelope behind it would be no event."""
    from webhookctl.output import envelope

    envelope.write_error(error)
    return error.exit_code


def _configured(project: "Project") -> "ListenPlan":
    from webhookctl.wiring.handshaking import HandshakePlan
    from webhookctl.wiring.listening import ListenPlan

    config = project.config
    texts = [*config.forward_to, *(f"{route.match}={route.to}" for route in config.route)]
    return ListenPlan(
        host=config.host,
        port=config.port,
        routes=_routes(texts),
        provider=config.provider,
        events=config.events,
        fixtures=config.fixtures if config.save else None,
        save_limit=config.save_limit,
        is_early_ack=config.ack == "early",
        timeout_s=config.timeout_s,
        is_insecure=config.insecure,
        ca_file=config.ca_file,
        max_body_bytes=config.max_body,
        added_headers=_headers([f"{name}: {value}" for name, value in config.headers]),
        handshakes=HandshakePlan(config.handshake, is_sns_confirmed=config.confirm_sns),
    )


def _routes(texts: list[str]) -> "tuple[Route, ...]":
    from webhookctl import match
    from webhookctl.address import parse_endpoint
    from webhookctl.session import Route

    routes = []
    for text in texts:
        pattern, url = match.parse_route(text)
        routes.append(Route(pattern, parse_endpoint(url)))
    return tuple(routes)


def _patterns(texts: list[str] | None) -> tuple[str, ...]:
    from webhookctl import match

    return tuple(pattern for text in texts or () for pattern in match.split_patterns(text))


def _headers(texts: list[str]) -> "Headers":
    from webhookctl.delivery.prepare import parse_headers

    return parse_headers(texts)


def _port(port: int) -> int:
    if not 0 <= port <= 65_535:
        raise UsageError(
            "port-invalid", f"{port} is not a port", "a port is a number from 1 to 65535; 0 takes a free one"
        )
    return port


def _is_early(ack: str) -> bool:
    if ack not in ("response", "early"):
        raise UsageError(
            "ack-invalid",
            f"--ack {ack}: there is response and early",
            "early answers 202 before the app does",
        )
    return ack == "early"


def _handshake_mode(mode: str) -> str:
    if mode not in ("auto", "app", "off"):
        raise UsageError(
            "handshake-invalid",
            f"--handshake {mode}: there is auto, app and off",
            "app leaves the answers to the app and checks them",
        )
    return mode


def _duration(text: str, option: str) -> float:
    from webhookctl.config import parse_duration

    return parse_duration(text, option)


def _size(text: str, option: str) -> int:
    from webhookctl.config import parse_size

    return parse_size(text, option)


def _tls(text: str | None) -> tuple[str, str] | str | None:
    if text is None or text == "auto":
        return text
    certificate, comma, key = text.partition(",")
    if not (certificate and comma and key):
        raise UsageError(
            "tls-invalid", f"--tls {text}: give auto, or CERT,KEY", "for example --tls cert.pem,key.pem"
        )
    return certificate, key


def _print_secret(project: "Project", provider: str | None, flag: list[str]) -> int:
    from webhookctl.output import envelope

    provider = provider or project.config.provider
    named = provider or ("generic" if flag else None)
    secret = project.secrets(named, flag=flag)[0] if named else project.state.development_secret()
    envelope.write(secret.reveal() + "\n")
    return ExitCode.OK


def _renderer(
    project: "Project", *, is_json: bool, is_plain: bool, verbose: int, is_quiet: bool
) -> "Renderer":
    from webhookctl.config import forces_color
    from webhookctl.wiring.project import now_s

    if is_json:
        from webhookctl.output.ndjson import NdjsonRenderer

        return NdjsonRenderer(sys.stdout, now_s=now_s)
    from webhookctl.output.listening import Level, LineRenderer
    from webhookctl.output.painter import painter

    @cache
    def limit_s(provider: str | None) -> float | None:
        return project.scheme(provider).delivery.timeout_s if provider in project.provider_ids() else None

    return LineRenderer(
        painter(is_plain=is_plain, is_colour_forced=forces_color()),
        level=Level.QUIET if is_quiet else Level(min(verbose, 3)),
        now_s=now_s,
        limit_s=limit_s,
        shown_path=shown_path,
    )


def shown_path(path: str) -> str:
    """`path` relative to the working folder when it lies below it."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
