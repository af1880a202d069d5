"""`webhookctl contract`: what a contract file can be filled with by trying: the fields that a receiver reads."""

import sys
from pathlib import Path
from typing import Annotated, Self

import typer

from webhookctl.cli import options
from webhookctl.errors import ExitCode, UsageError

app = typer.Typer(no_args_is_help=True)


@app.callback()
def contract() -> None:
    """Find out what a contract has to say: which fields of an event a receiver reads."""


@app.command("learn")
def learn(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DELIVERY",
            help="Fixtures, folders of them, events of the catalogue; a contract file. [default: the contract's own]",
            autocompletion=options.complete_fixture,
        ),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="The receiver, in place of the contract's.")
    ] = None,
    contract_file: Annotated[
        Path | None,
        typer.Option("--contract", metavar="FILE", help="Its receiver is started, its mocks are watched."),
    ] = None,
    is_writing: Annotated[
        bool, typer.Option("--write", help="Write what is read into the contract file.")
    ] = False,
    provider: options.Provider = None,
    secret: options.Secrets = None,
    max_requests: Annotated[
        int, typer.Option("--max-requests", metavar="N", min=10, help="Send at most about so many.")
    ] = 2_000,
    timeout: options.Timeout = None,
    insecure: options.Insecure = None,
    owns_host: Annotated[
        bool, typer.Option("--i-own-this-host", help="Allow a receiver on a host that is not local.")
    ] = False,
    plain: options.Plain = False,
    json: options.Json = False,
) -> int:
    """Find out which fields a receiver reads: each is removed, nulled and retyped, signed again, and answers compared.

    \b
    Examples:
      webhookctl contract learn payment_intent.succeeded --to http://localhost:3000/webhooks
      webhookctl contract learn contracts/stripe.contract.toml --write
    """
    from webhookctl.cli.running import run_async
    from webhookctl.config import forces_color, parse_duration
    from webhookctl.contract.learn import merged
    from webhookctl.contract.reads import reads_toml
    from webhookctl.output import envelope
    from webhookctl.output.learning import learned_lines, learned_record
    from webhookctl.output.painter import painter
    from webhookctl.wiring.learning import LearnPlan, learn_reads, write_reads
    from webhookctl.wiring.project import open_project

    targets = targets or []
    named = [target for target in targets if target.endswith(".contract.toml")]
    if contract_file is None and len(named) == 1:
        contract_file, targets = Path(named[0]), [target for target in targets if target != named[0]]
    elif named:
        raise UsageError("contract-ambiguous", "one contract at a time", "name one of them: --contract FILE")
    if is_writing and contract_file is None:
        raise UsageError("contract-missing", "--write needs a file to write into", "name it: --contract FILE")
    project = open_project()
    plan = LearnPlan(
        tuple(targets),
        to=to,
        contract=contract_file,
        provider=provider,
        secrets=tuple(secret or ()),
        max_requests=max_requests,
        timeout_s=10.0 if timeout is None else parse_duration(timeout, "--timeout"),
        is_insecure=bool(insecure),
        owns_host=owns_host,
    )
    with _Progress() as progress:
        several = run_async(learn_reads(project, plan, tell=progress.tell))
    reads = merged(several)
    if is_writing and contract_file is not None:
        write_reads(contract_file, reads)
    if json:
        envelope.write_envelope("contract learn", learned_record(several, reads), exit_code=ExitCode.OK)
        return ExitCode.OK
    shown = painter(sys.stderr, is_plain=plain, is_colour_forced=forces_color())
    for learned in several:
        for line in learned_lines(learned):
            shown.line(line)
    if is_writing:
        envelope.write_note(f"written into {contract_file}")
    else:
        envelope.write(reads_toml(reads))
    return ExitCode.OK


class _Progress:
    """Shows on a terminal how far it is, in one line that is overwritten and taken away; nothing elsewhere."""

    def __enter__(self) -> Self:
        self._is_live = sys.stderr.isatty()
        return self

    def __exit__(self, *_: object) -> None:
        self._show("")

    def tell(self, label: str, done: int, total: int) -> None:
        """`done` of `total` paths of the delivery `label` were tried."""
        from webhookctl.formats import safe_line

        self._show(f"{safe_line(label)[:50]}: {done} of {total} paths")

    def _show(self, text: str) -> None:
        if self._is_live:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
