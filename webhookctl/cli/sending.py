"""What `trigger` and `replay` share: options into a plan, the sending itself, and the exit code."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from webhookctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from webhookctl.delivery.run import Prepare, Sent
    from webhookctl.model import Endpoint
    from webhookctl.output.painter import Painter
    from webhookctl.signing.attack import Attack
    from webhookctl.wiring.project import Project
    from webhookctl.wiring.sending import SendOptions

_FEW, _FEW_AT_ONCE = 100, 10  # up to here it is development, above it is a load test


def imagined_endpoint(project: "Project") -> "Endpoint":
    """Where a dry run would go: the real default where there is one, else the listener's usual address."""
    from webhookctl.address import parse_endpoint

    try:
        return project.target(None)
    except UsageError:
        return parse_endpoint(f"http://{project.config.host}:{project.config.port}")


def full_url(endpoint: "Endpoint") -> str:
    """The URL that a request to `endpoint` has, for the schemes that sign it."""
    return endpoint.url if endpoint.path else f"{endpoint.url}/"


def send_options(
    project: "Project",
    endpoint: "Endpoint",
    *,
    times: int,
    concurrency: int,
    rate: str | None,
    timeout: str | None,
    insecure: bool | None,
    ca_file: Path | None,
) -> "SendOptions":
    """Flags over configuration. Raises UsageError for a rate or a time that cannot be read."""
    from webhookctl.config import parse_duration
    from webhookctl.wiring.sending import SendOptions
    from webhookctl.wiring.sources import listener_certificate

    config = project.config
    return SendOptions(
        endpoint,
        timeout_s=config.timeout_s if timeout is None else parse_duration(timeout, "--timeout"),
        times=times,
        concurrency=concurrency,
        interval_s=0.0 if rate is None else 1.0 / parse_rate(rate),
        is_insecure=config.insecure if insecure is None else insecure,
        ca_file=ca_file or config.ca_file or listener_certificate(project, endpoint),
    )


def parse_rate(text: str, option: str = "--rate") -> float:
    """Requests a second from `10/s`, `10` or `30/m`. Raises UsageError `rate-invalid`."""
    number, _, unit = text.partition("/")
    per_s = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}.get(unit.strip())
    try:
        rate = float(number) / per_s if per_s else 0.0
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise UsageError("rate-invalid", f"{option} {text!r} is not a rate", "write 10/s or 30/m")
    return rate


@dataclass(frozen=True, slots=True)
class Command:
    """One run of `trigger` or `replay` and how it reports."""

    name: str
    is_json: bool
    is_plain: bool
    attack: "Attack | None" = None  # then the last answer has to be a refusal

    def show_only(self, work: "Sequence[Prepare]", endpoint: "Endpoint") -> int:
        """The exact requests, not sent."""
        from dataclasses import replace

        from webhookctl.address import addressed
        from webhookctl.model import with_headers
        from webhookctl.output import envelope
        from webhookctl.output import sending as output

        shown: list[dict[str, object]] = []
        for prepare in work:
            prepared = prepare()
            request = addressed(prepared.request, endpoint)
            origin = endpoint.origin
            request = replace(request, headers=with_headers(request.headers, prepared.added))
            if self.is_json:
                shown.append(output.prepared_record(prepared, request, origin + request.target))
            else:
                output.show_request(self.painter(), prepared, request, origin + request.target)
        if self.is_json:
            envelope.write_envelope(self.name, {"attempts": shown}, exit_code=ExitCode.OK)
        return ExitCode.OK

    def send(self, work: "Sequence[Prepare]", options: "SendOptions", *, owns_host: bool) -> int:
        """Send all of it; 0 when every answer was 2xx, 1 when one was not, 5 when an endpoint gave none.

        Raises UsageError `host-not-owned` for load on a host that is not local, unless `owns_host`.
        """
        from webhookctl.cli.running import run_async
        from webhookctl.output import envelope
        from webhookctl.output import sending as output
        from webhookctl.wiring.sending import judge_sent, send_all

        total = len(work) * options.times
        if not owns_host:
            _refuse_foreign_load(options, total)
        report = output.SendReport(self.painter(), total=total, judge=judge_sent)
        records: list[dict[str, object]] = []
        codes: list[ExitCode] = []
        statuses: list[int | None] = []

        def tell(sent: "Sent") -> None:
            codes.append(_code(sent))
            statuses.append(sent.attempt.status)
            if self.is_json:
                records.append(output.sent_record(sent))
            else:
                report.show(sent)

        start = perf_counter()
        with report.watching():
            run_async(send_all(work, options, tell))
        code = max(codes, default=ExitCode.OK)
        if self.attack is not None:
            code = self._judge_attack(self.attack, statuses)
        if self.is_json:
            envelope.write_envelope(self.name, {"attempts": records}, exit_code=code)
        else:
            report.sum_up(codes.count(ExitCode.OK), perf_counter() - start)
        return code

    def _judge_attack(self, attack: "Attack", statuses: "Sequence[int | None]") -> ExitCode:
        """0 when the endpoint refused it with 4xx, 1 when it did not, 5 when there was no answer; in words too."""
        status = statuses[-1] if statuses else None
        if status is None:
            return ExitCode.UNREACHABLE
        is_refused = 400 <= status < 500
        if not self.is_json:
            said = "refused, as it has to be" if is_refused else f"not refused: {attack.finding}"
            self.painter().line([("ok" if is_refused else "bad", f"{attack.name}: {said}")])
        return ExitCode.OK if is_refused else ExitCode.FINDING

    def painter(self) -> "Painter":
        """Where lines for people go."""
        from webhookctl.config import forces_color
        from webhookctl.output.painter import painter

        return painter(is_plain=self.is_plain or self.is_json, is_colour_forced=forces_color())


def _refuse_foreign_load(options: "SendOptions", total: int) -> None:
    from webhookctl.address import is_local

    is_load = total > _FEW or options.concurrency > _FEW_AT_ONCE
    if is_load and not is_local(options.endpoint):
        raise UsageError(
            "host-not-owned",
            f"{total} requests, {options.concurrency} at once, to {options.endpoint.host} are load on somebody's host",
            "if it is yours, say so: --i-own-this-host",
        )


def _code(sent: "Sent") -> ExitCode:
    if sent.attempt.failure is not None:
        return ExitCode.UNREACHABLE
    return ExitCode.OK if sent.attempt.is_success else ExitCode.FINDING
