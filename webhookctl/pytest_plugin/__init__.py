"""The pytest plugin: fixtures that forge, replay and receive webhooks, and contract files as tests.

Imports pytest and the standard library alone until a test asks for something; changes nothing global.
"""

import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from webhookctl.library.client import Texts, WebhookClient
    from webhookctl.library.delivery import Delivery
    from webhookctl.library.mock import WebhookMock
    from webhookctl.library.server import WebhookServer
    from webhookctl.library.target import Target

_PACKAGE = Path(__file__).parents[1]
_MARKER = '@pytest.mark.webhook_fixtures("fixtures/**/*.toml")'

_CLIENT = pytest.StashKey["WebhookClient"]()
_HAS_FAILED = pytest.StashKey[bool]()
_TARGETS = pytest.StashKey["list[_Running]"]()


class _Running:
    """The value of one `webhook_target`, started when it is first sent to, ended before the fixture is."""

    def __init__(self, value: object, add_finalizer: Callable[[Callable[[], object]], None]) -> None:
        self.value = value
        self._add_finalizer = add_finalizer
        self._target: Target | None = None

    def target(self) -> "Target":
        """Raises WebhookctlError when it does not start."""
        if self._target is None:
            from webhookctl.library.target import Target

            target = Target(self.value)
            target.__enter__()
            self._add_finalizer(lambda: target.__exit__(None, None, None))
            self._target = target
        return self._target


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("webhookctl", "webhooks (webhookctl)")
    group.addoption("--webhook-target", metavar="URL", help="Where the fixture `webhook` sends to.")
    parser.addini("webhook_target", "Where the fixture `webhook` sends to: a URL.", default="")
    parser.addini(
        "webhook_contracts",
        "Contract files to collect as tests: paths or globs below the root directory.",
        type="args",
        default=[],
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TARGETS] = []
    config.addinivalue_line(
        "markers", "webhook_fixtures(*globs): run the test for each saved delivery, as `webhook_fixture`."
    )


def pytest_unconfigure() -> None:
    background = sys.modules.get("webhookctl.library.background")
    if background is not None:
        background.close_sending()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("webhook_fixtures")
    if marker is None or "webhook_fixture" not in metafunc.fixturenames:
        return
    root = metafunc.config.rootpath
    paths = sorted({path for pattern in marker.args for path in _found(root, pattern)})
    if paths:  # else the fixture says what is wrong, in this test alone
        names = [path.relative_to(root).with_suffix("").as_posix() for path in paths]
        metafunc.parametrize("webhook_fixture", paths, ids=names, indirect=True)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    patterns = parent.config.getini("webhook_contracts")
    if not patterns or not file_path.name.endswith(".contract.toml"):
        return None
    if not any(file_path in _found(parent.config.rootpath, pattern) for pattern in patterns):
        return None
    from webhookctl.pytest_plugin.contracts import ContractFile

    return ContractFile.from_parent(parent, path=file_path)


def _found(root: Path, pattern: str) -> list[Path]:
    """The TOML files that `pattern` means; none for one that does not begin at `root`."""
    if Path(pattern).is_absolute() or not pattern:
        return []
    return [path for path in root.glob(pattern) if path.suffix == ".toml"]


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    value = yield
    if fixturedef.argname == "webhook_target":
        targets = request.config.stash[_TARGETS]
        running = _Running(value, request.addfinalizer)
        targets.append(running)
        request.addfinalizer(lambda: targets.remove(running))
    return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    if call.excinfo is not None and _is_told(call.excinfo.value):
        _leave_out_our_lines(call.excinfo.tb)
    report = yield
    client = item.stash.get(_CLIENT, None)
    if report.when == "call":
        item.stash[_HAS_FAILED] = report.failed
        if client is not None and client.log:
            report.sections.append(("webhooks", "\n\n".join(client.log)))
    return report


def _is_told(error: BaseException) -> bool:
    """Whether the error speaks to whoever wrote the test, so that where it was raised says nothing."""
    errors = sys.modules.get("webhookctl.errors")
    return isinstance(error, AssertionError | TimeoutError) or (
        errors is not None and isinstance(error, errors.WebhookctlError)
    )


def _leave_out_our_lines(trace: TracebackType | None) -> None:
    """Let `trace` end in the test: what is ours behind the last line of somebody else's is cut off."""
    last = None
    while trace is not None:
        if _PACKAGE not in Path(trace.tb_frame.f_code.co_filename).parents:
            last = trace
        trace = trace.tb_next
    if last is not None:
        last.tb_next = None


