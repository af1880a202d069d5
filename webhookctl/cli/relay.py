"""`webhookctl relay`: serve a relay. Its channels: cli/channels.py."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from webhookctl.cli import channel_options, channels, options
from webhookctl.errors import UsageError

if TYPE_CHECKING:
    from webhookctl.events import ServeEvent

app = typer.Typer(no_args_is_help=True)
app.add_typer(channels.app, name="channel")


@app.callback()
def relay() -> None:
    """The public end of the tunnel, on a server of yours: stores each delivery, then answers; nothing is lost."""


@app.command("serve")
def serve(
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
    ] = "127.0.0.1:4480",
    data: channel_options.Data = None,
    public_url: Annotated[
        str | None,
        typer.Option(
            "--public-url", metavar="URL", help="The URL senders reach it by. [default: where it listens]"
        ),
    ] = None,
    domain: Annotated[
        str | None,
        typer.Option(
            "--domain", metavar="DOMAIN", help="Give each channel a host: https://<channel>.DOMAIN."
        ),
    ] = None,
    tls_cert: Annotated[
        str | None,
        typer.Option("--tls-cert", metavar="FILE", help="Certificate (PEM), to serve HTTPS itself."),
    ] = None,
    tls_key: Annotated[
        str | None, typer.Option("--tls-key", metavar="FILE", help="Its private key (PEM).")
    ] = None,
    admin_key: Annotated[
        str | None,
        typer.Option(
            "--admin-key",
            metavar="env:NAME|file:PATH",
            help="Allow `relay channel … --admin URL` with this key.",
        ),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            "--trusted-proxy",
            metavar="NETWORK",
            help="Believe X-Forwarded-For and -Proto of these addresses. Repeatable.",
        ),
    ] = None,
    address_rate: Annotated[
        str | None,
        typer.Option(
            "--address-rate", metavar="N/s", help="Requests of one sender's address at most; others get 429."
        ),
    ] = None,
    open_channels: Annotated[
        bool, typer.Option("--open-channels", help="Let everybody who reaches it make channels.")
    ] = False,
    anonymous: Annotated[
        bool,
        typer.Option(
            "--anonymous", help="Let everybody make channels, small ones that end after --anonymous-ttl."
        ),
    ] = False,
    anonymous_ttl: Annotated[
        str, typer.Option("--anonymous-ttl", metavar="TIME", help="How long such a channel lives.")
    ] = "24h",
    anonymous_channels: Annotated[
        int, typer.Option("--anonymous-channels", metavar="N", min=1, help="Such channels of one address.")
    ] = 5,
    json: options.Json = False,
    plain: options.Plain = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Start, end and errors only.")] = False,
) -> int:
    """Serve a relay until Ctrl-C.

    \b
    Examples:
      webhookctl relay serve
      webhookctl relay serve --public-url https://hooks.example.com --trusted-proxy 127.0.0.1

    Each delivery is on disk before its sender is answered. Clients (`listen --relay`) get it at once, or when they
    come back.
    """
    from webhookctl.cli.running import calm_collector, run_async
    from webhookctl.wiring import relaying
    from webhookctl.wiring.project import open_project

    if (tls_cert is None) != (tls_key is None):
        raise UsageError("tls-invalid", "--tls-cert and --tls-key go together", "give both, PEM files")
    host, port = _address(listen)
    plan = relaying.ServePlan(
        data_folder=channels.folder(data),
        host=host,
        port=port,
        public_url=_public_url(public_url),
        domain=(domain or "").strip(".").lower(),
        tls=(tls_cert, tls_key) if tls_cert and tls_key else None,
        trusted_proxies=tuple(trusted_proxy or ()),
        admin_key=channels.secret(admin_key, "--admin-key"),
        is_open=open_channels,
        guest_lifetime_s=channel_options.duration(anonymous_ttl, "--anonymous-ttl") if anonymous else 0.0,
        guest_channels=anonymous_channels,
        address_rate_per_s=channel_options.parse_rate(address_rate, "--address-rate")
        if address_rate
        else 0.0,
    )
    renderer = _renderer(is_json=json, is_plain=plain, is_quiet=quiet, is_data_default=data is None)
    calm_collector()
    return run_async(relaying.serve(open_project(), plan, [renderer]))


def _renderer(
    *, is_json: bool, is_plain: bool, is_quiet: bool, is_data_default: bool
) -> "Callable[[ServeEvent], None]":
    from webhookctl.config import forces_color
    from webhookctl.output.painter import painter
    from webhookctl.output.relay import ServeLines, ServeNdjson
    from webhookctl.wiring.project import now_s

    if is_json:
        return ServeNdjson(sys.stdout, now_s=now_s)
    paint = painter(is_plain=is_plain, is_colour_forced=forces_color())
    return ServeLines(paint, is_quiet=is_quiet, is_data_default=is_data_default)


def _address(text: str) -> tuple[str, int]:
    """The host and port in ``HOST:PORT``, ``[::1]:PORT`` or a port alone."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else "127.0.0.1"
    if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise UsageError("listen-invalid", f"--listen {text!r} is not HOST:PORT", "for example 0.0.0.0:4480")
    return host, int(port)


def _public_url(text: str | None) -> str:
    from webhookctl.address import parse_endpoint

    if text is None:
        return ""
    endpoint = parse_endpoint(text)
    return endpoint.url.rstrip("/")
