"""The relay's own pages and its API of channels: who may, what they get, and that guessing leads nowhere."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.relay.doors import ADMIN_KEY, NOW_S, PUBLIC_URL, Door, Reply, arrival, door, run
from webhookctl.errors import RelayError, UsageError
from webhookctl.model import Secret
from webhookctl.relay import admin
from webhookctl.relay.admin import AdminOptions
from webhookctl.relay.channel import Channel, fits
from webhookctl.relay.control import Control, read_control, write_control
from webhookctl.relay.registry import GuestLimits

CHANNELS = "/.webhookctl/v1/channels"


def one(
    tmp_path: Path, method: str, path: str, *, options: AdminOptions | None = None, **given: object
) -> Reply:
    """The reply to one request to a fresh relay."""

    async def scene() -> Reply:
        async with door(tmp_path, options) as at:
            return await at.ask(method, path, **given)  # type: ignore[arg-type]  # passed on as they are

    return run(scene)


def test_health_is_for_everybody_and_readiness_tells_why_not(tmp_path: Path) -> None:
    async def scene() -> list[Reply]:
        async with door(tmp_path) as at:
            replies = [await at.ask("GET", f"/.webhookctl/{page}", key=None) for page in ("health", "ready")]
            at.problem.append("the disk refuses writes")
            return [*replies, await at.ask("GET", "/.webhookctl/ready", key=None)]

    health, ready, not_ready = run(scene)
    assert (health.status, health.json) == (200, {"status": "ok"})
    assert (ready.status, ready.json) == (200, {"status": "ready", "reason": None})
    assert (not_ready.status, not_ready.json["reason"]) == (503, "the disk refuses writes")


def test_metrics_are_for_this_machine_and_for_who_has_the_key(tmp_path: Path) -> None:
    async def scene() -> list[Reply]:
        async with door(tmp_path) as at:
            at.metrics.count_outcome("queued", 0.1)
            path, proxied = "/.webhookctl/metrics", {"X_Forwarded_For": "203.0.113.9"}
            return [
                await at.ask("GET", path, key=None),
                await at.ask("GET", path, key=None, **proxied),
                await at.ask("GET", path, **proxied),
            ]

    local, stranger, owner = run(scene)
    assert local.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b'deliveries_total{outcome="queued"} 1' in local.body
    assert (stranger.status, owner.status) == (401, 200)


def test_a_channel_is_made_used_and_ended_by_its_owner(tmp_path: Path) -> None:
    async def scene(at: Door) -> None:
        made = await at.ask("POST", CHANNELS, body={"name": "my-app", "policy": "hold", "deadline_s": 5})
        assert made.status == 201
        channel, key = made.json, made.json["key"]
        assert channel["url"] == f"{PUBLIC_URL}/{channel['id']}"
        assert (channel["policy"], channel["deadline_s"]) == ("hold", 5)
        kept = await at.broker.channel_by_id(channel["id"])
        assert fits(kept, key)

        await at.deliver(channel["id"], arrival(b"123"))
        shown = (await at.ask("GET", f"{CHANNELS}/my-app")).json
        assert (shown["received"], shown["pending"], shown["pending_bytes"]) == (1, 1, 3)
        assert "key" not in shown
        assert (await at.ask("GET", f"{CHANNELS}/{channel['id']}")).json == shown
        assert (await at.ask("GET", CHANNELS)).json == {"channels": [shown]}

        changed = await at.ask("PATCH", f"{CHANNELS}/my-app", body={"policy": "queued", "respond": "204"})
        assert (changed.json["policy"], changed.json["respond"]) == ("queued", "204")
        assert (await at.ask("POST", f"{CHANNELS}/my-app/pause")).json["is_paused"] is True
        assert (await at.ask("POST", f"{CHANNELS}/my-app/resume")).json["is_paused"] is False

        rotated = await at.ask("POST", f"{CHANNELS}/my-app/rotate")
        kept = await at.broker.channel_by_id(channel["id"])
        assert not fits(kept, key)
        assert fits(kept, rotated.json["key"])
        revoked = await at.ask("POST", f"{CHANNELS}/my-app/revoke")
        assert revoked.json["is_revoked"] is True
        assert not fits(await at.broker.channel_by_id(channel["id"]), rotated.json["key"])

        assert (await at.ask("DELETE", f"{CHANNELS}/my-app")).json["name"] == "my-app"
        assert (await at.ask("GET", f"{CHANNELS}/my-app")).error == "channel-unknown"

    async def at_the_door() -> None:
        async with door(tmp_path) as at:
            await scene(at)

    run(at_the_door)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", CHANNELS),
        ("POST", CHANNELS),
        ("GET", f"{CHANNELS}/known"),
        ("GET", f"{CHANNELS}/unknown"),
        ("DELETE", f"{CHANNELS}/known"),
        ("PATCH", f"{CHANNELS}/unknown"),
        ("POST", f"{CHANNELS}/known/revoke"),
        ("POST", f"{CHANNELS}/unknown/revoke"),
    ],
)
@pytest.mark.parametrize("key", [None, "", "wrong", ADMIN_KEY[:-1], ADMIN_KEY + "x", "é"])
def test_without_the_key_nothing_is_told_not_even_what_there_is(
    tmp_path: Path, method: str, path: str, key: str | None
) -> None:
    async def scene() -> Reply:
        async with door(tmp_path) as at:
            await at.registry.create("known", {})
            return await at.ask(method, path, key=key)

    reply = run(scene)
    assert reply.status == 401
    assert b"known" not in reply.body.replace(b"unknown", b"")


def test_a_key_is_taken_as_a_bearer_only(tmp_path: Path) -> None:
    assert one(tmp_path, "GET", CHANNELS, key=None, Authorization=f"Basic {ADMIN_KEY}").status == 401


def test_a_relay_without_an_admin_key_says_how_to_give_it_one(tmp_path: Path) -> None:
    reply = one(tmp_path, "GET", CHANNELS, options=AdminOptions(), key="")
    assert (reply.status, reply.error) == (401, "admin-key-missing")
    assert "--admin-key" in reply.json["error"]["hint"]


def test_the_key_of_this_run_opens_the_api_too(tmp_path: Path) -> None:
    options = AdminOptions(control_key=Secret("of-this-run"))
    assert one(tmp_path, "GET", CHANNELS, options=options, key="of-this-run").status == 200


def test_who_tries_keys_is_stopped_even_with_the_right_one_and_others_are_not(tmp_path: Path) -> None:
    async def scene() -> tuple[list[int], int, int, int]:
        async with door(tmp_path, trusted=("127.0.0.0/8",)) as at:
            tries = [
                (await at.ask("GET", CHANNELS, key=f"guess-{number}", X_Forwarded_For="203.0.113.9")).status
                for number in range(11)
            ]
            right = await at.ask("GET", CHANNELS, X_Forwarded_For="203.0.113.9")
            other = await at.ask("GET", CHANNELS, X_Forwarded_For="203.0.113.10")
            assert int(right.headers["retry-after"]) >= 1
            at.clock.at_s += 10
            later = await at.ask("GET", CHANNELS, X_Forwarded_For="203.0.113.9")
            return tries, right.status, other.status, later.status

    tries, right, other, later = run(scene)
    assert tries == [401] * 10 + [429]
    assert (right, other, later) == (429, 200, 200)


def test_the_right_key_may_be_used_as_often_as_one_likes(tmp_path: Path) -> None:
    async def scene() -> set[int]:
        async with door(tmp_path) as at:
            return {(await at.ask("GET", CHANNELS)).status for _ in range(30)}

    assert run(scene) == {200}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_pages_of_other_sites_cannot_use_the_api_even_with_the_key(
    tmp_path: Path, headers: dict[str, Any]
) -> None:
    reply = one(tmp_path, "POST", CHANNELS, body={"name": "x"}, **headers)
    assert (reply.status, reply.error) == (403, "cross-site")
    assert "access-control-allow-origin" not in reply.headers


def test_there_is_no_cors_and_no_page_to_be_framed_or_sniffed(tmp_path: Path) -> None:
    reply = one(tmp_path, "OPTIONS", CHANNELS)
    assert reply.status == 405
    assert not [name for name in reply.headers if name.startswith("access-control")]
    assert reply.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{}", {"Content_Type": "text/plain"}, 415, "body-not-json"),
        (b"{}", {"Content_Type": "application/x-www-form-urlencoded"}, 415, "body-not-json"),
        (b"{", {}, 400, "body-not-json"),
        (b"[]", {}, 400, "body-not-json"),
        (b"[" * 5000, {}, 400, "body-not-json"),
        (b" " * 70_000, {}, 413, "body-too-large"),
        (b'{"name": 7}', {}, 422, "channel-name-invalid"),
        (b'{"name": "No Name"}', {}, 422, "channel-name-invalid"),
        (b'{"name": "x", "polisy": "hold"}', {}, 422, "channel-option-unknown"),
        (b'{"name": "x", "policy": 1}', {}, 422, "channel-option-invalid"),
        (b'{"name": "x", "deadline_s": true}', {}, 422, "channel-option-invalid"),
        (b'{"name": "x", "max_pending": 1.5}', {}, 422, "channel-option-invalid"),
        (b'{"name": "x", "sse": "yes"}', {}, 422, "channel-option-invalid"),
        (b'{"name": "x", "allow": "10.0.0.0/8"}', {}, 422, "channel-option-invalid"),
        (b'{"name": "x", "allow": [1]}', {}, 422, "channel-option-invalid"),
        (b'{"name": "x", "gate": {"provider": "stripe"}}', {}, 422, "channel-option-invalid"),
        (b'{"name": "x", "gate": {"provider": "strype", "secret": "env:A"}}', {}, 422, "provider-unknown"),
        (b'{"name": "x", "gate": {"provider": "stripe", "secret": "s"}}', {}, 422, "gate-secret-invalid"),
        (b'{"name": "x", "sse": true, "policy": "hold"}', {}, 422, "channel-option-invalid"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_a_reason(
    tmp_path: Path, body: bytes, headers: dict[str, Any], status: int, code: str
) -> None:
    reply = one(tmp_path, "POST", CHANNELS, body=body, **headers)
    assert (reply.status, reply.error) == (status, code)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/.webhookctl/", 404),
        ("GET", "/.webhookctl/v1", 404),
        ("GET", "/.webhookctl/v1/channelsx", 404),
        ("POST", f"{CHANNELS}/known/melt", 404),
        ("GET", f"{CHANNELS}/known/rotate", 405),
        ("PUT", f"{CHANNELS}/known", 405),
        ("PUT", CHANNELS, 405),
        ("POST", "/.webhookctl/health", 405),
        ("POST", f"{CHANNELS}/%6bnown/rotate", 200),
        ("GET", f"{CHANNELS}/..%2f..%2fknown", 404),
    ],
)
def test_other_paths_and_methods_are_told_apart(tmp_path: Path, method: str, path: str, status: int) -> None:
    async def scene() -> Reply:
        async with door(tmp_path) as at:
            await at.registry.create("known", {})
            return await at.ask(method, path)

    assert run(scene).status == status


def test_a_name_that_is_taken_is_409(tmp_path: Path) -> None:
    async def scene() -> Reply:
        async with door(tmp_path) as at:
            await at.registry.create("my-app", {})
            return await at.ask("POST", CHANNELS, body={"name": "my-app"})

    reply = run(scene)
    assert (reply.status, reply.error) == (409, "channel-exists")


def test_options_that_are_taken_away_are_gone(tmp_path: Path) -> None:
    async def scene() -> Reply:
        async with door(tmp_path) as at:
            options = {
                "gate": {"provider": "stripe", "secret": "env:A"},
                "respond": "200:ok",
                "allow": ["192.0.2.1"],
            }
            made = await at.ask("POST", CHANNELS, body={"name": "x", **options})
            assert made.json["gate"] == options["gate"]
            assert made.json["allow"] == ["192.0.2.1/32"]
            return await at.ask("PATCH", f"{CHANNELS}/x", body={"gate": None, "respond": None, "allow": []})

    reply = run(scene).json
    assert (reply["gate"], reply["respond"], reply["allow"]) == (None, None, [])


# Channels for who has no admin key


def test_a_closed_relay_makes_channels_for_its_owner_alone(tmp_path: Path) -> None:
    reply = one(tmp_path, "POST", CHANNELS, key=None, body={"name": "x"})
    assert (reply.status, reply.error) == (401, "admin-key-missing")


def test_an_open_relay_makes_channels_for_everybody_within_the_usual_limits(tmp_path: Path) -> None:
    async def scene() -> list[Reply]:
        async with door(tmp_path, AdminOptions(is_open=True)) as at:
            return [
                await at.ask("POST", CHANNELS, key=None, body={"name": "mine", "policy": "hold"}),
                await at.ask("POST", CHANNELS, key=None),
                await at.ask("POST", CHANNELS, key=None, body={"max_pending": 1_000_000}),
                await at.ask("POST", CHANNELS, key=None, body={"max_pending": 0}),
                await at.ask("POST", CHANNELS, key=None, body={"max_pending": 5}),
                await at.ask(
                    "POST",
                    CHANNELS,
                    key=None,
                    body={"gate": {"provider": "stripe", "secret": "file:/etc/passwd"}},
                ),
                await at.ask("GET", CHANNELS, key=None),
            ]

    named, unnamed, more, unlimited, less, gate, listing = run(scene)
    assert (named.status, named.json["name"], named.json["expires_at"]) == (201, "mine", None)
    assert unnamed.json["name"].startswith("ch-")
    assert [reply.error for reply in (more, unlimited, gate)] == ["channel-option-invalid"] * 3
    assert less.json["max_pending"] == 5
    assert listing.status == 401


def test_a_wrong_key_does_not_become_a_guest(tmp_path: Path) -> None:
    options = AdminOptions(is_open=True)
    assert one(tmp_path, "POST", CHANNELS, options=options, key="wrong", body={}).status == 401


def test_guests_get_few_small_channels_that_end(tmp_path: Path) -> None:
    limits = GuestLimits(lifetime_s=100, per_address=2, max_channels=3)

    async def scene() -> tuple[list[Reply], list[Reply]]:
        async with door(tmp_path, AdminOptions(guests=limits), trusted=("127.0.0.1",)) as at:
            first = [
                await at.ask("POST", CHANNELS, key=None, X_Forwarded_For=f"203.0.113.{host}")
                for host in (1, 1, 1, 2, 3)
            ]
            at.clock.at_s += 100
            assert await at.registry.remove_expired() == 3
            assert await at.registry.remove_expired() == 0
            second = [await at.ask("POST", CHANNELS, key=None, X_Forwarded_For="203.0.113.1")]
            return first, second

    first, second = run(scene)
    assert [reply.status for reply in first] == [201, 201, 429, 201, 429]
    assert first[2].error == "channels-exhausted"
    channel = first[0].json
    assert channel["expires_at"] == "2026-09-21T14:15:00.000Z"
    assert (channel["max_pending"], channel["rate_per_s"]) == (limits.max_pending, limits.rate_per_s)
    assert channel["retention_s"] == 100
    assert second[0].status == 201


def test_guests_that_come_at_once_do_not_get_more_together(tmp_path: Path) -> None:
    async def scene() -> list[int]:
        async with door(tmp_path, AdminOptions(guests=GuestLimits(per_address=2))) as at:
            replies = await asyncio.gather(*[at.ask("POST", CHANNELS, key=None) for _ in range(8)])
            return sorted(reply.status for reply in replies)

    assert run(scene) == [201, 201] + [429] * 6


def test_making_channels_without_a_key_is_limited_in_time(tmp_path: Path) -> None:
    async def scene() -> list[int]:
        async with door(tmp_path, AdminOptions(is_open=True)) as at:
            return [(await at.ask("POST", CHANNELS, key=None)).status for _ in range(11)]

    assert run(scene) == [201] * 10 + [429]


def test_nothing_that_was_made_is_answered_with_a_secret_of_the_relay(tmp_path: Path) -> None:
    async def scene() -> str:
        async with door(tmp_path) as at:
            made = await at.ask("POST", CHANNELS, body={"name": "x"})
            replies = [await at.ask("GET", CHANNELS), await at.ask("GET", f"{CHANNELS}/x")]
            secret = made.json["key"][-22:]
            assert secret not in "".join(reply.body.decode() for reply in replies)
            return json.dumps([reply.json for reply in [made, *replies]])

    text = run(scene)
    assert ADMIN_KEY not in text
    assert "hash" not in text


def test_a_body_that_does_not_come_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "_BODY_TIMEOUT_S", 0.02)
    reply = one(tmp_path, "POST", CHANNELS, body=b"{", Content_Length="2")
    assert (reply.status, reply.error) == (408, "body-too-slow")


def test_a_peer_without_an_address_is_not_of_this_machine(tmp_path: Path) -> None:
    async def scene() -> Reply:
        async with door(tmp_path, trusted=("127.0.0.1",)) as at:
            return await at.ask("GET", "/.webhookctl/metrics", key=None, X_Forwarded_For="")

    assert run(scene).status == 401


def test_a_change_that_comes_between_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else changes the channel between our look at it and our change: both are there in the end."""

    async def scene() -> dict[str, object]:
        async with door(tmp_path) as at:
            await at.registry.create("x", {})
            update, turns = at.broker.update_channel, iter([True, True])

            async def late(before: Channel, after: Channel) -> None:
                if next(turns, False):
                    await update(before, replace(before, max_pending=before.max_pending + 1))
                await update(before, after)

            monkeypatch.setattr(at.broker, "update_channel", late)
            return await at.registry.pause("x")

    shown = run(scene)
    assert (shown["is_paused"], shown["max_pending"]) == (True, 10_002)


