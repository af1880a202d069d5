"""What a TARGET on the command line means: an exchange of the history, a fixture, a folder, or a bare body.

Imports neither asyncio nor the network, so that `verify` stays quick.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from webhookctl import fixture, signing
from webhookctl.address import parse_endpoint
from webhookctl.errors import FixtureError, UsageError
from webhookctl.fixture import Fixture
from webhookctl.model import Endpoint, Exchange, Request
from webhookctl.wiring.project import Project


def load_target(
    project: Project,
    target: str,
    *,
    stdin: Callable[[], bytes],
    provider: str | None = None,
    folder: Path | None = None,
) -> Iterator[Fixture]:
    """The fixtures that a replay TARGET means: `#18`, `last`, `-`, a body file, a fixture, a folder or a glob."""
    if target == "last" or is_exchange(target):
        yield _as_fixture(held_exchange(project, target))
    elif target == "-":
        yield _bare_body(stdin(), provider, "-")
    elif is_bare_body(target):
        yield _bare_body(_read_body(Path(target)), provider, target)
    else:
        fixtures = project.fixture_folder(folder)
        for path in fixtures.resolve(target):
            yield fixtures.load(path)


def is_exchange(target: str) -> bool:
    """`#18` or `18`: a number of the history."""
    return target.removeprefix("#").isdecimal()


def is_bare_body(target: str) -> bool:
    """A file that is no fixture and no fixture's body: its bytes are the body."""
    path = Path(target)
    return os.path.isfile(path) and path.suffix != ".toml" and not _has_fixture(path)


def _has_fixture(path: Path) -> bool:
    stem, separator, _ = path.name.rpartition(".body.")
    return bool(separator) and os.path.isfile(path.with_name(f"{stem}.toml"))


def find_exchange(project: Project, target: str) -> Exchange:
    """The exchange that `#18` or `last` means. Raises FixtureError `exchange-unknown`."""
    from webhookctl.store.history import History

    with History(project.state.history_path) as history:
        exchange = history.last() if target == "last" else history.find(int(target.removeprefix("#")[:18]))
    if exchange is None:
        what = "the history is empty" if target == "last" else f"the history has no delivery {target}"
        raise FixtureError("exchange-unknown", what, "webhookctl log shows what there is")
    return exchange


def held_exchange(project: Project, target: str) -> Exchange:
    """As `find_exchange`, with its body. Raises FixtureError `body-not-kept` when that was too large."""
    exchange = find_exchange(project, target)
    if (large := exchange.capture.large_body) is not None:
        raise FixtureError(
            "body-not-kept",
            f"the body of #{exchange.id} ({large.size:,} bytes) was too large to be held and is not in the history",
            "have the provider send it again; its headers and its SHA-256 are in webhookctl show",
        )
    return exchange


def _as_fixture(exchange: Exchange) -> Fixture:
    """An exchange of the history as it is, nothing redacted: it stays in this process."""
    return fixture.from_exchange(exchange, name=f"#{exchange.id}")


def _read_body(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FixtureError("body-unreadable", f"{path} cannot be read: {error.strerror}") from error


def _bare_body(body: bytes, provider: str | None, name: str) -> Fixture:
    if provider is None:
        raise UsageError(
            "provider-missing",
            f"{name} is a bare body: who sends it?",
            "name the provider: --provider stripe",
        )
    kind = b"application/json" if body.lstrip()[:1] in (b"{", b"[") else b"application/octet-stream"
    request = Request("POST", "/", ((b"Content-Type", kind),), body)
    detection = signing.detect(request, provider=provider)
    return Fixture(
        name=name,
        request=request,
        provider=provider,
        event=detection.event,
        delivery_id=detection.delivery_id,
    )


def restored(project: Project, saved: Fixture) -> Fixture:
    """`saved` with what was redacted put back from this project's history, where that still holds the delivery."""
    if saved.exchange_id is None or saved.is_edited or not project.state.history_path.exists():
        return saved
    from webhookctl.store.history import History

    with History(project.state.history_path) as history:
        exchange = history.find(saved.exchange_id)
    if exchange is None or project.fixture_of(exchange).request != saved.request:
        return saved
    return _as_fixture(exchange).renamed(saved.name)


def listener_certificate(project: Project, endpoint: Endpoint) -> Path | None:
    """The certificate of `listen --tls auto` when `endpoint` is that listener: it is its own authority."""
    for listener in project.state.running_listeners():
        certificate = listener.details.get("certificate")
        if certificate and parse_endpoint(listener.url).origin == endpoint.origin:
            return Path(certificate)
    return None


def listener_secret(project: Project) -> tuple[str, ...]:
    """The secret that the running listener was started with, when it was a reference we can follow too."""
    for listener in project.state.running_listeners():
        reference = listener.details.get("secret", "")
        return (reference,) if reference.startswith(("env:", "file:")) else ()
    return ()
