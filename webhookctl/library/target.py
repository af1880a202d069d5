"""What a test sends to: a URL, an application of this process, or a command, each with a URL while it is in use.

Must not know pytest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias
from urllib.parse import urlsplit

from webhookctl.errors import UsageError
from webhookctl.library.background import Background

if TYPE_CHECKING:
    from webhookctl.net.app_server import AppServer
    from webhookctl.wiring.stage import ReceiverCommand

    _Server: TypeAlias = AppServer | ReceiverCommand


@dataclass(frozen=True, slots=True)
class Command:
    """A receiver to start: ``{port}`` in `arguments` becomes a free port. `path` is where it receives."""

    arguments: Sequence[str]
    path: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "."
    within_s: float = 20.0


class Target:
    """`with` starts what has to be started; `url` is there inside."""

    def __init__(self, what: object, *, path: str = "") -> None:
        self._what = what
        self._path = path
        self._background: Background | None = None
        self._server: _Server | None = None
        self.url = ""

    @property
    def problems(self) -> list[BaseException]:
        """What an application of this process raised; taken once."""
        problems: list[BaseException] = getattr(self._server, "problems", [])
        taken = problems[:]
        problems.clear()
        return taken

    def __enter__(self) -> Self:
        what = self._what
        if isinstance(what, str):
            if urlsplit(what).scheme not in ("http", "https"):
                raise UsageError(
                    "target-invalid", f"{what!r} is not a URL", "for example http://localhost:8000/hooks"
                )
            self.url = what
            return self
        self._background = Background("webhookctl-target")
        try:
            if isinstance(what, Command):
                from webhookctl.wiring.stage import ReceiverCommand

                server: _Server = ReceiverCommand(
                    tuple(what.arguments), what.environment, what.folder, what.path, what.within_s
                )
            else:
                from webhookctl.net.app_server import AppServer

                server = AppServer(what)
            self._background.run(server.__aenter__())
        except BaseException:
            self._background.close()
            raise
        self._server = server
        self.url = server.url + self._path
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._background is not None:
            assert self._server is not None
            self._background.run(self._server.__aexit__(None, None, None))
            self._background.close()