def test_a_change_that_always_comes_too_late_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> Reply:
        async with door(tmp_path) as at:
            await at.registry.create("x", {})

            async def never(before: Channel, after: Channel) -> None:
                raise RelayError("channel-changed", "somebody was quicker")

            monkeypatch.setattr(at.broker, "update_channel", never)
            return await at.ask("POST", f"{CHANNELS}/x/pause")

    reply = run(scene)
    assert (reply.status, reply.error) == (409, "channel-changed")


def test_what_a_relay_tells_this_machine_is_for_its_owner_and_read_back(tmp_path: Path) -> None:
    told = Control("https://hooks.example.com", "", "http://127.0.0.1:4480", Secret("k", "relay"))
    for _ in range(2):  # the second replaces the first
        write_control(tmp_path / "data", told)
    [path] = (tmp_path / "data").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_control(tmp_path / "data") == told


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "\xff"])
def test_what_cannot_be_read_tells_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "relay.json").write_bytes(content.encode("latin-1"))
    assert read_control(tmp_path) is None
    assert read_control(tmp_path / "elsewhere") is None


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as error:
        write_control(tmp_path / "file", Control("", "", "", Secret("k")))
    assert error.value.code == "relay-data-unusable"


def test_the_clock_of_these_tests_is_the_one_in_their_figures() -> None:
    assert NOW_S + 100 == 1_790_000_100.0
