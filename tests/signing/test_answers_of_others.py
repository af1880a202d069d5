"""Known answers that are no headers over the usual body: fields, hashes in tokens, texts to be signed, other keys."""

import json
from base64 import b64encode, urlsafe_b64decode

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from webhookctl.model import Request, Secret
from webhookctl.signing import load, sign_request, verify

AT_S = 1_700_000_000
BODY = '{"id":"evt_1","type":"demo.created","data":{"n":1,"name":"café"}}'.encode()


def is_ok(provider: str, secret: str, headers: dict[str, str], body: bytes = BODY) -> bool:
    pairs = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return verify(load(provider), [Secret(secret)], Request("POST", "/hooks", pairs, body), now_s=AT_S).is_ok


def test_the_fields_of_mailgun_that_its_receiver_accepted_are_believed() -> None:
    signature = "325fa65731e9a179ff22aeebf60a1de2578a2dc1933618647bbbd8994c603bd8"
    block = {"timestamp": "1700000000", "token": "a" * 50, "signature": signature}
    assert is_ok("mailgun", "topsecret_key", {}, json.dumps({"signature": block}).encode())
    other = block | {"timestamp": "1700000001"}
    assert not is_ok("mailgun", "topsecret_key", {}, json.dumps({"signature": other}).encode())


def test_the_signature_that_sendgrids_sdk_accepted_is_believed() -> None:
    key = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5MdpeoI90WL8SZ1ImpM+Wb9D5Mds2nEalg2RnA/d0Y0Owdhz92m2oupjHrWMUz1U"
        "syfFilUQu13NZSBBT0XbiA=="
    )
    headers = {
        "X-Twilio-Email-Event-Webhook-Timestamp": "1700000000",
        "X-Twilio-Email-Event-Webhook-Signature": (
            "MEQCIB59EO84EcJI5wlt6M4/C3hNXb33VFCNvLg4djzcl80yAiB9aJP7iKQtI9iFJW2MixA5lH0YF3bmG0HVkMyVY6cXPw=="
        ),
    }
    assert is_ok("sendgrid", key, headers)
    assert not is_ok("sendgrid", key, headers, BODY + b" ")


def test_the_query_hash_of_atlassian_is_the_one_its_sdk_makes() -> None:
    made = sign_request(
        load("atlassian_connect"),
        Secret("sample-client:topsecret_key"),
        body=BODY,
        timestamp_s=AT_S,
        message_id="msg_sample_0001",
        url="https://example.com/hooks?b=2&a=1&jwt=zzz",
    )
    claims = dict(made.headers)[b"Authorization"].split(b".")[1]
    found = json.loads(urlsafe_b64decode(claims + b"=" * (-len(claims) % 4)))["qsh"]
    assert found == "71964bc2cf5d07299a270f9caf01c8d0d5212d35d830e6340402fa05faa9a84e"


def test_paypal_signs_the_text_that_its_sdk_puts_together() -> None:
    key = rsa.generate_private_key(65537, 2048)
    text = b"sample-transmission-1|2026-01-01T00:00:00Z|WH-SAMPLE|510372572"
    shown = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    headers = {
        "PAYPAL-TRANSMISSION-ID": "sample-transmission-1",
        "PAYPAL-TRANSMISSION-TIME": "2026-01-01T00:00:00Z",
        "PAYPAL-TRANSMISSION-SIG": b64encode(key.sign(text, padding.PKCS1v15(), SHA256())).decode(),
    }
    assert is_ok("paypal", f"WH-SAMPLE:{shown}", headers)
    assert not is_ok("paypal", f"WH-OTHER:{shown}", headers)


def test_a_second_version_in_circlecis_list_does_no_harm() -> None:
    made = sign_request(
        load("circleci"), Secret("topsecret_key"), body=BODY, timestamp_s=AT_S, message_id="msg_sample_0001"
    )
    signature = dict(made.headers)[b"circleci-signature"].decode()
    assert is_ok("circleci", "topsecret_key", {"circleci-signature": f"{signature},v2=00"})
    assert not is_ok("circleci", "topsecret_key", {"circleci-signature": signature.replace("v1=", "v2=")})
