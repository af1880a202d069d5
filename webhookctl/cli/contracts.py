"""`webhookctl test`: contracts of a receiver, played and judged."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from webhookctl.cli import options
from webhookctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from webhookctl.contract.result import CaseResult, RunResult
    from webhookctl.output.contracts import TestReport
    from webhookctl.wiring.project import Project
    from webhookctl.wiring.reporting import ReportPlan
    from webhookctl.wiring.testing import TestPlan, Work


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
    is_last_failed: Annotated[
        bool, typer.Option("--last-failed", help="Only what failed last time; all when nothing did.")
    ] = False,
    is_first_only: Annotated[bool, typer.Option("-x", help="Stop at the first failure.")] = False,
    max_failures: Annotated[
        int | None,
        typer.Option("--max-failures", metavar="N", min=1, max=options.MANY, help="Stop after N failures."),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            "-j",
            "--jobs",
            metavar="N",
            min=1,
            help="Contract files at once, and cases of one that says parallel = true.",
        ),
    ] = 1,
    repeat: Annotated[
        int, typer.Option("--repeat", metavar="N", min=1, max=100_000, help="Play everything N times.")
    ] = 1,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="N", help="Which orders of many a permuted case tries. [default: random]"
        ),
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
    is_updating: Annotated[
        bool, typer.Option("--update", help="Save the answers of cases with snapshot = true anew.")
    ] = False,
    is_watching: Annotated[
        bool, typer.Option("--watch", help="Play again whenever a file of the project changes.")
    ] = False,
    is_listing: Annotated[bool, typer.Option("--list", help="Show the cases, play none.")] = False,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Accept any certificate of the receiver.")
    ] = None,
    owns_host: Annotated[
        bool,
        typer.Option("--i-own-this-host", help="Allow forged deliveries to a host that is not local."),
    ] = False,
    plain: options.Plain = False,
    json: options.Json = False,
) -> int:
    """Play contracts against a receiver and judge its answers.

    \b
    Examples:
      webhookctl test fixtures/stripe --to http://localhost:3000/webhooks
      webhookctl test contracts/stripe.contract.toml -k 'not slow'

    \b
    Exit codes: 0 all passed, 1 an expectation failed, 2 usage, contract invalid,
    4 fixture invalid or nothing selected, 5 receiver not reached or started.
    """
    import random

    from webhookctl.config import parse_duration
    from webhookctl.wiring.project import open_project
    from webhookctl.wiring.reporting import parse_reports
    from webhookctl.wiring.testing import TestPlan

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
        is_updating=is_updating,
        is_last_failed=is_last_failed,
        owns_host=owns_host,
    )
    if is_listing:
        return _list(project, plan, is_json=json)
    command = _Command(project, plan, parse_reports(report or []), strict, plain, json)
    return command.watch() if is_watching else command.run()


def exit_code(result: "RunResult", *, is_strict: bool) -> ExitCode:
    """0 all passed, 1 an expectation failed (or with `is_strict` a case is unsure), 5 something could not be tried."""
    from webhookctl.contract.result import Outcome

    if result.count(Outcome.FAILED):
        return ExitCode.FINDING
    if result.count(Outcome.ERROR):
        return ExitCode.UNREACHABLE
    return ExitCode.FINDING if is_strict and result.count(Outcome.UNSURE) else ExitCode.OK


def _list(project: "Project", plan: "TestPlan", *, is_json: bool) -> int:
    from webhookctl.output import envelope
    from webhookctl.wiring.testing import load_contracts, selected

    works = selected(project, load_contracts(project, plan), plan)
    if is_json:
        cases: list[dict[str, object]] = [
            {
                "id": work.id,
                "contract": work.contract.origin,
                "line": work.case.place.line or None,
                "name": work.case.name,
                "variant": work.variant.name or None,
            }
            for work in works
        ]
        envelope.write_envelope("test", {"cases": cases}, exit_code=ExitCode.OK)
    else:
        from webhookctl.formats import safe_line

        envelope.write("".join(f"{safe_line(work.id)}\n" for work in works))
    return ExitCode.OK


@dataclass(frozen=True, slots=True)
class _Command:
    """One `webhookctl test` and how it reports."""

    project: "Project"
    plan: "TestPlan"
    reports: "Sequence[ReportPlan]"
    is_strict: bool
    is_plain: bool
    is_json: bool

    def run(self) -> int:
        """Everything once; the exit code."""
        from webhookctl.cli.running import run_async
        from webhookctl.config import forces_color
        from webhookctl.output import envelope
        from webhookctl.output.contracts import Progress, TestReport
        from webhookctl.output.painter import painter
        from webhookctl.wiring.reporting import Eraser, Reports
        from webhookctl.wiring.testing import TestRun, load_contracts, validate_by_schema

        test = TestRun(self.project, load_contracts(self.project, self.plan), self.plan)
        reports = Reports(self.reports)
        is_pretty = not self.is_json and not reports.takes_stdout
        screen = painter(is_plain=self.is_plain, is_colour_forced=forces_color())
        shown = TestReport(screen)
        progress = Progress(total=test.total, is_shown=is_pretty and screen.is_live)
        eraser = Eraser(self.project, test.secret_values())

        def begin(work: "Work") -> None:
            progress.begin(work.name)

        def tell(result: "CaseResult") -> None:
            progress.end()
            result = eraser.case(result)
            text = reports.take(result)
            if is_pretty:
                shown.show(result)
            elif text and not self.is_json:
                envelope.write(text)

        try:
            run = run_async(test.play(validate=validate_by_schema, tell=tell, begin=begin))
        finally:
            progress.clear()
        run = eraser.run(run)
        code = exit_code(run, is_strict=self.is_strict)
        self._finish(run, code, reports.finish(run), shown if is_pretty else None)
        return code

    def _finish(self, run: "RunResult", code: ExitCode, text: str, shown: "TestReport | None") -> None:
        from webhookctl.output import envelope
        from webhookctl.output.reports import FORMATS
        from webhookctl.output.reports.record import run_record
        from webhookctl.wiring.reporting import github_summary

        if self.is_json:
            envelope.write_envelope("test", run_record(run), exit_code=code)
        elif shown is not None:
            shown.sum_up(run)
        else:
            envelope.write(text)
        if github_summary(run) and shown is not None:
            envelope.write(FORMATS["github"](run))

    def watch(self) -> int:
        """Again and again, until Ctrl-C."""
        from webhookctl.errors import WebhookctlError
        from webhookctl.output import envelope
        from webhookctl.wiring.changes import look, wait_for_change

        if self.is_json or self.reports:
            raise UsageError(
                "watch-report",
                "--watch is for people: it goes with neither --json nor --report",
                "leave one out",
            )
        folders = self._folders()
        while True:
            try:
                self.run()
            except WebhookctlError as error:
                envelope.write_error(error)
            seen = look(folders)  # after the run, so that what it wrote itself is no change
            envelope.write_note("waiting for a change (Ctrl-C ends)")
            path = wait_for_change(folders, seen)
            envelope.write_note(f"\n{path} changed")

    def _folders(self) -> "list[Path]":
        """The project, and what was named outside of it."""
        from pathlib import Path

        root = self.project.config.root
        named = [Path(text).resolve() for text in self.plan.paths]
        outside = {
            path if os.path.isdir(path) else path.parent for path in named if not path.is_relative_to(root)
        }
        return [root, *sorted(outside)]


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
