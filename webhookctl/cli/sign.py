"""`webhookctl sign`: the signature headers of a body, nothing else."""

from typing import TYPE_CHECKING, Annotated

import typer

from webhookctl.cli import options
from webhookctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from webhookctl.signing import Signed

_YEAR_10000_S = 253_402_300_800  # where calendars of four-digit years end


def sign(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The body; - reads standard input.")] = "-",
    provider: options.Provider = None,
    secret: options.Secrets = None,
    timestamp: Annotated[
        str | None,
        typer.Option("--timestamp", metavar="TIME", help="Unix seconds or ISO 8601. [default: now]"),
    ] = None,
    message_id: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="ID", help="Delivery id, for schemes that sign one. [default: a new one]"
        ),
    ] = None,
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="The receiver's URL, for schemes that sign it.")
    ] = "",
    method: Annotated[
        str, typer.Option("--method", metavar="METHOD", help="For schemes that sign it.")
    ] = "POST",
    key_url: Annotated[
        str | None,
        typer.Option(
            "--key-url", metavar="URL", help="Where the body says that the certificate is (AWS SNS, PayPal)."
        ),
    ] = None,
    curl: Annotated[
        bool, typer.Option("--curl", help="Print a curl command that sends the signed request.")
    ] = False,
    json: options.Json = False,
) -> int:
    """Print the signature headers of a body, one `Name: value` a line.

    \b
    Examples:
      webhookctl sign --provider stripe --secret env:STRIPE_WEBHOOK_SECRET body.json
      webhookctl sign -p slack --curl --url http://localhost:3000/slack body.json | bash

    Two --secret options sign with both, as a provider does while a secret is rotated.
    """
    from webhookctl import signing
    from webhookctl.wiring.project import now_s, open_project

    project = open_project()
    provider = provider or project.config.provider
    if provider is None:
        raise UsageError("provider-missing", "sign for which provider?", "for example --provider stripe")
    if curl and json:
        raise UsageError("usage", "--curl and --json contradict each other", "give one of them")
    scheme = project.scheme(provider)
    if key_url is not None:
        scheme = signing.with_key_url(scheme, key_url)
    secrets = project.existing_secrets(provider, flag=secret or [])
    body = options.read_input(file)
    if curl and not url:
        from webhookctl.cli import sending

        url = sending.full_url(sending.imagined_endpoint(project))
    signed = signing.sign_with_each(
        scheme,
        secrets if secret else secrets[:1],
        body=body,
        timestamp_s=now_s() if timestamp is None else parse_time(timestamp, "--timestamp"),
        message_id=new_message_id() if message_id is None else message_id,
        url=url,
        method=method,
    )
    from webhookctl.output import envelope

    pairs = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in signed.headers]
    if json:
        from webhookctl.output import record

        data: dict[str, object] = {
            "provider": provider,
            "evidence": scheme.evidence,
            "headers": pairs,
            "url": signed.url,
            **record.body(signed.body),
        }
        envelope.write_envelope("sign", data, exit_code=ExitCode.OK)
    elif curl:
        envelope.write(_curl(signed, file if file != "-" and signed.body == body else None, method))
    else:
        if signed.body != body or signed.url != url:
            envelope.write_note(
                f"note: {scheme.name} signs in the body or the URL too: --json gives these as signed"
            )
        envelope.write("".join(f"{name}: {value}\n" for name, value in pairs))
    if not scheme.is_verified:
        envelope.write_note(f"note: the scheme of {scheme.name} is not verified ({scheme.evidence})")
    return ExitCode.OK


def _curl(signed: "Signed", file: str | None, method: str) -> str:
    from webhookctl.output.curl import curl_command, with_content_type

    headers = with_content_type(signed.headers, signed.body)
    return curl_command(signed.url, headers, method=method, body=signed.body, body_file=file) + "\n"


def new_message_id() -> str:
    """An id in the form Standard Webhooks recommends: `msg_` and random letters and digits."""
    import secrets

    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return "msg_" + "".join(secrets.choice(alphabet) for _ in range(27))


def parse_time(text: str, option: str) -> float:
    """Unix time from seconds, ISO 8601 or `now`. Raises UsageError `time-invalid`."""
    from datetime import UTC, datetime

    from webhookctl.wiring.project import now_s

    if text == "now":
        return now_s()
    try:
        at_s = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
            at_s = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            at_s = -1.0
    if not 0 <= at_s < _YEAR_10000_S:
        raise UsageError(
            "time-invalid", f"{option} {text!r} is not a time", "write Unix seconds, or 2026-11-23T14:02:11Z"
        )
    return at_s
