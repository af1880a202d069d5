"""The one exception tree of webhookctl, and its exit codes.

Foreign exceptions are translated into these once, at the edge. Imports nothing of ours.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes are API: their meaning never changes and none is re-used."""

    OK = 0
    FINDING = 1  # the endpoint answered wrongly, a contract or a probe failed
    USAGE = 2  # options or configuration
    SIGNATURE = 3  # signature invalid
    FIXTURE = 4  # fixture invalid
    UNREACHABLE = 5  # endpoint unreachable or timed out
    RELAY = 6  # relay or tunnel
    INTERNAL = 70  # a bug of ours
    INTERRUPTED = 130  # Ctrl-C


class WebhookctlError(Exception):
    """Something the user can act on: ``error: message`` and ``hint: hint`` on stderr, then `exit_code`.

    `code` is a short stable name in kebab-case for machine output (``secret-missing``).
    """

    exit_code = ExitCode.INTERNAL

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # for tracebacks in programs and tests


class UsageError(WebhookctlError):
    """Options, arguments or configuration that cannot be used."""

    exit_code = ExitCode.USAGE


class SignatureError(WebhookctlError):
    """A signature that cannot be made or is invalid."""

    exit_code = ExitCode.SIGNATURE


class FixtureError(WebhookctlError):
    """A fixture that cannot be read, written or trusted."""

    exit_code = ExitCode.FIXTURE


class EndpointError(WebhookctlError):
    """An endpoint that cannot be reached or did not answer in time."""

    exit_code = ExitCode.UNREACHABLE


class RelayError(WebhookctlError):
    """A relay or tunnel that refuses, cannot be reached, or breaks its protocol."""

    exit_code = ExitCode.RELAY
