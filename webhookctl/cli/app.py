"""The application: all commands, and what happens to every error on its way to the terminal.

The only place that turns an error into an exit code.
"""

import sys
from collections.abc import Sequence
from errno import EDQUOT, ENOSPC

import typer
from typer.exceptions import TyperException

from webhookctl import __version__
from webhookctl.cli import (
    config,
    contract,
    contracts,
    demo,
    doctor,
    drift,
    fixtures,
    keys,
    listen,
    log,
    providers,
    relay,
    replay,
    show,
    sign,
    trigger,
    verify,
)
from webhookctl.errors import ExitCode, UsageError, WebhookctlError

_TRACEBACK = "--traceback"

app = typer.Typer(
    name="webhookctl",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help is printed in half the time
    pretty_exceptions_enable=False,  # they show local variables, which may hold secrets
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        sys.stdout.write(f"webhookctl {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(  # its callback answers
        False, "--version", "-V", help="Show the version.", is_eager=True, callback=_show_version
    ),
    traceback: bool = typer.Option(  # `run` looks for it itself, wherever it stands
        False, _TRACEBACK, help="Show Python's traceback of an error."
    ),
) -> None:
    """Receive, verify, record, replay and forge webhooks: any provider, offline, exact to the byte.

    \b
    Two terminals, no set-up:
      webhookctl listen --forward-to http://localhost:3000/webhooks
      webhookctl trigger payment_intent.succeeded

    \b
    Exit codes: 0 ok, 1 a finding, 2 usage, 3 signature invalid, 4 fixture invalid,
    5 unreachable or timed out, 6 relay, 70 a bug of ours, 130 interrupted.
    """


app.command("listen")(listen.listen)
app.command("trigger")(trigger.trigger)
app.command("replay")(replay.replay)
app.command("test")(contracts.play_contracts)
app.command("drift")(drift.drift)
app.command("sign")(sign.sign)
app.command("verify")(verify.verify)
app.command("log")(log.log)
app.command("show")(show.show)
app.add_typer(contract.app, name="contract")
app.add_typer(fixtures.app, name="fixtures")
app.add_typer(keys.app, name="keys")
app.add_typer(providers.app, name="providers")
app.add_typer(relay.app, name="relay")
app.add_typer(config.app, name="config")
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)


def run(arguments: Sequence[str]) -> int:
    """Run the command in `arguments`; its exit code. Errors are shown, never raised."""
    from webhookctl.output import envelope

    try:
        words = [argument for argument in arguments if argument != _TRACEBACK]  # it may stand anywhere
        code = app(args=words, prog_name="webhookctl", standalone_mode=False)
        return int(code) if isinstance(code, int) else ExitCode.OK
    except WebhookctlError as error:
        return _report(error, arguments)
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # Typer's way: whoever read the output is gone
            return ExitCode.OK
        raise  # the end of a shell completion
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # Typer does not export it; its message is the help
            envelope.write_help(error.format_message())
            return ExitCode.USAGE
        return _report(_usage_error(error), arguments)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
            envelope.discard_output()
            return _report(
                UsageError("disk-full", f"cannot write: {error.strerror}", "make room, then run it again"), ()
            )
        bug = WebhookctlError(
            "internal",
            f"webhookctl {__version__} failed: {type(error).__name__}: {error}",
            "this is a bug of ours; run it again with --traceback and report what it prints",
        )
        bug.__cause__ = error
        return _report(bug, arguments)


def _usage_error(error: TyperException) -> UsageError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "webhookctl"
    format_message = getattr(error, "format_message", None)
    message = format_message() if format_message else str(error)
    return UsageError("usage", message.rstrip("."), f"{path} --help shows the options")


def _report(error: WebhookctlError, arguments: Sequence[str]) -> int:
    from webhookctl.output import envelope

    if _TRACEBACK in arguments:
        envelope.write_traceback(error)
    if "--json" in arguments:
        record = envelope.error_record(error)
        try:
            envelope.write_envelope(_command(arguments), None, exit_code=error.exit_code, errors=[record])
        except BrokenPipeError:
            envelope.discard_output()
    else:
        envelope.write_error(error)
    return error.exit_code


def _command(arguments: Sequence[str]) -> str:
    """The command that `arguments` name, as far as they do: `sign`, `fixtures show`, `relay channel new`."""
    words = [argument for argument in arguments if not argument.startswith("-")]
    group, length = app, 1
    for word in words:
        inner = [each.typer_instance for each in group.registered_groups if each.name == word]
        if not inner or inner[0] is None:
            break
        group, length = inner[0], length + 1
    return " ".join(words[:length])
