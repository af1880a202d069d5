"""`webhookctl verify`: whether a signature is right, and if not, why."""

from typing import TYPE_CHECKING, Annotated

import typer

from webhookctl.cli import options
from webhookctl.cli.sign import parse_time
from webhookctl.errors import ExitCode, FixtureError, UsageError

if TYPE_CHECKING:
    from webhookctl.fixture import Fixture
    from webhookctl.model import Headers, Request, Secret, Verdict
    from webhookctl.signing import Scheme
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
    json: options.Json = False,
) -> int:
    """Say `valid`, or why a signature is not: exit code 0 or 3.

    \b
    Examples:
      webhookctl verify --provider stripe -H "Stripe-Signature: $SIGNATURE" body.json
      webhookctl verify '#18' --secret env:STRIPE_WEBHOOK_SECRET
    """
    from webhookctl import signing
    from webhookctl.delivery.prepare import parse_headers
    from webhookctl.output import envelope
    from webhookctl.wiring.project import now_s, open_project

    project = open_project()
    request, saved_provider, received_at_s = _request(project, target, parse_headers(header or []), provider)
    detection = project.detector.detect(
        request, provider=provider or saved_provider or project.config.provider
    )
    if detection.provider is None:
        raise UsageError(
            "provider-missing", "whose signature is this?", "name the provider: --provider stripe"
        )
    scheme = project.scheme(detection.provider)
    judged_at_s = parse_time(at, "--at") if at else received_at_s if received_at_s is not None else now_s()
    secrets = project.existing_secrets(scheme.id, flag=secret or [])
    verdict = signing.verify(
        scheme, secrets, request, now_s=judged_at_s, url=url, tolerance_s=project.config.tolerance_s
    )
    code = ExitCode.OK if verdict.is_ok else ExitCode.SIGNATURE
    if json:
        data: dict[str, object] = {
            "valid": verdict.is_ok,
            "verdict": verdict.kind.value,
            "scheme": verdict.scheme,
            "reason": verdict.reason,
            "provider": detection.provider,
            "event": detection.event,
        }
        envelope.write_envelope("verify", data, exit_code=code)
    else:
        from webhookctl.formats import safe_line

        detail = "" if verdict.reason == "ok" else f" ({verdict.reason})"
        text = f"valid {scheme.name} signature{detail}" if verdict.is_ok else f"invalid: {verdict.reason}"
        envelope.write(safe_line(text) + "\n")
    _tell_of_development_secret(scheme, secrets, verdict)
    return code


def _tell_of_development_secret(scheme: "Scheme", secrets: "tuple[Secret, ...]", verdict: "Verdict") -> None:
    from webhookctl.model import VerdictKind
    from webhookctl.output import envelope
    from webhookctl.wiring.project import DEVELOPMENT

    if verdict.kind is VerdictKind.WRONG_SECRET and secrets[0].origin == DEVELOPMENT:
        variable = scheme.secret_variables[0] if scheme.secret_variables else "NAME"
        envelope.write_note(
            f"note: judged with this project's development secret; the provider's: --secret env:{variable}"
        )


def _request(
    project: "Project", target: str, headers: "Headers", provider: str | None
) -> "tuple[Request, str | None, float | None]":
    """The request to judge, its provider as saved, and when it was received (None: judge as of now)."""
    from dataclasses import replace

    from webhookctl.model import Request, with_headers
    from webhookctl.wiring import sources

    if target == "-" or sources.is_bare_body(target):
        return Request("POST", "/", headers, options.read_input(target)), provider, None
    if target == "last" or sources.is_exchange(target):
        exchange = sources.held_exchange(project, target)
        request = exchange.capture.request
        detected = exchange.detection.provider
        received_at_s: float | None = exchange.capture.received_at_s
    else:
        saved = _saved(project, target)
        request, detected = saved.request, saved.provider
        received_at_s = saved.received_at.timestamp() if saved.received_at else None
        _refuse_redacted(saved, with_headers(request.headers, headers))
    return replace(request, headers=with_headers(request.headers, headers)), detected, received_at_s


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
