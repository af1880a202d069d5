"""A stand-in for what a receiver calls, in tests: every call kept and counted.

Must not know pytest.
"""

from typing import Self

from webhookctl.library.server import Received, WebhookServer


class WebhookMock(WebhookServer):
    """Answers every call alike, unless `answer` says otherwise. `calls` and `count` tell what came."""

    def __init__(self, name: str = "mock", *, status: int = 200, json: object = None) -> None:
        super().__init__()
        self.name = name
        self._status = status
        self._json = {} if json is None else json

    def __enter__(self) -> Self:
        super().__enter__()
        self.answer(self._status, json=self._json)
        return self

    def clear(self) -> None:
        """Forget the calls, and all answers but the usual one."""
        super().clear()
        self.answer(self._status, json=self._json)

    @property
    def calls(self) -> list[Received]:
        """Every call so far, oldest first."""
        return self.received

    @property
    def count(self) -> int:
        """How many calls came so far."""
        return len(self.received)

    def __repr__(self) -> str:
        return f"<WebhookMock {self.name}, {self.count} calls>"