def _fail(error: Exception) -> NoReturn:
    """End the set-up in words alone."""
    words = [str(error), *getattr(error, "__notes__", [])]
    pytest.fail("\n".join(words), pytrace=False)


@pytest.fixture
def webhook_fixture(request: pytest.FixtureRequest) -> "Delivery":
    """The saved delivery of this run of the test: see the marker `webhook_fixtures`."""
    from webhookctl import WebhookctlError, load_fixture

    path = getattr(request, "param", None)
    if path is None:
        marker = request.node.get_closest_marker("webhook_fixtures")
        if marker is None:
            pytest.fail(f"webhook_fixture needs the marker: {_MARKER}", pytrace=False)
        globs = ", ".join(map(str, marker.args)) or "nothing"
        pytest.fail(
            f"webhook_fixtures: {globs} means no saved delivery below {request.config.rootpath}\n"
            f"hint: globs begin at the root directory: {_MARKER}",
            pytrace=False,
        )
    try:
        return load_fixture(path)
    except WebhookctlError as error:
        _fail(error)


@pytest.fixture(scope="session")
def webhook_target(request: pytest.FixtureRequest) -> object:
    """Override it, in any scope: a URL, an ASGI, WSGI or aiohttp application, or a `webhookctl.Command`.

    By itself it is `--webhook-target`, else the ini value `webhook_target`.
    """
    url = request.config.getoption("--webhook-target") or request.config.getini("webhook_target")
    if not url:
        pytest.fail(
            "webhook_target is not set\n"
            "hint: override the fixture webhook_target with a URL or your application, or give --webhook-target URL",
            pytrace=False,
        )
    return url


@pytest.fixture(scope="session")
def webhook_path() -> "Texts":
    """Override it: where the receiver takes webhooks (``/webhooks``), or a dictionary of paths by provider."""
    return ""


@pytest.fixture(scope="session")
def webhook_secret() -> "Texts | None":
    """Override it: the signing secret, or a dictionary of them by provider.

    By itself what is configured for the provider, such as the environment variable STRIPE_WEBHOOK_SECRET.
    """
    return None


@pytest.fixture
def webhook(
    request: pytest.FixtureRequest,
    webhook_target: object,
    webhook_path: "Texts",
    webhook_secret: "Texts | None",
    record_property: Callable[[str, object], None],
) -> Iterator["WebhookClient"]:
    """Sends forged and saved deliveries to `webhook_target`, signed with `webhook_secret`.

    An exception of an application that runs in this process fails the test that caused it, once.
    """
    from webhookctl import WebhookctlError
    from webhookctl.library.client import WebhookClient

    known = [each for each in request.config.stash[_TARGETS] if each.value is webhook_target]
    running = known[-1] if known else _Running(webhook_target, request.addfinalizer)
    try:
        target = running.target()
    except WebhookctlError as error:
        _fail(error)
    client = WebhookClient(target, path=webhook_path, secret=webhook_secret, record=record_property)
    request.node.stash[_CLIENT] = client
    yield client
    _raise_problems(request, client.take_problems())


@pytest.fixture(scope="session")
def _webhook_server() -> Iterator["WebhookServer"]:
    from webhookctl.library.server import WebhookServer

    with WebhookServer() as server:
        yield server


@pytest.fixture
def webhook_listener(
    request: pytest.FixtureRequest, _webhook_server: "WebhookServer"
) -> Iterator["WebhookServer"]:
    """Receives what the code under test sends: `url`, `wait`, `next`, `answer`. Empty for each test."""
    _webhook_server.clear()
    yield _webhook_server
    _raise_problems(request, _webhook_server.take_problems())


@pytest.fixture
def webhook_mock(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., "WebhookMock"]]:
    """Makes stand-ins for what the receiver calls: ``webhook_mock("crm", env="CRM_URL")``."""
    from contextlib import ExitStack

    from webhookctl.library.mock import WebhookMock

    mocks: list[WebhookMock] = []
    with ExitStack() as stack:

        def make(
            name: str = "mock", *, env: str | None = None, status: int = 200, json: object = None
        ) -> "WebhookMock":
            mock = stack.enter_context(WebhookMock(name, status=status, json=json))
            mocks.append(mock)
            if env is not None:
                monkeypatch.setenv(env, mock.url)
            return mock

        yield make
    _raise_problems(request, [problem for mock in mocks for problem in mock.take_problems()])


def _raise_problems(request: pytest.FixtureRequest, problems: list[Any]) -> None:
    """Raise the first of what went wrong beside the test, unless the test has failed anyway and shows it."""
    if problems and not request.node.stash.get(_HAS_FAILED, False):
        raise problems[0]
