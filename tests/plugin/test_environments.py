"""The fixtures work the same in every kind of session, and the plugin is nothing where it is not used."""

import subprocess
import sys

import pytest

from tests.plugin.sessions import APP, PLUGIN, QUIET, fresh_session, session, text_of

pytest_plugins = ["pytester"]

_BODY = """
    answer = webhook.send("stripe", "charge.refunded")
    answer.assert_accepted()
    crm = webhook_mock("crm", env="CRM_URL")
    webhook.assert_idempotent(webhook.forge("stripe", "charge.refunded"), concurrent=True)
    webhook_listener.answer(503, times=1)
    push = forge("github", "push", secret="s")
    assert [push.send(webhook_listener.url).status for _ in range(2)] == [503, 200]
    assert len(webhook_listener.wait(2)) == 2
"""
_AWAITED = """
    assert (await webhook_listener.next()).event == "push"
    assert (await push.send_async(crm.url)).status == 200
    assert (await crm.next()).event == "push"
    assert (await webhook.deliver_async(webhook.forge("stripe", "charge.refunded"))).is_accepted
"""
_PLAIN = f"""
import pytest
from webhookctl import ATTACKS, forge

def test_plain(webhook, webhook_listener, webhook_mock):
{_BODY}

@pytest.mark.parametrize("attack", [name for name in ATTACKS if name not in ("future", "weak-algorithm")])
def test_attack(webhook, attack):
    webhook.send("stripe", "charge.refunded", attack=attack).assert_refused()
"""


def awaited(mark: str) -> str:
    """A test of the same on the loop that `mark` asks for."""
    return f"{_PLAIN}\n{mark}\nasync def test_awaited(webhook, webhook_listener, webhook_mock):\n{_BODY}{_AWAITED}"


COUNT = 8
ASYNCIO = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function")
ANYIO = ("-p", "anyio.pytest_plugin")
WORKERS = ("-p", "xdist", "-n", "2", "--dist", "loadgroup")
ENVIRONMENTS = {
    "plain": (_PLAIN, (), COUNT),
    "importlib": (_PLAIN, ("--import-mode=importlib",), COUNT),
    "asyncio strict": (awaited("@pytest.mark.asyncio"), (*ASYNCIO, "-o", "asyncio_mode=strict"), COUNT + 1),
    "asyncio auto": (awaited(""), (*ASYNCIO, "-o", "asyncio_mode=auto"), COUNT + 1),
    "anyio on both": (awaited("@pytest.mark.anyio"), ANYIO, COUNT + 2),
    "workers": (_PLAIN, WORKERS, COUNT),
    "awaited in workers": (awaited("@pytest.mark.anyio"), (*ANYIO, *WORKERS), COUNT + 2),
}


@pytest.mark.parametrize(("content", "options", "count"), list(ENVIRONMENTS.values()), ids=list(ENVIRONMENTS))
def test_it_works_the_same_in(
    pytester: pytest.Pytester, content: str, options: tuple[str, ...], count: int
) -> None:
    pytester.makeconftest(APP)
    pytester.makepyfile(test_it=content)
    fresh_session(pytester, *options).assert_outcomes(passed=count)


def test_two_sessions_at_once_do_not_see_each_other(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(APP)
    pytester.makepyfile(test_it=_PLAIN)
    command = [sys.executable, "-m", "pytest", *PLUGIN, *QUIET, "-q", str(pytester.path)]
    running = [
        subprocess.Popen(
            [*command, f"--basetemp={pytester.path}/temp{number}"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=pytester.path,
        )
        for number in range(2)
    ]
    for process in running:
        output, _ = process.communicate()
        assert f"{COUNT} passed" in output


def test_two_sessions_one_after_the_other_in_one_process_are_the_same(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(APP)
    pytester.makepyfile(test_it=_PLAIN)
    for _ in range(2):
        session(pytester).assert_outcomes(passed=COUNT)


def test_collecting_starts_nothing(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(APP.replace('if scope["type"] != "http":', "raise SystemExit(3)\n    if False:"))
    pytester.makepyfile(test_it=_PLAIN)
    result = session(pytester, "--collect-only", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"{COUNT} tests collected*"])


def test_without_the_plugin_the_library_still_serves(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from webhookctl import Target, WebhookClient, WebhookServer, forge

        def test_library():
            with WebhookServer() as server, Target(server.url) as target:
                WebhookClient(target, secret="s").send("github", "push").assert_accepted()

        def test_fixture(webhook):
            pass
        """
    )
    result = pytester.runpytest_subprocess(*QUIET, "-p", "no:asyncio", "-p", "no:webhookctl")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fixture 'webhook' not found*"])


def test_the_plugin_describes_its_fixtures_marker_and_settings(pytester: pytest.Pytester) -> None:
    text = text_of(session(pytester, "--fixtures")) + text_of(session(pytester, "--markers"))
    text += text_of(session(pytester, "--help"))
    for words in (
        "webhook -- ", "webhook_target [session scope] -- ", "webhook_listener -- ", "webhook_mock -- ",
        "webhook_fixture -- ",
        "@pytest.mark.webhook_fixtures(*globs): ", "--webhook-target=URL", "webhook_contracts (args)",
    ):  # fmt: skip
        assert words in text.replace("-- ...", "-- "), words


_SPY = """
import sys

def pytest_sessionfinish():
    ours = sorted(name for name in sys.modules if name.partition(".")[0] == "webhookctl")
    print("\\nours:", *ours)
"""


@pytest.mark.parametrize(
    ("content", "is_used"), [("def test_it(): pass", False), ("def test_it(webhook_listener): pass", True)]
)
def test_a_session_that_uses_nothing_of_ours_loads_nothing_of_ours(
    pytester: pytest.Pytester, content: str, is_used: bool
) -> None:
    pytester.makeconftest(_SPY)
    pytester.makepyfile(content)
    result = fresh_session(pytester, "-s")
    ours = next(line for line in result.outlines if line.startswith("ours:")).split()[1:]
    assert ("webhookctl.library.server" in ours) is is_used
    if not is_used:
        assert ours == ["webhookctl", "webhookctl.pytest_plugin"]


def test_importing_the_plugin_loads_pytest_and_the_standard_library_alone() -> None:
    code = (
        "import pytest, sys; old = set(sys.modules); import webhookctl.pytest_plugin\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - old}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "webhookctl" in loaded
    assert loaded - {"webhookctl"} <= sys.stdlib_module_names


def test_the_plugin_changes_no_filter_logger_or_signal(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import logging, signal, threading, warnings

        def state():
            return (
                list(warnings.filters), logging.root.level, list(logging.root.handlers),
                signal.getsignal(signal.SIGINT), threading.excepthook, warnings.showwarning,
            )
        """
    )
    pytester.makepyfile(
        """
        from conftest import state
        before = []

        def test_before():
            before.append(state())

        def test_use(webhook_listener, webhook_mock):
            webhook_mock()

        def test_after():
            assert state() == before[0]
        """
    )
    fresh_session(pytester, "-p", "no:logging").assert_outcomes(passed=3)


def test_the_name_of_the_entry_point_is_our_own() -> None:
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"webhookctl": "webhookctl.pytest_plugin"}
