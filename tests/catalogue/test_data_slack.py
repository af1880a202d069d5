"""Slack's events: the callback envelope, the handshake, and an interaction in a form field."""

import json
import re
from typing import Any
from urllib.parse import parse_qs

import pytest

from webhookctl.catalogue import build, names, resolve

NOW_S = 1_790_000_000
EVENTS = [name.partition("/")[2] for name in names("slack")]
CALLBACKS = ["app_mention", "message", "reaction_added", "team_join"]


def payload(name: str, seed: int = 1) -> Any:
    return json.loads(build(resolve(name, provider="slack"), seed=seed, now_s=NOW_S).body)


def interaction(seed: int = 1) -> Any:
    body = build(resolve("block_actions"), seed=seed, now_s=NOW_S).body.decode("ascii")
    return json.loads(parse_qs(body, strict_parsing=True)["payload"][0])


@pytest.mark.parametrize("name", EVENTS)
def test_a_delivery_has_slacks_headers(name: str) -> None:
    made = build(resolve(name), seed=1, now_s=NOW_S)
    headers = {key.decode(): value.decode() for key, value in made.headers}
    form = "application/x-www-form-urlencoded"
    assert headers["Content-Type"] == (form if name == "block_actions" else "application/json")
    assert headers["User-Agent"] == "Slackbot 1.0 (+https://api.slack.com/robots)"
    assert not any(key.startswith("X-Slack") for key in headers)


@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize("seed", range(5))
def test_a_callback_wraps_its_event(name: str, seed: int) -> None:
    made = build(resolve(name), seed=seed, now_s=NOW_S)
    body = json.loads(made.body)
    assert (body["type"], body["event"]["type"]) == ("event_callback", name)
    assert body["event_id"] == made.delivery_id
    assert body["event_time"] == NOW_S
    assert re.fullmatch(r"\d{10}\.\d{6}", body["event"]["event_ts"])
    assert body["authorizations"][0]["team_id"] == body["team_id"]
    for prefix, value in (("T", body["team_id"]), ("A", body["api_app_id"]), ("Ev", body["event_id"])):
        assert re.fullmatch(f"{prefix}[0-9A-Z]{{10}}", value)


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_body_is_ascii_with_escaped_slashes_and_reads_back(name: str) -> None:
    body = build(resolve(name), seed=1, now_s=NOW_S).body
    assert max(body) < 0x80
    assert b"/" not in body.replace(b"\\/", b"")
    assert json.dumps(json.loads(body), separators=(",", ":")).replace("/", "\\/").encode() == body


def test_texts_hold_more_than_ascii() -> None:
    assert b"cr\\u00e8me br\\u00fbl\\u00e9e" in build(resolve("message"), seed=1, now_s=NOW_S).body
    assert "é" in payload("app_mention")["event"]["text"]
    assert "ë" in payload("team_join")["event"]["user"]["real_name"]
    assert "û" in interaction()["message"]["text"]


def test_the_handshake_brings_a_challenge() -> None:
    made = build(resolve("url_verification"), seed=1, now_s=NOW_S)
    body = json.loads(made.body)
    assert list(body) == ["token", "challenge", "type"]
    assert (body["type"], body["challenge"]) == ("url_verification", made.delivery_id)
    assert body["token"] == payload("message")["token"] == interaction()["token"]


def test_a_mention_is_of_the_bot_and_a_message_says_the_same_in_its_blocks() -> None:
    mention, message = payload("app_mention"), payload("message")["event"]
    assert f"<@{mention['authorizations'][0]['user_id']}>" in mention["event"]["text"]
    assert message["blocks"][0]["elements"][0]["elements"][0]["text"] == message["text"]
    assert (message["ts"], message["channel_type"]) == (message["event_ts"], "channel")


def test_people_teams_and_channels_are_the_same_in_every_event_of_a_seed() -> None:
    message, reaction = payload("message")["event"], payload("reaction_added")["event"]
    joined, pressed = payload("team_join")["event"]["user"], interaction()
    assert message["user"] == reaction["user"] == joined["id"] == pressed["user"]["id"]
    assert message["channel"] == reaction["item"]["channel"] == pressed["channel"]["id"]
    assert reaction["item_user"] != reaction["user"]
    assert message["team"] == joined["team_id"] == pressed["team"]["id"]


def test_a_pressed_button_is_one_of_its_message() -> None:
    pressed = interaction()
    [action] = pressed["actions"]
    [button] = pressed["message"]["blocks"][0]["elements"]
    assert pressed["type"] == "block_actions"
    assert (action["action_id"], action["value"], action["text"]) == (
        button["action_id"],
        button["value"],
        button["text"],
    )
    assert pressed["container"]["message_ts"] == pressed["message"]["ts"]
    assert pressed["response_url"].startswith(f"https://hooks.slack.com/actions/{pressed['team']['id']}/")
