"""What the pages on Python and pytest show is run."""

import re
import shutil
from pathlib import Path

import pytest

from tests.plugin.sessions import PLUGIN, QUIET

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What stands for the reader's shop: it takes a refund once, and tells its CRM.
SHOP = """
import http.client, os, threading
from urllib.parse import urlsplit
from webhookctl import verify

seen = set()
lock = threading.Lock()


def app(environ, start_response):
    body = environ["wsgi.input"].read()
    fields = {"Stripe-Signature": environ.get("HTTP_STRIPE_SIGNATURE", "")}
    if environ["PATH_INFO"] != "/webhooks/stripe" or not verify("stripe", fields, body, secret="whsec_sample").is_ok:
        start_response("400 Bad Request", [])
        return [b""]
    with lock:
        is_new = body not in seen
        seen.add(body)
    if is_new and "CRM_URL" in os.environ:
        connection = http.client.HTTPConnection(urlsplit(os.environ["CRM_URL"]).netloc)
        connection.request("POST", "/refunds", b"{}")
        connection.getresponse().read()
        connection.close()
    start_response("200 OK", [])
    return [b""]
"""


def blocks(name: str) -> list[str]:
    return _BLOCK.findall((ROOT / "docs" / name).read_text("utf-8"))


@pytest.mark.parametrize("number", range(len(blocks("reference/python.md"))))
def test_each_snippet_of_the_reference_runs(number: int) -> None:
    exec(compile(blocks("reference/python.md")[number], f"snippet {number}", "exec"), {"__name__": "snippet"})


def test_the_guide_to_pytest_works_as_it_is_written(pytester: pytest.Pytester) -> None:
    conftest, command, *tests = blocks("how-to/pytest.md")
    assert "webhook_target" in conftest
    assert "Command(" in command
    pytester.makeconftest(conftest)
    pytester.makepyfile(shop=SHOP, **{f"test_{number}": test for number, test in enumerate(tests)})
    shutil.copytree(ROOT / "fixtures" / "stripe", pytester.path / "fixtures" / "stripe")
    asyncio = (
        "-p",
        "pytest_asyncio.plugin",
        "-o",
        "asyncio_mode=auto",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
    )
    saved = len(list((ROOT / "fixtures" / "stripe").glob("*.toml")))
    result = pytester.runpytest_subprocess(*PLUGIN, *QUIET, *asyncio, "-o", "pythonpath=.")
    result.assert_outcomes(passed=2 + saved + 1 + 2)


def test_the_reference_names_every_public_part_of_the_plugin() -> None:
    from webhookctl import Answer, Delivery, WebhookClient, WebhookServer

    text = (ROOT / "docs/reference/python.md").read_text("utf-8") + (
        ROOT / "docs/reference/pytest.md"
    ).read_text("utf-8")
    for kind in (WebhookClient, WebhookServer, Delivery, Answer):
        for name in vars(kind):
            if not name.startswith("_") and name not in ("is_redacted", "secrets", "take_problems"):
                assert name in text, f"{kind.__name__}.{name}"
