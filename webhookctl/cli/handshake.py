"""`webhookctl trigger handshake:NAME`: send a provider's challenge, check the app's answer, own the exit code."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from webhookctl.cli import sending
from webhookctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from webhookctl.delivery.challenge import Variant
    from webhookctl.delivery.prepare import Prepared
    from webhookctl.delivery.run import Prepare, Sent
    from webhookctl.model import Endpoint
    from webhookctl.wiring.challenging import ChallengePlan, Challenger
    from webhookctl.wiring.project import Project

PREFIX = "handshake:"


@dataclass(frozen=True, slots=True)
class HandshakeOptions:
    """What `trigger` was told about a handshake."""

    name: str
    to: str | None = None
    secrets: tuple[str, ...] = ()
    verify_tokens: tuple[str, ...] = ()
    is_token_wrong: bool = False
    is_signature_wrong: bool = False
    headers: tuple[str, ...] = ()
    seed: int | None = None
    timeout: str | None = None
    insecure: bool | None = None
    ca_file: Path | None = None
    is_dry_run: bool = False
    is_json: bool = False
    is_plain: bool = False


def run(project: "Project", options: HandshakeOptions) -> int:
    """Send the challenge; 0 when the answer is right, 1 when it is not, 5 when there was none."""
    from webhookctl import handshake as handshakes
    from webhookctl.delivery.challenge import variants
    from webhookctl.delivery.prepare import parse_headers
    from webhookctl.wiring.challenging import ChallengePlan, Challenger

    row = handshakes.resolve(options.name)
    endpoint = (
        sending.imagined_endpoint(project)
        if options.is_dry_run and options.to is None
        else project.target(options.to)
    )
    plan = ChallengePlan(
        row,
        variants(row, is_token_wrong=options.is_token_wrong, is_signature_wrong=options.is_signature_wrong),
        sending.full_url(endpoint),
        options.secrets,
        options.verify_tokens,
        options.seed,
        parse_headers(list(options.headers)),
    )
    challenger = Challenger(project, plan)
    command = sending.Command("trigger", is_json=options.is_json, is_plain=options.is_plain)
    if options.is_dry_run:
        work = [_preparing(challenger, variant) for variant in plan.variants]
        return command.show_only(work, endpoint)
    return _send(project, challenger, plan, endpoint, options, command)


def _preparing(challenger: "Challenger", variant: "Variant") -> "Prepare":
    def prepare() -> "Prepared":
        return challenger.prepare(variant)

    return prepare


def _send(
    project: "Project",
    challenger: "Challenger",
    plan: "ChallengePlan",
    endpoint: "Endpoint",
    options: HandshakeOptions,
    command: sending.Command,
) -> int:
    from webhookctl.cli.running import run_async
    from webhookctl.output import envelope, handshakes
    from webhookctl.wiring.sending import send_all

    painter = command.painter()
    records: list[dict[str, object]] = []
    codes: list[ExitCode] = []

    def tell(sent: "Sent") -> None:
        variant = plan.variants[sent.number - 1]
        judgement = challenger.judge(variant, sent.request, sent.attempt)
        codes.append(_code(sent, is_right=judgement.is_right))
        if options.is_json:
            records.append(handshakes.challenge_record(variant, sent, judgement))
        else:
            handshakes.show(painter, plan.handshake, variant, sent, judgement)

    work = [_preparing(challenger, variant) for variant in plan.variants]
    send_options = sending.send_options(
        project,
        endpoint,
        times=1,
        concurrency=1,
        rate=None,
        timeout=options.timeout,
        insecure=options.insecure,
        ca_file=options.ca_file,
    )
    run_async(send_all(work, send_options, tell))
    code = max(codes)
    if options.is_json:
        data: dict[str, object] = {
            "handshake": plan.handshake.id,
            "consequence": plan.handshake.consequence,
            "attempts": records,
        }
        envelope.write_envelope("trigger", data, exit_code=code)
    else:
        for note in challenger.notes:
            envelope.write_note(f"note: {note}")
    return code


def _code(sent: "Sent", *, is_right: bool) -> ExitCode:
    if sent.attempt.failure is not None:
        return ExitCode.UNREACHABLE
    return ExitCode.OK if is_right else ExitCode.FINDING


def refuse_other_options(given: dict[str, object]) -> None:
    """Raise UsageError `handshake-options` for options that say nothing about a handshake."""
    wrong = [name for name, value in given.items() if value]
    if wrong:
        raise UsageError(
            "handshake-options", f"{', '.join(wrong)} cannot be used with a handshake", "leave it out"
        )
