"""The options of channels, named and explained once, and their texts turned into what the relay takes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from webhookctl.cli import options
from webhookctl.errors import UsageError

if TYPE_CHECKING:
    from webhookctl.output.record import Record

Data: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Data folder of the relay. [default: the user's own data folder]"
    ),
]
AdminUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--admin", metavar="URL", help="A relay elsewhere, instead of a data folder: its public URL."
    ),
]
AdminKey: TypeAlias = Annotated[
    str | None, typer.Option("--admin-key", metavar="env:NAME|file:PATH", help="The relay's admin key.")
]
Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="Name or id of the channel.")]
Policy: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="queued|unavailable|hold",
        help="What the sender gets when the app has not answered in time: 202, 503, or nothing yet. [default: queued]",
    ),
]
Deadline: TypeAlias = Annotated[
    str | None,
    typer.Option("--deadline", metavar="TIME", help="How long the sender waits for the app. [default: 10s]"),
]
Retention: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--retention", metavar="TIME", help="How long a delivery waits for its client. [default: 7d]"
    ),
]
MaxPending: TypeAlias = Annotated[
    int | None,
    typer.Option("--max-pending", metavar="N", help="Deliveries that may wait; 0 no limit. [default: 10000]"),
]
MaxPendingBytes: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--max-pending-bytes", metavar="SIZE", help="Bytes that may wait; 0 no limit. [default: 256MiB]"
    ),
]
MaxBody: TypeAlias = Annotated[
    str | None, typer.Option("--max-body", metavar="SIZE", help="Largest body taken in. [default: 32MiB]")
]
GateProvider: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--gate",
        metavar="PROVIDER",
        help="Take in only what this provider signed; others get 401. 'none' ends it.",
        autocompletion=options.complete_provider,
    ),
]
GateSecret: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--gate-secret",
        metavar="env:NAME|file:PATH",
        help="The provider's signing secret, where the relay finds it: its environment, or its data folder.",
    ),
]
Allow: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--allow", metavar="NETWORK", help="Only these addresses may send: 192.0.2.0/24. Repeatable."
    ),
]
Respond: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--respond",
        metavar="STATUS[:BODY]",
        help="Answer every sender at once with this; the app gets the delivery all the same. 'none' ends it.",
    ),
]
ChannelRate: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--rate", metavar="N/s", help="Deliveries a second at most: 10/s, 300/m; 0 no limit. Others get 429."
    ),
]
Burst: TypeAlias = Annotated[
    int | None,
    typer.Option("--burst", metavar="N", help="Deliveries at once above the rate. [default: twice the rate]"),
]
Sse: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--sse/--no-sse",
        help="Let everybody who knows the URL read deliveries as events: for clients of smee.io and gosmee.",
        show_default=False,
    ),
]


def gate(provider: str | None, secret: str | None) -> "Record | None":
    if provider == "none" and secret is None:
        return None
    if provider is None or secret is None or provider == "none":
        raise UsageError(
            "gate-invalid", "--gate and --gate-secret go together", "--gate stripe --gate-secret env:NAME"
        )
    return {"provider": provider, "secret": secret}


def duration(text: str, option: str) -> float:
    from webhookctl.config import parse_duration

    return parse_duration(text, option)


def size(text: str, option: str) -> int:
    from webhookctl.config import parse_size

    return parse_size(text, option)


def parse_rate(text: str, option: str) -> float:
    """As for sending; 0 means no limit."""
    from webhookctl.cli import sending

    return 0.0 if text == "0" else sending.parse_rate(text, option)
