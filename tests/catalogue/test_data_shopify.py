"""Shopify's topics: bare resources whose money adds up, and headers that say what happened."""

import json
import re
import uuid
from decimal import Decimal
from typing import Any

import pytest

from webhookctl.catalogue import build, names, resolve

NOW_S = 1_790_000_000
TOPICS = [name.partition("/")[2] for name in names("shopify")]
KINDS = {
    "orders/create": "Order", "orders/paid": "Order", "products/update": "Product",
    "customers/create": "Customer", "refunds/create": "Refund",
}  # fmt: skip


def payload(topic: str, seed: int = 1) -> Any:
    return json.loads(build(resolve(topic, provider="shopify"), seed=seed, now_s=NOW_S).body)


def walk(value: Any) -> Any:
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from walk(one)


def total(entries: list[Any], key: str) -> Decimal:
    return sum((Decimal(one[key]) for one in entries), Decimal(0))


@pytest.mark.parametrize("topic", TOPICS)
def test_a_delivery_has_shopifys_headers(topic: str) -> None:
    made = build(resolve(topic), seed=1, now_s=NOW_S)
    headers = {key.decode(): value.decode() for key, value in made.headers}
    assert headers["X-Shopify-Topic"] == topic
    assert re.fullmatch(r"sample-\d{6}\.myshopify\.com", headers["X-Shopify-Shop-Domain"])
    assert headers["X-Shopify-API-Version"] == "2026-10"
    assert headers["X-Shopify-Webhook-Id"] == made.delivery_id == str(uuid.UUID(made.delivery_id))
    assert headers["X-Shopify-Event-Id"] == str(uuid.UUID(headers["X-Shopify-Event-Id"])) != made.delivery_id
    assert re.fullmatch(r"2026-09-21T14:13:20\.\d{9}Z", headers["X-Shopify-Triggered-At"])
    assert headers["Content-Type"] == "application/json"
    assert "X-Shopify-Hmac-Sha256" not in headers


@pytest.mark.parametrize("topic", TOPICS)
def test_a_body_is_compact_with_raw_umlauts_and_escaped_for_html(topic: str) -> None:
    body = build(resolve(topic), seed=1, now_s=NOW_S).body
    assert not set(b"&<>") & set(body)
    assert any(byte >= 0x80 for byte in body)
    plain = json.dumps(json.loads(body), ensure_ascii=False, separators=(",", ":"))
    assert plain.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").encode() == body


def test_an_ampersand_is_written_as_its_escape() -> None:
    body = build(resolve("orders/create"), seed=1, now_s=NOW_S).body
    assert b"Sample \\u0026 Sons" in body
    assert json.loads(body)["line_items"][0]["vendor"] == "Sample & Sons"


@pytest.mark.parametrize("topic", sorted(KINDS))
@pytest.mark.parametrize("seed", range(5))
def test_ids_are_whole_numbers_with_a_global_id_beside_them(topic: str, seed: int) -> None:
    made = payload(topic, seed)
    assert made["admin_graphql_api_id"] == f"gid://shopify/{KINDS[topic]}/{made['id']}"
    for one in walk(made):
        if "admin_graphql_api_id" in one and "id" in one:
            assert one["admin_graphql_api_id"].endswith(f"/{one['id']}")
            assert len(str(one["id"])) in (12, 13, 14)


@pytest.mark.parametrize("topic", ["orders/create", "orders/paid"])
@pytest.mark.parametrize("seed", range(20))
def test_the_money_of_an_order_adds_up(topic: str, seed: int) -> None:
    made = payload(topic, seed)
    lines = made["line_items"]
    subtotal = sum((Decimal(one["price"]) * one["quantity"] for one in lines), Decimal(0))
    taxes = sum((total(one["tax_lines"], "price") for one in lines), Decimal(0))
    assert Decimal(made["subtotal_price"]) == Decimal(made["total_line_items_price"]) == subtotal
    assert Decimal(made["total_tax"]) == total(made["tax_lines"], "price") == taxes
    assert taxes == subtotal * Decimal("0.08")
    assert Decimal(made["total_price"]) == subtotal + taxes + total(made["shipping_lines"], "price")
    assert made["total_weight"] == sum(one["grams"] * one["quantity"] for one in lines)
    assert len({one["id"] for one in lines}) == len({one["variant_id"] for one in lines}) == 2


@pytest.mark.parametrize("topic", sorted(KINDS))
def test_money_is_text_with_two_places_and_a_set_repeats_it_in_both_currencies(topic: str) -> None:
    for one in walk(payload(topic)):
        for key, value in one.items():
            if key.endswith(("_price", "_tax", "_discounts")) or key in ("price", "amount"):
                assert value is None or re.fullmatch(r"\d+\.\d\d", value), key
            beside = one.get(key.removesuffix("_set")) if key.endswith("_set") else None
            if isinstance(beside, str):
                assert value["shop_money"]["amount"] == beside, key
            if key.endswith("_set") and value:
                assert value["shop_money"] == value["presentment_money"]


def test_an_order_is_pending_when_created_and_paid_when_paid() -> None:
    created, paid = payload("orders/create"), payload("orders/paid")
    assert (created["financial_status"], created["total_outstanding"]) == ("pending", created["total_price"])
    assert (paid["financial_status"], paid["total_outstanding"]) == ("paid", "0.00")
    assert created["id"] == paid["id"]
    assert paid["name"] == f"#{paid['order_number']}"
    assert paid["number"] == paid["order_number"] - 1000


@pytest.mark.parametrize("topic", TOPICS)
def test_what_was_created_was_not_updated_before(topic: str) -> None:
    for one in walk(payload(topic)):
        if "created_at" in one and "updated_at" in one:
            assert one["created_at"] <= one["updated_at"]
        if "created_at" in one:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-05:00", one["created_at"])


@pytest.mark.parametrize("seed", range(5))
def test_topics_of_one_seed_are_about_the_same_shop(seed: int) -> None:
    order, refund = payload("orders/paid", seed), payload("refunds/create", seed)
    product, customer = payload("products/update", seed), payload("customers/create", seed)
    assert order["customer"] == customer
    assert customer["default_address"] == customer["addresses"][0]
    assert customer["default_address"]["customer_id"] == customer["id"]
    assert order["line_items"][0]["product_id"] == product["id"]
    assert order["line_items"][0]["variant_id"] == product["variants"][0]["id"]
    assert order["line_items"][0]["price"] == product["variants"][0]["price"]
    assert refund["order_id"] == order["id"]
    assert refund["refund_line_items"][0]["line_item"] == order["line_items"][0]


@pytest.mark.parametrize("seed", range(5))
def test_a_refund_gives_back_one_line_with_its_tax(seed: int) -> None:
    refund = payload("refunds/create", seed)
    [line], [transaction] = refund["refund_line_items"], refund["transactions"]
    assert Decimal(transaction["amount"]) == Decimal(line["subtotal"]) + Decimal(line["total_tax"])
    assert Decimal(line["subtotal"]) == Decimal(line["line_item"]["price"]) * line["quantity"]
    assert line["line_item_id"] == line["line_item"]["id"]
    assert transaction["kind"] == "refund"


def test_an_uninstalled_app_is_told_the_shop_of_the_header() -> None:
    made = build(resolve("app/uninstalled"), seed=1, now_s=NOW_S)
    shop = json.loads(made.body)
    assert shop["myshopify_domain"].encode() == dict(made.headers)[b"X-Shopify-Shop-Domain"]
    assert shop["money_format"] == "${{amount}}"
