"""Stripe's events against the types of Stripe's own SDK, and the state each event stands for."""

import decimal
import hashlib
import hmac
import json
import types
import typing
from typing import Any

import pytest
import stripe
import stripe.checkout
from hypothesis import given, settings
from hypothesis import strategies as st
from stripe import ListObject, StripeObject
from stripe._stripe_object import UntypedStripeObject

from webhookctl.catalogue import build, names, resolve

NOW_S = 1_790_000_000
EVENTS = [name.partition("/")[2] for name in names("stripe")]
CLASSES: dict[str, type[Any]] = {
    "charge": stripe.Charge,
    "checkout.session": stripe.checkout.Session,
    "customer": stripe.Customer,
    "dispute": stripe.Dispute,
    "invoice": stripe.Invoice,
    "payment_intent": stripe.PaymentIntent,
    "subscription": stripe.Subscription,
}
NOTHING = type(None)
SCALARS: dict[Any, tuple[type, ...]] = {
    str: (str,), bool: (bool,), int: (int,), float: (int, float), decimal.Decimal: (str,), NOTHING: (NOTHING,),
}  # fmt: skip
PREFIXES = {
    "balance_transaction": "txn_", "charge": "ch_", "checkout.session": "cs_test_", "customer": "cus_",
    "dispute": "du_", "event": "evt_", "invoice": "in_", "invoice_payment": "inpay_", "line_item": "il_",
    "payment_intent": "pi_", "payment_method": "pm_", "plan": "price_", "price": "price_", "subscription": "sub_",
    "subscription_item": "si_", "tax_rate": "txr_",
}  # fmt: skip


def event_of(name: str, seed: int = 1) -> Any:
    return json.loads(build(resolve(name, provider="stripe"), seed=seed, now_s=NOW_S).body)


def object_of(name: str, seed: int = 1) -> Any:
    return event_of(name, seed)["data"]["object"]


