"""Oracles of npm packages: a Node process judges one delivery. `make test-oracles` installs them where npm is there."""

import base64
import json
import subprocess
from pathlib import Path

from judge import TEXT, WHSEC, Delivery, Oracle, dump
from judges_special import RSA, private_pem, public_pem

NPM = Path(__file__).parent / "npm"
LINEAR = dump({"action": "create", "type": "Issue", "webhookId": "evt_1", "webhookTimestamp": 1})
WIX = dump({"eventType": "demo.created", "instanceId": "evt_1", "data": "{}"})


def node_accepts(oracle: str, given: Delivery) -> bool:
    """The answer of npm/judge.mjs; CalledProcessError with its words when it has none."""
    delivery = {
        "oracle": oracle,
        "headers": dict(given.headers),
        "body": base64.b64encode(given.body).decode(),
        "secret": given.secret,
        "url": given.url,
    }
    done = subprocess.run(
        ["node", "judge.mjs"],
        cwd=NPM,
        input=json.dumps(delivery),
        capture_output=True,
        text=True,
        check=False,
    )
    answer = done.stdout.rpartition("\n")[2]
    if answer not in ("accepted", "refused"):
        raise AssertionError(f"{oracle}: {done.stdout}\n{done.stderr}")
    return answer == "accepted"


def oracle(
    provider: str,
    package: str,
    secret: str = TEXT,
    *,
    body: bytes = dump({"id": "evt_1", "type": "demo.created", "name": "café"}),
    change: tuple[bytes, bytes] = (b"evt_1", b"evt_2"),
    past_s: int | None = None,
    future_s: int | None = None,
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
        shown=shown,
        name=f"{provider}-npm",
    )


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
    oracle("clerk", "@clerk/backend", WHSEC, past_s=302, future_s=310),
    oracle(
        "wix",
        "@wix/sdk",
        private_pem(RSA),
        body=WIX,
        change=(b".eyJkYXRh", b".eyJkYXRi"),  # the body is a token: its claims are base64
        shown=public_pem(RSA),
    ),
)
