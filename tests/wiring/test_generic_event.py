"""Providers without events in the catalogue: any event, said where their rules look for it, and signed."""

import pytest

from tests.signing.keys import key_for
from webhookctl.catalogue import build
from webhookctl.model import Request, Secret
from webhookctl.signing import Detector, Scheme, load, parse_scheme, sign_request, verify
from webhookctl.wiring.generic_event import generic_template

OWN = """
id = "acme"
name = "Acme"
[signature]
template = "{body}"
algorithm = "hmac-sha256"
encoding = "hex"
[[header]]
name = "Acme-Signature"
value = "{sig}"
[detection]
headers = ["Acme-Signature"]
event = [EVENT]
delivery_id = [ID]
"""


def own(event: str, delivery_id: str = '"{header.Acme-Id}"') -> Scheme:
    return parse_scheme(OWN.replace("EVENT", event).replace("ID", delivery_id), "acme.toml")


@pytest.mark.parametrize(
    ("scheme", "delivery_id"),
    [
        (own('"{body.type}"'), True),
        (own('"{body.a.b.c}"', '"{body.meta.id}"'), True),
        (own('"{body.data.event}"', '"{body.data.id}"'), True),
        (own('"{header.X-Event}"', ""), False),
        (load("linear"), False),
        (load("paystack"), False),
    ],
    ids=["member", "nested", "inside", "header", "linear", "paystack"],
)
def test_the_event_is_recognised_and_the_signature_right(scheme: Scheme, delivery_id: bool) -> None:
    forged = build(generic_template(scheme, "order.paid"), seed=1, now_s=1_700_000_000.0)
    secret = Secret("secret" if scheme.id == "acme" else key_for(scheme.id).secret)
    signed = sign_request(scheme, secret, body=forged.body, timestamp_s=1_700_000_000.0, message_id="m")
    request = Request("POST", "/", (*forged.headers, *signed.headers), signed.body)
    assert verify(scheme, [secret], request, now_s=1_700_000_000.0).is_ok
    detection = Detector([scheme]).detect(request)
    assert detection.provider == scheme.id
    if scheme.id != "linear":  # its event is made of two places
        assert detection.event == "order.paid"
    assert not delivery_id or detection.delivery_id == forged.delivery_id


@pytest.mark.parametrize("rule", ["", '"{body.a}.{body.b}"', '"x if body.a"', '"{form.event}"', '"fixed"'])
def test_rules_that_cannot_be_filled_are_left_alone(rule: str) -> None:
    forged = build(generic_template(own(rule), "order.paid"), seed=1, now_s=0.0)
    assert b'"type":"order.paid"' in forged.body
