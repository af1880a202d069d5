"""`webhookctl verify`: whether a signature is right, and if not, why."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from webhookctl.cli import options
from webhookctl.cli.sign import parse_time
from webhookctl.errors import ExitCode, FixtureError, UsageError

if TYPE_CHECKING:
    from webhookctl.fixture import Fixture
    from webhookctl.model import Detection, Headers, Request, Secret, Verdict
    from webhookctl.signing import Scheme
    from webhookctl.signing.explanation import Explanation
    from webhookctl.wiring.project import Project


def verify(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FILE|-|FIXTURE|#ID",
            help="A body with -H headers, a fixture, or a delivery of the history.",
        ),
    ] = "-",
    provider: options.Provider = None,
    secret: options.Secrets = None,
    header: options.HeaderTexts = None,
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="The URL the sender called, for schemes that sign it.")
    ] = "",
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="Judge as of this time. [default: now; for saved deliveries when they came in]",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the whole way to the verdict, and all that was tried.")
    ] = False,
    json: options.Json = False,
) -> int:
    """Say `valid`, or why a signature is not: exit code 0 or 3. The cause is tried, never guessed.

    \b
    Examples:
      webhookctl verify --provider stripe -H "Stripe-Signature: $SIGNATURE" body.json
      webhookctl verify '#18' --explain
    """
    from webhookctl import signing
    from webhookctl.delivery.prepare import parse_headers
    from webhookctl.wiring.project import now_s, open_project

    project = open_project()
    given = _given(project, target, parse_headers(header or []), provider)
    detection = project.detector.detect(
        given.request, provider=provider or given.provider or project.config.provider
    )
    if detection.provider is None:
        raise UsageError(
            "provider-missing", "whose signature is this?", "name the provider: --provider stripe"
        )
    scheme = project.scheme(detection.provider)
    judged_at_s = parse_time(at, "--at") if at else now_s() if given.at_s is None else given.at_s
    secrets = project.existing_secrets(scheme.id, flag=secret or [])
    url = url or given.url
    verdict = signing.verify(
        scheme,
        secrets,
        given.request,
        now_s=judged_at_s,
        url=url,
        tolerance_s=project.config.tolerance_s,
        search=project.search,
    )
    explanation = None
    if explain or verdict.is_bad:
        from webhookctl.signing.explanation import explain as explained

        search = project.search()
        explanation = explained(
            scheme, secrets, given.request, verdict, now_s=judged_at_s, url=url, search=search
        )
    code = ExitCode.OK if verdict.is_ok else ExitCode.SIGNATURE
    _show(verdict, detection, explanation, scheme.name, is_whole=explain, is_json=json, code=code)
    _tell_of_development_secret(scheme, secrets, verdict)
    return code


def _show(
    verdict: "Verdict",
    detection: "Detection",
    explanation: "Explanation | None",
    scheme_name: str,
    *,
    is_whole: bool,
    is_json: bool,
    code: ExitCode,
) -> None:
    from webhookctl.output import envelope, record
    from webhookctl.output import explanation as shown

    if is_json:
        data: dict[str, object] = {
            "valid": verdict.is_ok,
            **record.verdict(verdict),
            "cause": record.cause(verdict),
            "provider": detection.provider,
            "event": detection.event,
            **shown.comparison(explanation),
            "explanation": shown.shape(explanation, detection) if explanation and is_whole else None,
        }
        envelope.write_envelope("verify", data, exit_code=code)
        return
    lines = [shown.answer(verdict, scheme_name)]
    if explanation is not None:
        lines += shown.derivation(explanation, detection) if is_whole else shown.why(explanation)
    envelope.write("".join(f"{line}\n" for line in lines))


def _tell_of_development_secret(scheme: "Scheme", secrets: "tuple[Secret, ...]", verdict: "Verdict") -> None:
    from webhookctl.output import envelope
    from webhookctl.wiring.project import DEVELOPMENT

    if verdict.is_bad and not verdict.is_explained and secrets[0].origin == DEVELOPMENT:
        variable = scheme.secret_variables[0] if scheme.secret_variables else "NAME"
        envelope.write_note(
            f"note: judged with this project's development secret; the provider's: --secret env:{variable}"
        )


@dataclass(frozen=True, slots=True)
class _Given:
    """What is to be judged: the request, its provider as saved, when it came in (None: now), the URL it came to."""

    request: "Request"
    provider: str | None
    at_s: float | None
    url: str = ""


def _given(project: "Project", target: str, headers: "Headers", provider: str | None) -> _Given:
    from dataclasses import replace

    from webhookctl.address import public_url
    from webhookctl.model import Capture, Request, header_value, with_headers
    from webhookctl.wiring import sources

    if target == "-" or sources.is_bare_body(target):
        return _Given(Request("POST", "/", headers, options.read_input(target)), provider, None)
    if target == "last" or sources.is_exchange(target):
        exchange = sources.held_exchange(project, target)
        capture = exchange.capture
        detected, at_s = exchange.detection.provider, float(capture.received_at_s)
        request = replace(capture.request, headers=with_headers(capture.request.headers, headers))
        return _Given(request, detected, at_s, public_url(replace(capture, request=request)))
    saved = _saved(project, target)
    request = replace(saved.request, headers=with_headers(saved.request.headers, headers))
    _refuse_redacted(saved, request.headers)
    url = public_url(Capture(request, 0.0, "")) if header_value(request.headers, "Host") else ""
    received_at_s = saved.received_at.timestamp() if saved.received_at else None
    return _Given(request, saved.provider, received_at_s, url)


def _saved(project: "Project", target: str) -> "Fixture":
    from webhookctl.cli.fixtures import only_path
    from webhookctl.wiring import sources

    folder = project.fixture_folder()
    try:
        path = only_path(folder, target)
    except FixtureError as error:
        if error.code != "fixture-unknown":
            raise
        raise FixtureError(error.code, f"no file and no fixture is called {target!r}", error.hint) from None
    return sources.restored(project, folder.load(path))


def _refuse_redacted(saved: "Fixture", headers: "Headers") -> None:
    """What was taken out cannot be judged: that is a word about the fixture, not about the signature."""
    from webhookctl import redact

    missing = [name.decode("latin-1") for name, value in headers if value == redact.RESIGN]
    missing += saved.redaction.body
    if not missing:
        return
    is_here = saved.is_edited and saved.exchange_id is not None
    why = "the body was edited since" if is_here else "this project's history does not have the original"
    raise FixtureError(
        "fixture-redacted",
        f"{saved.name} cannot be judged: {', '.join(missing)} was redacted when it was saved, and {why}",
        f"webhookctl verify '#{saved.exchange_id}' judges what came in"
        if is_here
        else "`webhookctl listen --keep-secrets` saves signatures too; `webhookctl replay` makes a new one",
    )
