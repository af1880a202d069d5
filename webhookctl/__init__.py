"""webhookctl: receive, verify, record, replay and forge webhooks, for any provider, offline, exact to the byte.

From Python: `sign`, `verify`, `forge`, `load_fixture`, `WebhookServer` and what `__all__` names. Each is loaded when
it is first used. (PYTEST_DONT_REWRITE: no warning of pytest where this was imported before its plugins.)
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from webhookctl.errors import WebhookctlError
    from webhookctl.library.answer import Answer
    from webhookctl.library.client import WebhookClient
    from webhookctl.library.delivery import ATTACKS, Delivery, forge, load_fixture
    from webhookctl.library.mock import WebhookMock
    from webhookctl.library.server import Received, WebhookServer
    from webhookctl.library.signatures import sign, verify
    from webhookctl.library.target import Command, Target
    from webhookctl.model import Verdict, VerdictKind

__all__ = [
    "ATTACKS",
    "Answer",
    "Command",
    "Delivery",
    "Received",
    "Target",
    "Verdict",
    "VerdictKind",
    "WebhookClient",
    "WebhookMock",
    "WebhookServer",
    "WebhookctlError",
    "forge",
    "load_fixture",
    "sign",
    "verify",
]

_HOMES = {
    "ATTACKS": "library.delivery",
    "Answer": "library.answer",
    "Command": "library.target",
    "Delivery": "library.delivery",
    "Received": "library.server",
    "Target": "library.target",
    "Verdict": "model",
    "VerdictKind": "model",
    "WebhookClient": "library.client",
    "WebhookMock": "library.mock",
    "WebhookServer": "library.server",
    "WebhookctlError": "errors",
    "forge": "library.delivery",
    "load_fixture": "library.delivery",
    "sign": "library.signatures",
    "verify": "library.signatures",
}


if not TYPE_CHECKING:  # else every name would be one to type checkers

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value: object = getattr(import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
