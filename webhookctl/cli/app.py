"""The application: all commands, and what happens to every error on its way to the terminal.

The only place that turns an error into an exit code.
"""

import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from webhookctl import __version__
from webhookctl.cli import config, demo, doctor, fixtures, listen, log, replay, show, sign, trigger, verify
from webhookctl.errors import ExitCode, UsageError, WebhookctlError

app = typer.Typer(
    name="webhookctl",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help is printed in half the time
    pretty_exceptions_enable=False,  # they show local variables, which may hold secrets
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", "-V", help="Show the version."),
    traceback: bool = typer.Option(  # noqa: ARG001  (`run` looks for it itself, also when parsing fails)
        False, "--traceback", help="Show Python's traceback of an error."
    ),
) -> None:
    """Receive, verify, record, replay and forge webhooks: any provider, offline, exact to the byte.

    \b
    Two terminals, no set-up:
      webhookctl listen --forward-to http://localhost:3000/webhooks
      webhookctl trigger payment_intent.succeeded

    \b
    Exit codes: 0 ok, 1 a finding, 2 usage, 3 signature invalid, 4 fixture invalid,
    5 unreachable or timed out, 70 a bug of ours, 130 interrupted.
    """
    if version:
        sys.stdout.write(f"webhookctl {__version__}\n")
        raise typer.Exit


app.command("listen")(listen.listen)
app.command("trigger")(trigger.trigger)
app.command("replay")(replay.replay)
app.command("sign")(sign.sign)
app.command("verify")(verify.verify)
app.command("log")(log.log)
app.command("show")(show.show)
app.add_typer(fixtures.app, name="fixtures")
app.add_typer(config.app, name="config")
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)


def run(arguments: Sequence[str]) -> int:
    """Run the command in `arguments`; its exit code. Errors are shown, never raised."""
    from webhookctl.output import envelope

    try:
        code = app(args=list(arguments), prog_name="webhookctl", standalone_mode=False)
        return int(code) if isinstance(code, int) else ExitCode.OK
    except WebhookctlError as error:
        if "--traceback" in arguments:
            raise
        return _report(error, arguments)
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        envelope.discard_output()
        return ExitCode.OK
    except TyperException as error:
        return _report(_usage_error(error), arguments)
    except Exception as error:
        if "--traceback" in arguments:
            raise
        bug = WebhookctlError(
            "internal",
            f"webhookctl {__version__} failed: {type(error).__name__}: {error}",
            "this is a bug of ours; run it again with `webhookctl --traceback …` and report what it prints",
        )
        return _report(bug, arguments)


def _usage_error(error: TyperException) -> UsageError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "webhookctl"
    format_message = getattr(error, "format_message", None)
    message = format_message() if format_message else str(error)
    return UsageError("usage", message.rstrip("."), f"{path} --help shows the options")


def _report(error: WebhookctlError, arguments: Sequence[str]) -> int:
    from webhookctl.output import envelope

    if "--json" in arguments:
        command = next((argument for argument in arguments if not argument.startswith("-")), "")
        record = envelope.error_record(error)
        envelope.write_envelope(command, None, exit_code=error.exit_code, errors=[record])
    else:
        envelope.write_error(error)
    return error.exit_code
