"""What holds for the whole catalogue: it builds for any seed, and its bytes never change unseen."""

import hashlib
import json
import subprocess
import sys
from urllib.parse import parse_qs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.catalogue import build, names, resolve

NOW_S = 1_790_000_000.5
PINNED = {
    "generic/user.created": "b5cc79009a52476973fda87499b9e1483b49a69facb32ce84fccdd99ab0cc568",
    "github/push": "280dbd39c61f387e2455582824c4733a418fa373a3b5d1a3809174e5e391865e",
    "shopify/orders/paid": "925fea6ce4cdeda291099b0d7c8ce0650b7ed38ba28b9686a934f67ee3acb5c8",
    "slack/block_actions": "9daedc26c6b470534eaa60550398e6e8eaa50b577a796ab9b79d2883dfa28c69",
    "standardwebhooks/user.created": "72f371119f5eeb2793e38726962e2ea870a18d604347cfbf9e6f040cf4ed1870",
    "stripe/payment_intent.succeeded": "90b87086f8d7dc738c189338485e29f7f6b1f3335ef11f54e5b6189ebb5f0ab7",
    "svix/user.created": "9ecb4c6c35339d746eafb50f7a106c4f7deae7453ff2c7a94d3fc046af1d9162",
}
FORGEABLE = (*names(), "generic/user.created", "standardwebhooks/user.created", "svix/user.created")


def digest(name: str) -> str:
    made = build(resolve(name), seed=1, now_s=NOW_S)
    return hashlib.sha256(repr((made.headers, made.delivery_id)).encode() + made.body).hexdigest()


@pytest.mark.parametrize("name", sorted(PINNED))
def test_a_delivery_of_a_seed_is_the_same_to_the_byte_for_ever(name: str) -> None:
    assert digest(name) == PINNED[name], "a change of the templates shows here: is it meant?"


def test_another_process_with_another_hash_seed_makes_the_same_bytes() -> None:
    code = f"from webhookctl.catalogue import *; print(build(resolve('github/push'), seed=1, now_s={NOW_S}).body.hex())"
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed},
        )
        assert bytes.fromhex(done.stdout) == build(resolve("github/push"), seed=1, now_s=NOW_S).body


@pytest.mark.parametrize("name", FORGEABLE)
def test_every_template_builds_for_fifty_seeds_each_its_own(name: str) -> None:
    made = [build(resolve(name), seed=seed, now_s=NOW_S) for seed in range(50)]
    assert len({one.body for one in made}) == 50
    assert len({one.delivery_id for one in made}) == 50
    assert {one.provider + "/" + one.event for one in made} == {name}
    assert {(one.method, one.target) for one in made} == {("POST", "/")}


@given(st.sampled_from(FORGEABLE), st.integers(), st.floats(0, 4e9))
@settings(derandomize=True, deadline=None)
def test_any_seed_and_time_give_json_without_a_placeholder_left(name: str, seed: int, now_s: float) -> None:
    made = build(resolve(name), seed=seed, now_s=now_s)
    is_form = dict(made.headers)[b"Content-Type"] == b"application/x-www-form-urlencoded"
    text = parse_qs(made.body.decode(), strict_parsing=True)["payload"][0] if is_form else made.body.decode()
    assert isinstance(json.loads(text), dict)
    assert "#event" not in text
    for kind in ("{null", "{now", "{id:", "{object", "{integer", "{sum", "{money", "{."):
        assert kind not in text
    assert not {b"host", b"content-length"} & {key.lower() for key, _ in made.headers}


@pytest.mark.parametrize("provider", ["generic", "standardwebhooks", "svix"])
def test_open_providers_wrap_any_type_in_the_recommended_envelope(provider: str) -> None:
    made = build(resolve("invoice.überfällig", provider=provider), seed=1, now_s=NOW_S)
    body = json.loads(made.body)
    assert list(body) == ["type", "timestamp", "data"]
    assert (body["type"], body["timestamp"]) == ("invoice.überfällig", "2026-09-21T14:13:20.500Z")
    assert body["data"]["created_at"] < body["timestamp"]
    assert "Zoë".encode() in made.body
    assert made.delivery_id.startswith("msg_") == (provider != "generic")
