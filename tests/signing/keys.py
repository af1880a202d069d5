"""Keys and bodies for every packaged scheme, made once for each test run."""

import json
from functools import cache
from random import Random
from urllib.parse import quote_plus

from hypothesis import strategies as st

from webhookctl.signing import NewKey, Scheme, load, make_key

URL = "https://example.com/hooks?x=1"
SEED = 20260101

FORMS = ("braintree", "dropbox_sign", "mandrill", "paddle_classic", "travis", "twilio_form")

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
objects = st.dictionaries(texts, st.one_of(scalars, st.lists(scalars, max_size=3)), max_size=4)
fields = st.lists(st.tuples(texts.filter(bool), texts), max_size=4)


@cache
def key_for(provider: str) -> NewKey:
    """A key for `provider`; RSA takes its time, so that one pair serves all."""
    scheme = load(provider)
    if "rsa" not in scheme.algorithm and "jwt-rs" not in scheme.algorithm:
        return make_key(scheme, Random(SEED).randbytes)
    parts = "".join(f"test_{part}:" for part in scheme.key_parts)
    pair = _rsa()
    return NewKey(parts + pair.secret, parts + pair.public)


@cache
def _rsa() -> NewKey:
    return make_key(load("fireblocks"), Random(SEED).randbytes)


def bodies_for(scheme: Scheme) -> st.SearchStrategy[bytes]:
    """Bodies of the form that `scheme` signs: arbitrary bytes where it does not care."""
    match scheme.id:
        case "adyen_item":
            return objects.map(
                lambda item: as_json(
                    {"notificationItems": [{"NotificationRequestItem": {**item, "amount": item}}]}
                )
            )
        case "microsoft_graph":
            return objects.map(lambda item: as_json({"value": [item]}))
        case "aws_sns":
            return st.tuples(texts, texts).map(lambda pair: sns_message(*pair))
        case "braintree" | "travis":
            name = b"bt_payload=" if scheme.id == "braintree" else b"payload="
            return objects.map(lambda item: name + quote_plus(as_json(item)).encode())
        case "dropbox_sign":
            return objects.map(
                lambda item: (
                    b"json=" + quote_plus(as_json({"event": {**item, "event_type": "sent"}})).encode()
                )
            )
        case "wix":
            return objects.map(as_json)
    if scheme.id in FORMS:
        return fields.map(
            lambda pairs: b"&".join(
                f"{quote_plus(name)}={quote_plus(value)}".encode() for name, value in pairs
            )
        )
    has_json = scheme.fields or (scheme.timestamp and scheme.timestamp.place)
    if scheme.id in ("crisp", "inngest") or (has_json and scheme.id != "twilio_json"):
        return objects.map(as_json)
    return st.binary(max_size=120)


def sns_message(message: str, subject: str) -> bytes:
    document = {"Type": "Notification", "MessageId": "m-1", "TopicArn": "arn:example", "Message": message}
    return as_json(document | {"Subject": subject, "Timestamp": "2026-01-01T00:00:00.000Z"})


def as_json(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()
