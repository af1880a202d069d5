"""Sessions of pytest inside the tests of the plugin: how they are started, and an application for them."""

import pytest

# Loaded once here, so that not every session in this process has to.
import webhookctl.library.client
import webhookctl.library.mock
import webhookctl.net.app_server
import webhookctl.wiring.stage  # noqa: F401  (see above)

SECRET = "whsec_sample_0123456789abcdef"

# Nothing but our plugin, whatever is installed: the others are named where they matter.
PLUGIN = ("--disable-plugin-autoload", "-p", "webhookctl.pytest_plugin")
QUIET = ("-p", "no:cacheprovider", "-W", "error")

APP = f'''
import os
import pytest
from webhookctl import verify

SECRET = "{SECRET}"


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = (await receive())["body"]
    if scope["path"] == "/boom":
        raise ValueError("boom")
    is_right = verify("stripe", scope["headers"], body, secret=SECRET).is_ok
    await send({{"type": "http.response.start", "status": 200 if is_right else 400, "headers": []}})
    await send({{"type": "http.response.body", "body": b"taken" if is_right else b"refused"}})


@pytest.fixture(scope="session")
def webhook_target():
    return app


@pytest.fixture
def webhook_secret():
    return SECRET
'''


def session(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """A session in this process, with nothing but our plugin."""
    return pytester.runpytest_inprocess(*PLUGIN, *QUIET, *arguments)


def fresh_session(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """A session in a process of its own, with the other plugins that the arguments name."""
    return pytester.runpytest_subprocess(*PLUGIN, *QUIET, *arguments)


def text_of(result: pytest.RunResult) -> str:
    """All that the session said."""
    return result.stdout.str() + result.stderr.str()
