"""`webhookctl relay channel`: make, list, show, change and end the channels of a relay.

On its data folder (told to the relay when one runs there), or through the admin API of a relay elsewhere.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from webhookctl.cli import channel_options, options
from webhookctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from webhookctl.model import Secret
    from webhookctl.output.record import Record
    from webhookctl.wiring.channels import Place

app = typer.Typer(no_args_is_help=True)


@app.callback()
def channel() -> None:
    """The channels of a relay: each is one public URL with a key for who listens."""


def _changing(command: str, text: str) -> None:
    """Add the command that gives a channel options: `new` and `set` take the same."""

    def run(
        name: channel_options.Name,
        policy: channel_options.Policy = None,
        deadline: channel_options.Deadline = None,
        retention: channel_options.Retention = None,
        max_pending: channel_options.MaxPending = None,
        max_pending_bytes: channel_options.MaxPendingBytes = None,
        max_body: channel_options.MaxBody = None,
        gate: channel_options.GateProvider = None,
        gate_secret: channel_options.GateSecret = None,
        allow: channel_options.Allow = None,
        respond: channel_options.Respond = None,
        rate: channel_options.ChannelRate = None,
        burst: channel_options.Burst = None,
        sse: channel_options.Sse = None,
        data: channel_options.Data = None,
        admin: channel_options.AdminUrl = None,
        admin_key: channel_options.AdminKey = None,
        insecure: options.Insecure = None,
        ca_file: options.CaFile = None,
        json: options.Json = False,
        plain: options.Plain = False,
    ) -> int:
        if not name:  # an unset variable of a script; the API would make a name up
            raise UsageError("channel-name-invalid", "the channel's name is empty", "for example my-app")
        given: Record = {
            "policy": policy,
            "deadline_s": None if deadline is None else channel_options.duration(deadline, "--deadline"),
            "retention_s": None if retention is None else channel_options.duration(retention, "--retention"),
            "max_pending": max_pending,
            "max_pending_bytes": None
            if max_pending_bytes is None
            else channel_options.size(max_pending_bytes, "--max-pending-bytes"),
            "max_body_bytes": None if max_body is None else channel_options.size(max_body, "--max-body"),
            "rate_per_s": None if rate is None else channel_options.parse_rate(rate, "--rate"),
            "burst": burst,
            "sse": sse,
        }
        given = {option: value for option, value in given.items() if value is not None}
        if allow:
            given["allow"] = [] if allow == ["any"] else allow
        if respond is not None:
            given["respond"] = None if respond == "none" else respond
        if gate is not None or gate_secret is not None:
            given["gate"] = channel_options.gate(gate, gate_secret)
        if command == "set" and not given:
            raise UsageError(
                "channel-option-missing", "nothing to change", "for example --policy unavailable"
            )
        place = _place(data, admin, admin_key, insecure, ca_file)
        verb = "create" if command == "new" else "change"
        return _act(command, verb, place, name, given, is_json=json, is_plain=plain)

    run.__doc__ = text
    app.command(command)(run)


def _plain(command: str, text: str) -> None:
    """Add a command that takes the channel's name and no options of its own."""

    def run(
        name: channel_options.Name,
        data: channel_options.Data = None,
        admin: channel_options.AdminUrl = None,
        admin_key: channel_options.AdminKey = None,
        insecure: options.Insecure = None,
        ca_file: options.CaFile = None,
        json: options.Json = False,
        plain: options.Plain = False,
    ) -> int:
        place = _place(data, admin, admin_key, insecure, ca_file)
        return _act(command, command, place, name, {}, is_json=json, is_plain=plain)

    run.__doc__ = text
    app.command(command)(run)


_changing(
    "new",
    """Make a channel; its key is shown this once.

    \b
    Examples:
      webhookctl relay channel new my-app
      webhookctl relay channel new payments --gate stripe --gate-secret env:STRIPE_WEBHOOK_SECRET --json
    """,
)
_changing(
    "set",
    """Change options of a channel; the others stay. `--allow any` lets everybody send again.

    \b
    Examples:
      webhookctl relay channel set my-app --policy unavailable --deadline 25s
      webhookctl relay channel set my-app --respond none
    """,
)


