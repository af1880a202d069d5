"""`import webhookctl`: small, lazy, typed."""

import subprocess
import sys
from pathlib import Path

import pytest

import webhookctl


def run(code: str, *, cwd: Path | None = None) -> str:
    """What `code` prints in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_nothing_else_of_ours_and_nothing_of_others() -> None:
    out = run("import sys; old = set(sys.modules); import webhookctl; print(*sorted(set(sys.modules) - old))")
    assert set(out.split()) <= {"webhookctl", "typing", "collections.abc", "contextlib", "re._casefix"} | {
        name for name in out.split() if name.partition(".")[0] in sys.stdlib_module_names
    }
    assert not {name for name in out.split() if name.startswith("webhookctl.")}
    assert "asyncio" not in out.split()


def test_signing_and_verifying_load_neither_asyncio_nor_the_network() -> None:
    out = run(
        "import sys, webhookctl\n"
        "headers = webhookctl.sign('github', b'{}', secret='s')\n"
        "assert webhookctl.verify('github', headers, b'{}', secret='s').is_ok\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    assert not set(out.split()) & {"asyncio", "ssl", "aiohttp", "rich", "typer", "sqlite3", "pytest"}


def test_receiving_and_sending_load_no_server_of_others() -> None:
    out = run(
        "import sys, webhookctl\n"
        "with webhookctl.WebhookServer() as server:\n"
        "    webhookctl.forge('github', 'push', secret='s').send(server.url)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    assert not set(out.split()) & {"aiohttp", "rich", "typer", "sqlite3", "pytest", "websockets", "trio"}


def test_every_name_is_there_and_listed() -> None:
    assert set(webhookctl._HOMES) == set(webhookctl.__all__)
    for name in webhookctl.__all__:
        assert getattr(webhookctl, name) is not None
    assert set(webhookctl.__all__) <= set(dir(webhookctl))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sing'"):
        webhookctl.sing  # type: ignore[attr-defined]  # noqa: B018  (that is the test)


def test_pytest_does_not_warn_where_the_package_was_imported_before_it() -> None:
    from _pytest.assertion.rewrite import AssertionRewriter

    assert AssertionRewriter.is_rewrite_disabled(webhookctl.__doc__ or "")


def test_the_names_of_attacks_are_those_of_the_core() -> None:
    from webhookctl.signing.attack import ATTACKS

    assert tuple(attack.name for attack in ATTACKS) == webhookctl.ATTACKS


_USER = '''
"""A user's tests: mypy --strict has to be content with what they see of us."""

from collections.abc import Callable

import pytest

from webhookctl import (
    ATTACKS, Answer, Command, Delivery, Received, Target, Verdict, VerdictKind, WebhookClient, WebhookctlError,
    WebhookMock, WebhookServer, forge, load_fixture, sign, verify,
)


@pytest.fixture(scope="session")
def webhook_target() -> Command:
    return Command("python app.py --port {port}")


@pytest.mark.parametrize("attack", ATTACKS)
def test_forgeries(webhook: WebhookClient, attack: str) -> None:
    webhook.send("stripe", "charge.refunded", attack=attack).assert_refused()


def test_replay(webhook: WebhookClient, webhook_fixture: Delivery) -> None:
    answer: Answer = webhook.replay(webhook_fixture, set={"data.object.amount": 1})
    answer.assert_accepted(within_s=1.0)
    reveal: str | None = answer.header("Content-Type")
    assert reveal


async def test_listener(webhook_listener: WebhookServer, webhook_mock: Callable[..., WebhookMock]) -> None:
    webhook_listener.answer(500, times=2, match=lambda received: received.event == "push")
    received: Received = await webhook_listener.next(match=lambda each: each.provider == "github")
    verdict: Verdict = received.verdict("github", secret="s")
    assert verdict.kind is VerdictKind.OK
    crm = webhook_mock("crm", env="CRM_URL")
    count: int = crm.count
    assert count == len(crm.calls)


def test_library() -> None:
    headers: dict[str, str] = sign("github", "{}", secret="s")
    assert verify("github", headers, b"{}", secret=["s", "t"]).is_ok
    assert verify("github", [("X-Hub-Signature-256", "x")], b"{}", secret="s").is_bad
    assert verify("github", [(b"X-Hub-Signature-256", b"x")], b"{}", secret="s").is_bad
    delivery: Delivery = forge("github", "push", secret="s", set={"ref": "refs/heads/main"}).edited({"a": 1})
    try:
        delivery.signed(secret="s").send("http://localhost:1")
    except WebhookctlError as error:
        code: str = error.code
        assert code
    load_fixture("fixtures/github/push.toml")
    with Target("http://localhost:1") as target:
        WebhookClient(target, path={"github": "/hooks"}, secret="s")
'''


def test_a_users_own_file_passes_mypy_strictly(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(_USER)
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path / "cache"),
            str(tmp_path / "test_user.py"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(webhookctl.__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (Path(webhookctl.__file__).parent / "py.typed").is_file()
