"""Oracles of npm packages: a Node process judges one delivery. `make test-oracles` installs them where npm is there."""

import atexit
import base64
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from judge import HEXADECIMAL, TEXT, WHSEC, Delivery, Oracle, dump
from judges_special import RSA, private_pem, public_pem

NPM = Path(__file__).parent / "npm"
GRAPH = dump({"value": [{"id": "evt_1", "changeType": "created", "subscriptionId": "1", "clientState": ""}]})
LINEAR = dump({"action": "create", "type": "Issue", "webhookId": "evt_1", "webhookTimestamp": 1})
FIGMA = dump({"event_type": "FILE_UPDATE", "webhook_id": "evt_1", "passcode": ""})
WIX = dump({"eventType": "demo.created", "instanceId": "evt_1", "data": "{}"})


@cache
def node() -> subprocess.Popen[str]:
    """npm/judge.mjs, one process for all; it ends with its standard input."""
    process = subprocess.Popen(
        ["node", "judge.mjs"], cwd=NPM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(process.communicate)
    return process


def ask_node(question: dict[str, object]) -> Any:
    """What npm/judge.mjs makes of `question`; AssertionError with its words when that is nothing."""
    process = node()
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(question) + "\n")
    process.stdin.flush()
    answers = (line[3:] for line in process.stdout if line.startswith("=> "))
    answer = json.loads(next(answers, '{"error": "node ended"}'))
    if "value" not in answer:
        raise AssertionError(f"{question['oracle']}: {answer}")
    return answer["value"]


def node_accepts(oracle: str, given: Delivery) -> bool:
    accepted = ask_node(
        {
            "oracle": oracle,
            "headers": dict(given.headers),
            "body": base64.b64encode(given.body).decode(),
            "secret": given.secret,
            "url": given.url,
            "method": "POST",
        }
    )
    assert isinstance(accepted, bool), f"{oracle}: {accepted}"
    return accepted


def oracle(
    provider: str,
    package: str,
    secret: str = TEXT,
    *,
    body: bytes = dump({"id": "evt_1", "type": "demo.created", "name": "café"}),
    change: tuple[bytes, bytes] = (b"evt_1", b"evt_2"),
    past_s: int | None = None,
    future_s: int | None = None,
    covers_body: bool = True,
    shown: str = "",
) -> Oracle:
    return Oracle(
        provider,
        f"npm:{package}",
        lambda given: node_accepts(provider, given),
        secret,
        body,
        change,
        past_s,
        future_s,
        covers_body,
        shown=shown,
        name=f"{provider}-npm",
    )


def n8n(provider: str, secret: str = TEXT, **options: Any) -> Oracle:
    """The trigger of n8n that takes the webhooks of `provider`: it runs against the real one wherever n8n does."""
    return oracle(provider, "n8n-nodes-base", secret, **options)


ORACLES = (
    oracle("github", "@octokit/webhooks-methods"),
    oracle("linear", "@linear/sdk", body=LINEAR, past_s=62, future_s=70),
    oracle("notion", "@notionhq/client"),
    oracle("sanity", "@sanity/webhook"),
    oracle("contentful", "@contentful/node-apps-toolkit", "0123456789abcdef" * 4, past_s=32),
    oracle("crisp", "crisp-api"),
    oracle("shopify", "@shopify/shopify-api"),
    oracle("zoom", "@zoom/rivet", body=dump({"event": "demo.created", "id": "evt_1", "name": "café"})),
    oracle("mux", "@mux/mux-node", past_s=302),
    oracle("webflow", "webflow-api"),
    oracle("chargebee", "chargebee", "user:topsecret", covers_body=False),
    oracle("hookdeck", "@hookdeck/sdk"),
    oracle("twitter", "twitter-autohook"),
    oracle("clerk", "@clerk/backend", WHSEC, past_s=302, future_s=310),
    oracle(
        "wix",
        "@wix/sdk",
        private_pem(RSA),
        body=WIX,
        change=(b".eyJkYXRh", b".eyJkYXRi"),  # the body is a token: its claims are base64
        shown=public_pem(RSA),
    ),
    n8n("acuity"),
    n8n("asana"),
    n8n("calcom"),
    n8n("calendly", past_s=302, future_s=310),
    n8n("clickup"),
    n8n("customerio"),
    n8n("figma", body=FIGMA, change=(TEXT.encode(), b"another")),
    n8n("formstack"),
    n8n("helpscout"),
    n8n("mailerlite"),
    n8n("mautic"),
    n8n("microsoft_graph", body=GRAPH, change=(TEXT.encode(), b"another")),
    n8n("netlify"),
    n8n("onfleet", HEXADECIMAL),
    n8n("taiga"),
    n8n("trello"),
    n8n("typeform"),
    n8n("webex"),
    n8n("woocommerce"),
    n8n("zendesk"),
)