@app.command("list")
def list_channels(
    data: channel_options.Data = None,
    admin: channel_options.AdminUrl = None,
    admin_key: channel_options.AdminKey = None,
    insecure: options.Insecure = None,
    ca_file: options.CaFile = None,
    json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """List the channels, and how many deliveries wait in each.

    \b
    Examples:
      webhookctl relay channel list
      webhookctl relay channel list --json | jq '.data.channels[].url'
    """
    return _act(
        "list",
        "list",
        _place(data, admin, admin_key, insecure, ca_file),
        "",
        {},
        is_json=json,
        is_plain=plain,
    )


_plain(
    "show",
    """Show a channel: URL, what waits, options. Never its key.

    \b
    Examples:
      webhookctl relay channel show my-app
      webhookctl relay channel show my-app --json | jq .data.pending
    """,
)
_plain(
    "rotate",
    """Give a channel a new key. Whoever listens with the old one is cut off at once; the URL stays.

    \b
    Examples:
      webhookctl relay channel rotate my-app
      webhookctl relay channel rotate my-app --json | jq -r .data.key
    """,
)
_plain(
    "revoke",
    """Take a channel's key away: nobody listens, senders get 404. `rotate` opens it again.

    \b
    Examples:
      webhookctl relay channel revoke my-app
      webhookctl relay channel revoke my-app --admin https://hooks.example.com --admin-key env:RELAY_ADMIN_KEY
    """,
)
_plain(
    "pause",
    """Keep a channel's deliveries on the relay for now: they are stored and answered, and sent to nobody.

    \b
    Examples:
      webhookctl relay channel pause my-app
      webhookctl relay channel pause my-app && ./deploy && webhookctl relay channel resume my-app
    """,
)
_plain(
    "resume",
    """Send a paused channel's deliveries again: what waited first, in order.

    \b
    Examples:
      webhookctl relay channel resume my-app
      webhookctl relay channel resume my-app --json
    """,
)


@app.command("remove")
def remove(
    name: channel_options.Name,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask, though deliveries wait in it.")
    ] = False,
    data: channel_options.Data = None,
    admin: channel_options.AdminUrl = None,
    admin_key: channel_options.AdminKey = None,
    insecure: options.Insecure = None,
    ca_file: options.CaFile = None,
    json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """Remove a channel with all that waits in it. Its URL and key never come back.

    \b
    Examples:
      webhookctl relay channel remove my-app
      webhookctl relay channel remove my-app --yes --json
    """
    place = _place(data, admin, admin_key, insecure, ca_file)
    if not yes:
        pending = _run(place, "show", name, {})["pending"]
        if pending:
            _confirm(name, pending)
    return _act("remove", "remove", place, name, {}, is_json=json, is_plain=plain)


def _confirm(name: str, pending: object) -> None:
    """Ask a person; raises UsageError `confirmation-missing` where there is none, Abort when they say no."""
    what = f"{pending} {'delivery waits' if pending == 1 else 'deliveries wait'} in {name}"
    if not sys.stdin.isatty():
        raise UsageError("confirmation-missing", what, "--yes removes them too")
    typer.confirm(f"{what}. Remove them too?", abort=True, err=True)


def _place(
    data: Path | None, admin: str | None, key: str | None, insecure: bool | None, ca_file: Path | None
) -> "Place":
    from webhookctl.wiring.channels import Place

    if admin is not None and data is not None:
        raise UsageError("place-ambiguous", "--data and --admin name two relays", "give one of them")
    if key is not None and admin is None:
        raise UsageError("admin-url-missing", "--admin-key without --admin URL", "--data needs no key")
    admin_key = secret(key, "--admin-key")
    return Place(folder(data), admin or "", admin_key, is_insecure=bool(insecure), ca_file=ca_file)


def folder(data: Path | None) -> Path:
    from webhookctl.config import relay_data_folder

    return (data or relay_data_folder()).expanduser().absolute()


def secret(reference: str | None, option: str) -> "Secret | None":
    from webhookctl.config import read_secret

    if reference is None:
        return None
    if not reference.startswith(("env:", "file:")):
        raise UsageError(
            "admin-key-literal",
            f"{option} is a reference, so that others cannot see the key",
            f"{option} env:NAME",
        )
    return read_secret(reference, base=Path())


def _run(place: "Place", verb: str, name: str, given: "Record") -> "Record":
    from webhookctl.cli.running import run_async
    from webhookctl.wiring.channels import Verb, act
    from webhookctl.wiring.project import open_project

    return run_async(act(open_project(), place, Verb(verb), name, given))


def _act(
    command: str, verb: str, place: "Place", name: str, given: "Record", *, is_json: bool, is_plain: bool
) -> int:
    """Do it, and show the channel (or channels) as it is now."""
    from webhookctl.output import envelope

    record = _run(place, verb, name, given)
    if is_json:
        envelope.write_envelope(f"relay channel {command}", record, exit_code=ExitCode.OK)
        return ExitCode.OK
    from webhookctl.config import forces_color
    from webhookctl.output.painter import painter
    from webhookctl.output.relay import channel_lines, key_lines, listing_lines

    paint = painter(is_plain=is_plain, is_colour_forced=forces_color())
    if verb == "list":
        channels = record["channels"]
        assert isinstance(channels, list)
        for line in listing_lines(channels):
            paint.line(line)
        if not channels:
            envelope.write_note("no channels yet: `webhookctl relay channel new my-app`")
        return ExitCode.OK
    lines = key_lines(record) if "key" in record else channel_lines(record)
    if verb == "remove":
        lines = lines[:1]
        envelope.write_note("removed:")
    for line in lines:
        paint.line(line)
    return ExitCode.OK
