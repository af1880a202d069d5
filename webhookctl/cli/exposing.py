"""Options of `listen` about a public URL and the webhook at its provider, and the plan they make."""

from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import typer

from webhookctl.errors import UsageError

if TYPE_CHECKING:
    from webhookctl.wiring.exposing import ExposePlan

Tunnel: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--tunnel",
        metavar="cloudflared|ngrok",
        help="Run this program beside the listener: it gives a public URL while we listen.",
    ),
]
PublicUrl: TypeAlias = Annotated[
    str | None,
    typer.Option("--public-url", metavar="URL", help="The URL that already leads here, for --register."),
]
Register: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--register",
        metavar="github:OWNER/REPO",
        help="Make the webhook there for the public URL, with this project's secret; removed when we stop.",
    ),
]
RegisterEvents: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--register-events", metavar="EVENT", help="Events to register for: push,issues. [default: all]"
    ),
]
RegisterToken: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--register-token",
        metavar="env:NAME|file:PATH",
        help="Token of the provider's API. [default: env:GITHUB_TOKEN]",
    ),
]
RegisterKeep: TypeAlias = Annotated[
    bool,
    typer.Option("--register-keep", help="Leave the webhook when we stop; the next run takes it up again."),
]
Backfill: TypeAlias = Annotated[
    bool,
    typer.Option("--backfill", help="Ask the provider again for deliveries that failed or were missed."),
]


class ExposeOptions(NamedTuple):
    """The options about a public URL, as given."""

    tunnel: str | None
    public_url: str | None
    register: str | None
    events: list[str] | None
    token: str | None
    is_kept: bool
    is_backfilling: bool

    @property
    def is_elsewhere(self) -> bool:
        """Whether the public URL is another one than that of a relay: stronger than a relay of the configuration."""
        return bool(self.tunnel or self.public_url)


def expose_plan(given: ExposeOptions) -> "ExposePlan":
    """Raises UsageError `register-missing`, `register-token-open` or `url-invalid`."""
    from webhookctl.wiring.exposing import ExposePlan
    from webhookctl.wiring.registering import RegisterPlan

    public_url = _checked(given.public_url)
    if given.register is None:
        if any(given[3:]):
            raise UsageError(
                "register-missing",
                "where? --register-events, --register-token, --register-keep and --backfill are about a webhook",
                "name it with --register github:OWNER/REPO",
            )
        return ExposePlan(given.tunnel or "", public_url)
    if given.token and not given.token.startswith(("env:", "file:")):
        raise UsageError(
            "register-token-open",
            "--register-token holds the token itself: others on this machine can see it",
            "put it into a variable and write --register-token env:NAME",
        )
    events = tuple(name for text in given.events or () for name in text.replace(",", " ").split())
    registered = RegisterPlan(
        given.register,
        given.token,
        events or ("*",),
        is_kept=given.is_kept,
        is_backfilling=given.is_backfilling,
    )
    return ExposePlan(given.tunnel or "", public_url, registered)


def _checked(url: str | None) -> str:
    if not url:
        return ""
    from webhookctl.address import parse_endpoint

    if "://" not in url:
        raise UsageError("url-invalid", f"{url!r} is not a whole URL", f"write https://{url}")
    return parse_endpoint(url).url
