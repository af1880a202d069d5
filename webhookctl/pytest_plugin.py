"""The pytest plugin: fixtures that forge, replay and receive webhooks, and contract files as tests.

Imports pytest and the standard library alone until a test asks for something; changes nothing global.
"""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from webhookctl.library.client import WebhookClient
    from webhookctl.library.delivery import Delivery
    from webhookctl.library.mock import WebhookMock
    from webhookctl.library.server import WebhookServer
    from webhookctl.library.target import Target

ATTACKS = (
    "unsigned",
    "empty-signature",
    "truncated-signature",
    "wrong-secret",
    "tampered",
    "reserialised",
    "weak-algorithm",
    "stale",
    "future",
)
"""Names for ``@pytest.mark.parametrize("attack", ATTACKS)``: the same as `webhookctl.ATTACKS`, without importing it."""

_LOG = pytest.StashKey["list[str]"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("webhookctl", "webhooks (webhookctl)")
    group.addoption("--webhook-target", metavar="URL", help="Where the fixture `webhook` sends to.")
    parser.addini("webhook_target", "Where the fixture `webhook` sends to: a URL.", default="")
    parser.addini(
        "webhook_contracts", "Contract files to collect as tests: paths or globs.", type="args", default=[]
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "webhook_fixtures(*globs): run the test for each saved delivery, as `webhook_fixture`."
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "webhook_fixture" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("webhook_fixtures")
    if marker is None:
        return  # somebody's own fixture of that name, or the error of ours below
    root = metafunc.config.rootpath
    paths = sorted({path for pattern in marker.args for path in root.glob(pattern) if path.suffix == ".toml"})
    if not paths:
        raise pytest.UsageError(
            f"webhook_fixtures: no saved delivery fits {', '.join(marker.args)} below {root}"
        )
    names = [path.relative_to(root).with_suffix("").as_posix() for path in paths]
    metafunc.parametrize("webhook_fixture", paths, ids=names, indirect=True)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    patterns = parent.config.getini("webhook_contracts")
    if not patterns or not file_path.name.endswith(".contract.toml"):
        return None
    root = parent.config.rootpath
    if not any(file_path in root.glob(pattern) for pattern in patterns):
        return None
    from webhookctl.library.contract_items import ContractFile

    return ContractFile.from_parent(parent, path=file_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    log = item.stash.get(_LOG, None)
    if report.when == "call" and log:
        report.sections.append(("webhooks", "\n\n".join(log)))
    return report


@pytest.fixture
def webhook_fixture(request: pytest.FixtureRequest) -> "Delivery":
    """The saved delivery of this run of the test: see the marker `webhook_fixtures`."""
    from webhookctl.library.delivery import load_fixture

    path = getattr(request, "param", None)
    if path is None:
        raise pytest.UsageError(
            'webhook_fixture needs the marker: @pytest.mark.webhook_fixtures("fixtures/**/*.toml")'
        )
    return load_fixture(path)


@pytest.fixture(scope="session")
def webhook_target(request: pytest.FixtureRequest) -> object:
    """Override it: a URL, an ASGI, WSGI or aiohttp application, or a `webhookctl.Command`.

    By itself it is `--webhook-target`, else the ini value `webhook_target`.
    """
    url = request.config.getoption("--webhook-target") or request.config.getini("webhook_target")
    if not url:
        raise pytest.UsageError(
            "webhook_target is not set: override the fixture with a URL or your application, "
            "or give --webhook-target URL"
        )
    return url


@pytest.fixture(scope="session")
def webhook_path() -> str:
    """Override it: where the application receives webhooks, for example ``/webhooks/stripe``."""
    return ""


@pytest.fixture(scope="session")
def webhook_secret() -> object:
    """Override it: the signing secret, or a dictionary of them by provider.

    By itself each provider's usual environment variable, such as STRIPE_WEBHOOK_SECRET.
    """
    return None


@pytest.fixture(scope="session")
def _webhook_running(webhook_target: object, webhook_path: str) -> Iterator["Target"]:
    from webhookctl.library.target import Target

    with Target(webhook_target, path=webhook_path) as target:
        yield target


@pytest.fixture
def webhook(
    request: pytest.FixtureRequest, _webhook_running: "Target", webhook_secret: object
) -> Iterator["WebhookClient"]:
    """Sends forged and saved deliveries to `webhook_target`, signed with `webhook_secret`."""
    from webhookctl.library.client import WebhookClient

    log: list[str] = []
    request.node.stash[_LOG] = log
    client = WebhookClient(_webhook_running.url, webhook_secret, log, request.node.user_properties)
    yield client
    problems = _webhook_running.problems
    if problems:
        raise problems[0]


@pytest.fixture(scope="session")
def _webhook_server() -> Iterator["WebhookServer"]:
    from webhookctl.library.server import WebhookServer

    with WebhookServer() as server:
        yield server


@pytest.fixture
def webhook_listener(_webhook_server: "WebhookServer") -> "WebhookServer":
    """Receives what the code under test sends: `url`, `wait`, `next`, `answer`. Empty for each test."""
    _webhook_server.clear()
    return _webhook_server


@pytest.fixture
def webhook_mock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., "WebhookMock"]]:
    """Makes stand-ins for what the receiver calls: ``webhook_mock("crm", env="CRM_URL")``."""
    from contextlib import ExitStack

    from webhookctl.library.mock import WebhookMock

    with ExitStack() as stack:

        def make(
            name: str, *, env: str | None = None, status: int = 200, json: object = None
        ) -> "WebhookMock":
            mock = stack.enter_context(WebhookMock(name, status=status, json=json))
            if env is not None:
                monkeypatch.setenv(env, mock.url)
            return mock

        yield make
