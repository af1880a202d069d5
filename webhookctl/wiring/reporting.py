"""Where the reports of a run go: redacted once, then written to their files, stdout, or GitHub's step summary.

Must not know formats.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from webhookctl import config, redact
from webhookctl.contract.result import CaseResult, Complaint, Delivered, RunResult
from webhookctl.errors import UsageError
from webhookctl.model import Headers, Response, header_value
from webhookctl.output.reports import FORMATS, markdown
from webhookctl.output.reports.lines import case_line, run_line
from webhookctl.wiring.project import Project

_MASK = "****"
_SHORTEST_SECRET = 6  # a shorter one would be found in ordinary words


@dataclass(frozen=True, slots=True)
class ReportPlan:
    """One report: its format, and its file (None: stdout)."""

    format: str
    path: Path | None


def parse_reports(texts: Sequence[str]) -> list[ReportPlan]:
    """Reports from ``junit=report.xml`` and ``md``. Raises UsageError `report-invalid`."""
    plans = []
    for text in texts:
        name, equals, file = text.partition("=")
        if name not in FORMATS or (equals and not file):
            raise UsageError(
                "report-invalid",
                f"--report {text}: "
                + ("no file is named" if name in FORMATS else f"there is no report {name!r}"),
                f"one of {', '.join(FORMATS)}, and a file if you like: --report junit=report.xml",
            )
        plans.append(ReportPlan(name, Path(file) if file else None))
    if sum(plan.path is None for plan in plans) > 1:
        raise UsageError(
            "report-invalid",
            "two reports cannot both go to stdout",
            "give one a file: --report junit=report.xml",
        )
    return plans


class Reports:
    """The reports of one run, written as they can be: NDJSON a line for each case, the others at the end.

    Raises UsageError `report-unwritable`, for NDJSON before anything is played.
    """

    def __init__(self, plans: Sequence[ReportPlan]) -> None:
        self._plans = plans
        for plan in plans:
            if plan.format == "ndjson" and plan.path is not None:
                _write(plan.path, "")

    @property
    def takes_stdout(self) -> bool:
        """Whether one of them goes to stdout."""
        return any(plan.path is None for plan in self._plans)

    def take(self, case: CaseResult) -> str:
        """Tell of a case that ended; what stdout gets of it."""
        return self._told(case_line(case))

    def finish(self, run: RunResult) -> str:
        """Write what is left; what stdout gets of it."""
        shown = self._told(run_line(run))
        for plan in self._plans:
            if plan.format != "ndjson":
                text = FORMATS[plan.format](run)
                if plan.path is None:
                    shown = text
                else:
                    _write(plan.path, text)
        return shown

    def _told(self, line: str) -> str:
        shown = ""
        for plan in self._plans:
            if plan.format == "ndjson" and plan.path is not None:
                _write(plan.path, line, mode="a")
            elif plan.format == "ndjson":
                shown = line
        return shown


def github_summary(run: RunResult) -> bool:
    """Whether GitHub's runner is around us; then the step summary is written too."""
    environment = config.whole_environment()
    if environment.get("GITHUB_ACTIONS") != "true":
        return False
    summary = environment.get("GITHUB_STEP_SUMMARY")
    if summary:
        _write(Path(summary), markdown(run), mode="a")
    return True


def _write(path: Path, text: str, *, mode: str = "w") -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(
            "report-unwritable",
            f"the report {path} cannot be written: {error.strerror}",
            "choose another file",
        ) from error


class Eraser:
    """Takes secrets out of results: credentials by their names, and every one of `values` wherever it stands."""

    def __init__(self, project: Project, values: Collection[str]) -> None:
        self._config = project.config
        long = [value for value in values if len(value) >= _SHORTEST_SECRET]
        self._values = sorted(long, key=len, reverse=True)

    def run(self, run: RunResult) -> RunResult:
        return replace(run, cases=tuple(self.case(case) for case in run.cases))

    def case(self, case: CaseResult) -> CaseResult:
        return replace(
            case,
            complaints=tuple(self._complaint(each) for each in case.complaints),
            deliveries=tuple(self._delivered(each) for each in case.deliveries),
            reason=self._text(case.reason),
            output=self._text(case.output),
        )

    def _complaint(self, complaint: Complaint) -> Complaint:
        return replace(
            complaint,
            message=self._text(complaint.message),
            expected=self._text(complaint.expected),
            received=self._text(complaint.received),
        )

    def _delivered(self, delivered: Delivered) -> Delivered:
        request, attempt = delivered.request, delivered.attempt
        target, _ = redact.redact_target(request.target, fields=self._config.redact_fields)
        request = replace(
            request,
            target=self._text(target),
            headers=self._headers(request.headers),
            body=self._body(request.body, request.headers),
        )
        response = attempt.response
        if response is not None:
            response = Response(
                response.status,
                response.reason,
                self._headers(response.headers),
                self._body(response.body, response.headers),
            )
        return replace(delivered, request=request, attempt=replace(attempt, response=response))

    def _headers(self, headers: Headers) -> Headers:
        kept, _ = redact.redact_headers(headers, signature_names=(), extra_names=self._config.redact_headers)
        return tuple((name, self._bytes(value)) for name, value in kept)

    def _body(self, body: bytes, headers: Headers) -> bytes:
        content_type = (header_value(headers, "content-type") or b"").decode("latin-1")
        kept, _ = redact.redact_body(body, content_type=content_type, fields=self._config.redact_fields)
        return self._bytes(kept)

    def _text(self, text: str) -> str:
        for value in self._values:
            text = text.replace(value, _MASK)
        return text

    def _bytes(self, data: bytes) -> bytes:
        for value in self._values:
            data = data.replace(value.encode("utf-8", "surrogatepass"), _MASK.encode())
        return data