def problems(value: Any, annotation: Any, path: str) -> list[str]:
    """Where `value` is not what the SDK's annotation says; an enum that also allows any text is held to the enum."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        if any(typing.get_origin(one) is typing.Literal for one in arguments):
            arguments = tuple(one for one in arguments if one is not str)
        return min((problems(value, one, path) for one in arguments), key=len)
    if isinstance(value, dict) and annotation is not Any:
        return problems_of_table(value, annotation, path)
    if isinstance(value, list) and origin is list:
        return problems_of_list(value, arguments[0], path)
    if origin is typing.Literal:
        is_right = value in arguments
    else:
        is_right = annotation is Any or type(value) in SCALARS.get(annotation, ())
    return [] if is_right else [f"{path}: {value!r} is not {annotation}"]


def problems_of_table(value: dict[str, Any], annotation: Any, path: str) -> list[str]:
    name = annotation.__forward_arg__ if isinstance(annotation, typing.ForwardRef) else annotation
    if isinstance(name, str):  # the name of another resource
        annotation = getattr(stripe, name.removesuffix("Resource"))
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is ListObject:
        ends = (value["object"], type(value["has_more"]), value["url"][:4])
        wrong = [] if ends == ("list", bool, "/v1/") else [f"{path} is no list: {ends}"]
        return wrong + problems_of_list(value["data"], arguments[0], path)
    if origin is UntypedStripeObject:
        return [found for key, one in value.items() for found in problems(one, arguments[0], f"{path}.{key}")]
    if isinstance(annotation, type) and issubclass(annotation, StripeObject):
        return problems_of_object(value, annotation, path)
    return [f"{path}: an object is not {annotation}"]


def problems_of_list(value: list[Any], annotation: Any, path: str) -> list[str]:
    return [
        found for index, one in enumerate(value) for found in problems(one, annotation, f"{path}[{index}]")
    ]


def problems_of_object(value: dict[str, Any], annotation: Any, path: str) -> list[str]:
    fields = {
        key: one for key, one in annotation.__annotations__.items() if key not in ("OBJECT_NAME", "deleted")
    }
    found = [f"{path}.{key} is no field of {annotation.__name__}" for key in value if key not in fields]
    for key, one in fields.items():
        if key in value:
            found += problems(value[key], one, f"{path}.{key}")
        elif NOTHING not in typing.get_args(one):
            found.append(f"{path}.{key} is missing")
    return found


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_of_the_sdks_types_down_to_the_last_field(name: str) -> None:
    event = event_of(name)
    assert problems(event, stripe.Event, "event") == []
    annotation = CLASSES[event["data"]["object"]["object"]]
    assert problems(event["data"]["object"], annotation, "object") == []


@pytest.mark.parametrize("name", EVENTS)
def test_an_object_has_every_field_of_its_class(name: str) -> None:
    made = object_of(name)
    fields = set(CLASSES[made["object"]].__annotations__) - {"OBJECT_NAME", "deleted"}
    assert set(made) == fields
    assert list(made)[:2] == ["id", "object"]
    assert list(made)[2:] == sorted(list(made)[2:])


def test_the_check_sees_what_is_missing_unknown_or_of_another_type() -> None:
    made = object_of("charge.succeeded")
    del made["paid"]
    made |= {"amount": True, "status": "done", "surprise": 1, "currency": None}
    made["outcome"]["risk_score"] = "1"
    made["billing_details"]["address"]["planet"] = "x"
    found = " ".join(problems(made, stripe.Charge, "c"))
    for path in (
        "c.paid is missing",
        "c.amount:",
        "c.status:",
        "c.surprise is no",
        "c.currency:",
        "c.outcome.risk_score:",
    ):
        assert path in found
    assert "c.billing_details.address.planet is no field" in found
    assert (
        problems({"object": "list", "data": [1], "has_more": 0, "url": "/x"}, ListObject[stripe.Charge], "l")
        != []
    )


def test_a_payment_intent_has_its_47_fields() -> None:
    assert len(object_of("payment_intent.succeeded")) == 47


@pytest.mark.parametrize("name", EVENTS)
def test_the_sdk_accepts_a_signed_event(name: str) -> None:
    made = build(resolve(name), seed=3, now_s=NOW_S)
    signature = hmac.new(b"whsec_sample", b"%d." % NOW_S + made.body, hashlib.sha256).hexdigest()
    header = f"t={NOW_S},v1={signature}"
    event = stripe.Webhook.construct_event(made.body, header, "whsec_sample", tolerance=10**10)  # type: ignore[no-untyped-call,unused-ignore]  # untyped in some releases
    assert event.type == made.event
    assert event.id == made.delivery_id
    again = stripe.Event.construct_from(json.loads(made.body), "sk_sample")
    assert isinstance(again.data.object, CLASSES[json.loads(made.body)["data"]["object"]["object"]])


def test_event_types_are_those_of_the_sdk() -> None:
    assert set(EVENTS) <= set(typing.get_args(stripe.Event.__annotations__["type"]))


def test_an_event_comes_as_stripe_sends_it() -> None:
    made = build(resolve("payment_intent.succeeded"), seed=1, now_s=NOW_S)
    assert dict(made.headers) == {
        b"Content-Type": b"application/json; charset=utf-8",
        b"Cache-Control": b"no-cache",
        b"User-Agent": b"Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        b"Accept": b"*/*; q=0.5, application/xml",
    }
    assert made.body.startswith(b'{\n  "id": "evt_')
    assert "Zoë".encode() in made.body
    assert json.dumps(json.loads(made.body), indent=2, ensure_ascii=False).encode() == made.body


def test_the_envelope_names_the_event_the_version_and_the_time() -> None:
    event = event_of("payment_intent.succeeded")
    assert (event["object"], event["type"], event["created"]) == ("event", "payment_intent.succeeded", NOW_S)
    assert event["api_version"] == "2026-10-28.endive"
    assert event_of("invoice.paid")["request"] == {"id": None, "idempotency_key": None}


def walk(value: Any) -> typing.Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from walk(one)
    elif isinstance(value, list):
        for one in value:
            yield from walk(one)


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("seed", range(5))
def test_ids_have_stripes_prefixes_and_times_are_in_order(name: str, seed: int) -> None:
    for one in walk(event_of(name, seed)):
        if "object" in one and "id" in one:
            assert one["id"].startswith(PREFIXES[one["object"]])
        if isinstance(one.get("created"), int):
            assert one["created"] <= NOW_S
            for key in ("canceled_at", "ended_at", "effective_at", "expires_at"):
                assert one.get(key) is None or one["created"] <= one[key]


@pytest.mark.parametrize("seed", range(5))
def test_events_of_one_seed_are_about_the_same_objects(seed: int) -> None:
    intent, charge = object_of("payment_intent.succeeded", seed), object_of("charge.succeeded", seed)
    dispute, session = (
        object_of("charge.dispute.created", seed),
        object_of("checkout.session.completed", seed),
    )
    assert intent["id"] == charge["payment_intent"] == dispute["payment_intent"] == session["payment_intent"]
    assert intent["latest_charge"] == charge["id"] == dispute["charge"]
    assert intent["payment_method"] == charge["payment_method"]
    assert intent["amount"] == charge["amount"] == dispute["amount"] == session["amount_total"]
    assert intent["currency"] == charge["currency"] == dispute["currency"] == session["currency"]
    customers = {one["customer"] for one in (intent, charge, session, object_of("invoice.paid", seed))}
    assert customers == {object_of("customer.created", seed)["id"]}
    assert event_of("charge.succeeded", seed)["id"] != event_of("payment_intent.succeeded", seed)["id"]


@pytest.mark.parametrize(
    ("name", "state"),
    [
        (
            "payment_intent.created",
            {"status": "requires_payment_method", "amount_received": 0, "latest_charge": None},
        ),
        ("payment_intent.canceled", {"status": "canceled", "amount_received": 0, "canceled_at": NOW_S}),
        ("charge.succeeded", {"status": "succeeded", "paid": True, "captured": True, "refunded": False}),
        (
            "charge.failed",
            {"status": "failed", "paid": False, "captured": False, "failure_code": "card_declined"},
        ),
        ("charge.refunded", {"status": "succeeded", "refunded": True}),
        ("charge.dispute.created", {"status": "needs_response", "reason": "fraudulent"}),
        ("checkout.session.completed", {"status": "complete", "payment_status": "paid", "mode": "payment"}),
        ("customer.subscription.created", {"status": "active", "ended_at": None, "created": NOW_S - 30}),
        ("customer.subscription.updated", {"status": "active", "ended_at": None}),
        ("customer.subscription.deleted", {"status": "canceled", "ended_at": NOW_S, "canceled_at": NOW_S}),
        ("invoice.paid", {"status": "paid", "amount_remaining": 0, "attempted": True}),
        (
            "invoice.payment_failed",
            {"status": "open", "amount_paid": 0, "next_payment_attempt": NOW_S + 3 * 86400},
        ),
    ],
)
def test_the_state_agrees_with_the_event(name: str, state: dict[str, object]) -> None:
    made = object_of(name)
    assert {key: made[key] for key in state} == state


def test_a_succeeded_intent_has_received_its_amount() -> None:
    made = object_of("payment_intent.succeeded")
    assert made["status"] == "succeeded"
    assert made["amount_received"] == made["amount"] > 0
    assert made["latest_charge"].startswith("ch_")
    assert made["client_secret"].startswith(made["id"] + "_secret_")


def test_a_failed_intent_says_why_and_names_the_charge_and_the_card() -> None:
    made = object_of("payment_intent.payment_failed")
    error = made["last_payment_error"]
    assert (made["status"], made["payment_method"]) == ("requires_payment_method", None)
    assert (error["type"], error["code"], error["charge"]) == (
        "card_error",
        "card_declined",
        made["latest_charge"],
    )
    assert problems(error["payment_method"], stripe.PaymentMethod, "payment_method") == []
    assert error["payment_method"]["id"] == object_of("payment_intent.succeeded")["payment_method"]


def test_updates_say_what_was_there_before() -> None:
    refunded = event_of("charge.refunded")["data"]
    assert refunded["object"]["amount_refunded"] == refunded["object"]["amount"]
    assert refunded["previous_attributes"] == {"amount_refunded": 0, "refunded": False}
    updated = event_of("customer.subscription.updated")["data"]
    [before], [after] = updated["previous_attributes"]["items"]["data"], updated["object"]["items"]["data"]
    assert {key for key in after if after[key] != before[key]} == {"quantity"}
    assert before["quantity"] == after["quantity"] - 1 > 0
    unchanged = [name for name in EVENTS if "previous_attributes" not in event_of(name)["data"]]
    assert set(EVENTS) - set(unchanged) == {"charge.refunded", "customer.subscription.updated"}


@pytest.mark.parametrize("name", ["invoice.paid", "invoice.payment_failed"])
@pytest.mark.parametrize("seed", range(10))
def test_an_invoice_adds_up(name: str, seed: int) -> None:
    made = object_of(name, seed)
    [line], [tax], [payment] = made["lines"]["data"], made["total_taxes"], made["payments"]["data"]
    assert (
        made["subtotal"] == line["amount"] == line["quantity"] * int(line["pricing"]["unit_amount_decimal"])
    )
    assert tax["amount"] * 100 == tax["taxable_amount"] * 8
    assert tax["taxable_amount"] == made["total_excluding_tax"] == made["subtotal"]
    assert made["total"] == made["amount_due"] == made["subtotal"] + tax["amount"]
    assert made["amount_remaining"] == made["amount_due"] - made["amount_paid"]
    assert payment["amount_requested"] == made["total"]
    assert payment["status"] == ("paid" if made["status"] == "paid" else "open")
    assert (made["status_transitions"]["paid_at"] is None) == (made["status"] == "open")
    assert made["parent"]["subscription_details"]["subscription"] == line["subscription"]
    assert line["period"]["start"] == made["created"] < line["period"]["end"]


@pytest.mark.parametrize("seed", range(5))
def test_a_dispute_takes_its_amount_and_a_fee(seed: int) -> None:
    made = object_of("charge.dispute.created", seed)
    [transaction] = made["balance_transactions"]
    assert transaction["amount"] == -made["amount"]
    assert transaction["net"] == transaction["amount"] - transaction["fee"]
    assert transaction["fee"] == sum(one["amount"] for one in transaction["fee_details"])
    assert transaction["source"] == made["id"]
    assert transaction["id"] != object_of("charge.succeeded", seed)["balance_transaction"]


@pytest.mark.parametrize("seed", range(5))
def test_a_subscription_and_its_item_are_in_one_period_at_one_price(seed: int) -> None:
    made = object_of("customer.subscription.updated", seed)
    [item] = made["items"]["data"]
    assert item["subscription"] == made["id"]
    assert item["current_period_start"] < NOW_S < item["current_period_end"]
    assert made["created"] == made["start_date"] <= item["current_period_start"]
    assert item["plan"]["id"] == item["price"]["id"]
    assert item["plan"]["amount"] == item["price"]["unit_amount"]
    assert made["items"]["url"].endswith(made["id"])


@given(st.sampled_from(EVENTS), st.integers(), st.floats(0, 4e9))
@settings(derandomize=True, deadline=None)
def test_any_seed_and_time_give_json_of_the_event(name: str, seed: int, now_s: float) -> None:
    made = build(resolve(name, provider="stripe"), seed=seed, now_s=now_s)
    assert json.loads(made.body)["type"] == name
