"""`webhookctl test`: contracts of a receiver, played and judged."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from webhookctl.cli import options
from webhookctl.errors import ExitCode

if TYPE_CHECKING:
    from webhookctl.contract.result import CaseResult, RunResult


def play_contracts(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH...]",
            help="Contract files, fixtures, or folders of them. [default: contracts/, else the fixtures]",
        ),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="The receiver, in place of the contract's.")
    ] = None,
    provider: options.Provider = None,
    secret: options.Secrets = None,
    keyword: Annotated[
        str | None,
        typer.Option("-k", metavar="EXPR", help="Only cases whose name fits: 'paid and not tampered'."),
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option("--case", metavar="NAME", help="Only this case. Repeatable.")
    ] = None,
    is_first_only: Annotated[bool, typer.Option("-x", help="Stop at the first failure.")] = False,
    max_failures: Annotated[
        int | None, typer.Option("--max-failures", metavar="N", min=1, help="Stop after N failures.")
    ] = None,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", metavar="N", min=1, help="Contract files at once.")
    ] = 1,
    repeat: Annotated[int, typer.Option("--repeat", metavar="N", min=1, help="Play everything N times.")] = 1,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Order of permuted cases. [default: random]")
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="TIME", help="Wait so long for an answer. [default: 30s]"),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Count unsure cases as failed.")] = False,
    report: Annotated[
        list[str] | None,
        typer.Option(
            "--report",
            metavar="FORMAT[=FILE]",
            help="Also write json, ndjson, junit, tap, github, md or html. Repeatable; without a file to stdout.",
        ),
    ] = None,
    is_listing: Annotated[bool, typer.Option("--list", help="Show the cases, play none.")] = False,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Accept any certificate of the receiver.")
    ] = None,
    plain: options.Plain = False,
    json: options.Json = False,
) -> int:
    """Play contracts against a receiver and judge its answers: exit code 0, 1 for a failed expectation, 5 for errors.

    \b
    Examples:
      webhookctl test fixtures/stripe --to http://localhost:3000/webhooks
      webhookctl test contracts/stripe.contract.toml -k 'not slow'
    """
    import random

    from webhookctl.cli.running import run_async
    from webhookctl.config import forces_color, parse_duration
    from webhookctl.output import envelope
    from webhookctl.output.contracts import TestReport
    from webhookctl.output.painter import painter
    from webhookctl.output.reports import FORMATS
    from webhookctl.output.reports.record import run_record
    from webhookctl.wiring.project import open_project
    from webhookctl.wiring.reporting import (
        Eraser,
        github_summary,
        parse_reports,
        secret_values,
        write_reports,
    )
    from webhookctl.wiring.testing import (
        TestPlan,
        load_contracts,
        run_tests,
        selected_ids,
        validate_by_schema,
    )

    project = open_project()
    config = project.config
    plan = TestPlan(
        paths=tuple(paths or ()),
        to=to,
        provider=provider,
        secrets=tuple(secret or ()),
        selects=_selection(keyword, case or []),
        jobs=jobs,
        repeat=repeat,
        seed=random.randrange(2**31) if seed is None else seed,  # noqa: S311  (an order, no secret)
        max_failures=1 if is_first_only else max_failures,
        timeout_s=config.timeout_s if timeout is None else parse_duration(timeout, "--timeout"),
        is_insecure=config.insecure if insecure is None else insecure,
        ca_file=config.ca_file,
    )
    contracts = load_contracts(project, plan)
    if is_listing:
        ids = selected_ids(contracts, plan)
        envelope.write("".join(f"{each}\n" for each in ids))
        return ExitCode.OK
    plans = parse_reports(report or [])
    takes_stdout = json or any(each.path is None for each in plans)
    shown = TestReport(painter(is_plain=plain, is_colour_forced=forces_color()))
    eraser = Eraser(project, secret_values(project, contracts))

    def tell(result: "CaseResult") -> None:
        if not takes_stdout:
            shown.show(eraser.case(result))

    run = run_async(run_tests(project, contracts, plan, validate=validate_by_schema, tell=tell))
    run = eraser.run(run)
    code = exit_code(run, is_strict=strict)
    text = write_reports(run, plans)
    if json:
        envelope.write_envelope("test", run_record(run), exit_code=code)
    elif takes_stdout:
        envelope.write(text)
    else:
        shown.sum_up(run)
        if github_summary(run):
            envelope.write(FORMATS["github"](run))
    return code


def exit_code(result: "RunResult", *, is_strict: bool) -> ExitCode:
    """0 all passed, 1 an expectation failed (or with `is_strict` a case is unsure), 5 something could not be tried."""
    from webhookctl.contract.result import Outcome

    if result.count(Outcome.FAILED):
        return ExitCode.FINDING
    if result.count(Outcome.ERROR):
        return ExitCode.UNREACHABLE
    return ExitCode.FINDING if is_strict and result.count(Outcome.UNSURE) else ExitCode.OK


def _selection(keyword: str | None, cases: Sequence[str]) -> Callable[[str], bool]:
    """Whether a result id is meant by -k and --case."""
    from webhookctl.contract.select import expression

    fits = expression(keyword) if keyword else None

    def selects(result_id: str) -> bool:
        name = result_id.partition("::")[2]
        if cases and not any(name == each or name.partition(" [")[0] == each for each in cases):
            return False
        return fits is None or fits(result_id)

    return selects
