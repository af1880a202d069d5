"""What a test sends to: a URL, an application of this process, or a command, each with a URL while it is in use.

Must not know pytest.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias
from urllib.parse import urlsplit

from webhookctl.errors import UsageError
from webhookctl.formats import safe_text
from webhookctl.library.background import Background

if TYPE_CHECKING:
    from webhookctl.net.app_server import AppServer
    from webhookctl.wiring.stage import ReceiverCommand

    _Server: TypeAlias = AppServer | ReceiverCommand


@dataclass(frozen=True, slots=True)
class Command:
    """A receiver to start: ``{port}`` in `arguments` becomes a free port, which is in its environment as PORT too.

    `arguments` as one text are split as a shell would. It has `within_s` seconds to listen on the port.
    """

    arguments: str | Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = "."
    within_s: float = 20.0

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments one by one."""
        if isinstance(self.arguments, str):
            return tuple(shlex.split(self.arguments))
        return tuple(self.arguments)


class Target:
    """`with` starts what has to be started and ends it; `url` (no path, for what is started) is there inside.

    `what` is a URL, an ASGI, WSGI or aiohttp application, or a `Command`. Raises UsageError `url-invalid`,
    `app-unknown`, `app-failed`; EndpointError with the last output for a command that does not come up.
    """

    def __init__(self, what: object) -> None:
        self._what = what
        self._background: Background | None = None
        self._server: _Server | None = None
        self.url = ""

    def __enter__(self) -> Self:
        what = self._what
        if isinstance(what, str):
            if urlsplit(what).scheme not in ("http", "https"):
                raise UsageError(
                    "url-invalid", f"{what!r} is not a URL", "for example http://localhost:8000/hooks"
                )
            self.url = what
            return self
        server = _server_of(what)
        self._background = Background("webhookctl-target")
        try:
            self._background.run(server.__aenter__())
        except BaseException as error:
            self._background.close()
            output = str(getattr(error, "output", ""))
            if output:
                error.add_note(f"its last output:\n{safe_text(output)}")
            raise
        self._server = server
        self.url = server.url.rstrip("/")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        background, self._background = self._background, None
        if background is not None:
            assert self._server is not None
            try:
                background.run(self._server.__aexit__(None, None, None))
            finally:
                background.close()

    def take_problems(self, *, settle_s: float = 0.0) -> list[BaseException]:
        """What an application of this process raised, each told once; it gets `settle_s` to end what it does."""
        from webhookctl.net.app_server import AppServer

        server, background = self._server, self._background
        if background is None or not isinstance(server, AppServer):
            return []
        return background.run(server.take_problems(settle_s=settle_s))

    @property
    def output(self) -> str:
        """What a command printed last, "" for anything else."""
        return str(getattr(self._server, "output", ""))


def _server_of(what: object) -> "_Server":
    if isinstance(what, Command):
        from webhookctl.wiring.stage import ReceiverCommand

        return ReceiverCommand(what.words, what.environment, what.folder, "/", what.within_s)
    from webhookctl.net.app_server import AppServer

    return AppServer(what)
