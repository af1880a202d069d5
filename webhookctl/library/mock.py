"""A stand-in for what a receiver calls, in tests: every call kept and counted.

Must not know pytest.
"""

import json as jsonlib

from webhookctl.library.server import Received, WebhookServer


class WebhookMock(WebhookServer):
    """Answers every call alike, unless `answer` says otherwise. `calls` and `count` tell what came."""

    def __init__(self, name: str, *, status: int = 200, json: object = None) -> None:
        super().__init__()
        self.name = name
        self._status = status
        self._json = {} if json is None else json

    def __enter__(self) -> "WebhookMock":
        super().__enter__()
        self.answer(self._status, jsonlib.dumps(self._json), headers={"Content-Type": "application/json"})
        return self

    @property
    def calls(self) -> list[Received]:
        return self.received

    @property
    def count(self) -> int:
        return len(self.received)

    def __repr__(self) -> str:
        return f"WebhookMock({self.name!r}, {self.count} calls)"
