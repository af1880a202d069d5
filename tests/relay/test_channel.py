"""Channels and their keys: made, checked, written and read; nothing shows a key twice."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.errors import UsageError
from webhookctl.model import Response
from webhookctl.relay import channel as channels
from webhookctl.relay.channel import (
    Channel,
    Gate,
    Policy,
    fits,
    from_text,
    new_channel,
    parse_canned,
    to_text,
)

NOW_S = 1_790_000_000.0


def made(seed: int = 1, name: str = "my-app") -> tuple[Channel, str]:
    return new_channel(name, now_s=NOW_S, random_bytes=Random(seed).randbytes)


def code_of(error: pytest.ExceptionInfo[UsageError]) -> str:
    return error.value.code


def test_a_channel_has_an_id_that_is_valid_in_a_host_name_and_a_key_of_two_halves() -> None:
    channel, key = made()
    assert len(channel.id) == 26
    assert set(channel.id) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert key.startswith("wck_")
    assert len(key) == 4 + 22 + 1 + 22
    assert channels.key_id_of(key) == channel.key_id
    assert key[-22:] not in to_text(channel)


def test_two_channels_share_neither_id_nor_key() -> None:
    (one, one_key), (other, other_key) = made(1), made(2)
    assert one.id != other.id
    assert one_key != other_key
    assert not fits(one, other_key)


def test_only_its_own_key_opens_a_channel() -> None:
    channel, key = made()
    assert fits(channel, key)
    last = "A" if key[-2] != "A" else "B"
    for wrong in ("", "wck_", key[:-1], key + "A", key[:-2] + last + key[-1], key.upper(), "é" * 49):
        assert not fits(channel, wrong)
    assert not fits(None, key)


def test_the_right_secret_with_another_key_id_opens_nothing() -> None:
    channel, key = made()
    assert not fits(replace(channel, key_id="A" * 22), key)


def test_a_rotated_key_replaces_the_old_one_and_a_revoked_channel_has_none() -> None:
    channel, key = made()
    after, new_key = channels.rotated(channel, random_bytes=Random(3).randbytes)
    assert fits(after, new_key)
    assert not fits(after, key)
    closed = channels.revoked(after)
    assert closed.is_revoked
    assert not fits(closed, new_key)
    again, _ = channels.rotated(closed, random_bytes=Random(4).randbytes)
    assert not again.is_revoked


def test_no_key_opens_a_revoked_channel_whatever_its_hash() -> None:
    """The stand-in hash of a channel without a key is no hash that could be met."""
    closed = channels.revoked(made()[0])
    assert not fits(closed, f"wck_{closed.key_id}_{'A' * 22}")
    assert not fits(closed, "")


@pytest.mark.parametrize("name", ["a", "my-app", "0x", "a" * 63])
def test_names_are_labels(name: str) -> None:
    assert channels.check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "My-App", "a_b", "a" * 64, "é", "a b", "a/b", "a\n"])
def test_what_is_no_label_is_no_name(name: str) -> None:
    with pytest.raises(UsageError) as error:
        channels.check_name(name)
    assert code_of(error) == "channel-name-invalid"


def test_a_channel_without_a_name_takes_one_from_its_id() -> None:
    channel, _ = made(name="")
    assert channel.name == f"ch-{channel.id[:8]}"


@pytest.mark.parametrize(
    ("public_url", "domain", "url"),
    [
        ("https://hooks.example.com", "", "https://hooks.example.com/{id}"),
        ("https://hooks.example.com/base/", "", "https://hooks.example.com/base/{id}"),
        ("https://hooks.example.com", "in.example.com", "https://{id}.in.example.com"),
        ("http://localhost:4480", "localhost", "http://{id}.localhost:4480"),
        ("http://localhost:4480", "localhost:9000", "http://{id}.localhost:9000"),
    ],
)
def test_the_url_of_a_channel_is_a_path_or_a_host(public_url: str, domain: str, url: str) -> None:
    channel, _ = made()
    assert channels.url_of(channel, public_url=public_url, domain=domain) == url.format(id=channel.id)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"deadline_s": 0.0}, "channel-option-invalid"),
        ({"deadline_s": float("nan")}, "channel-option-invalid"),
        ({"retention_s": 1e9}, "channel-option-invalid"),
        ({"max_pending": -1}, "channel-option-invalid"),
        ({"rate_per_s": -0.5}, "channel-option-invalid"),
        ({"canned": Response(200, "", (), b"x" * 20_000)}, "channel-option-invalid"),
        ({"gate": Gate("stripe", "whsec_literal")}, "gate-secret-invalid"),
        ({"allowed_networks": ("10.0.0.0/99",)}, "network-invalid"),
        ({"allowed_networks": ("10.0.0.1",) * 257}, "channel-option-invalid"),
        ({"name": "No"}, "channel-name-invalid"),
    ],
)
def test_options_that_cannot_be_are_refused(changes: dict[str, object], code: str) -> None:
    with pytest.raises(UsageError) as error:
        channels.check(replace(made()[0], **changes))  # type: ignore[arg-type]  # each is a field of its kind
    assert code_of(error) == code
    assert error.value.hint


def test_networks_are_kept_in_their_usual_form() -> None:
    channel = channels.check(
        replace(made()[0], allowed_networks=("192.0.2.7", "10.1.2.3/8", "2001:DB8::1/32"))
    )
    assert channel.allowed_networks == ("192.0.2.7/32", "10.0.0.0/8", "2001:db8::/32")


def test_a_policy_that_is_misspelt_gets_a_suggestion() -> None:
    assert channels.parse_policy("hold") is Policy.HOLD
    with pytest.raises(UsageError, match="is no policy") as error:
        channels.parse_policy("queue")
    assert error.value.hint == "did you mean queued?"
    with pytest.raises(UsageError) as other:
        channels.parse_policy("zzz")
    assert "unavailable" in other.value.hint


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ("204", Response(204, "", (), b"")),
        ("200:ok", Response(200, "", ((b"Content-Type", b"text/plain; charset=utf-8"),), b"ok")),
        ("200:{bad", Response(200, "", ((b"Content-Type", b"text/plain; charset=utf-8"),), b"{bad")),
        ("200:12", Response(200, "", ((b"Content-Type", b"text/plain; charset=utf-8"),), b"12")),
        ('201:{"a":"b:c"}', Response(201, "", ((b"Content-Type", b"application/json"),), b'{"a":"b:c"}')),
    ],
)
def test_a_canned_answer_is_a_status_and_perhaps_a_body(text: str, response: Response) -> None:
    assert parse_canned(text) == response


@pytest.mark.parametrize("text", ["", "ok", "100", "600", ":body", "20x", "٢٠٠"])
def test_what_begins_with_no_final_status_is_no_canned_answer(text: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_canned(text)
    assert code_of(error) == "respond-invalid"


header = st.tuples(st.binary(max_size=8), st.binary(max_size=8))
limits = st.integers(0, 2**40)
all_channels = st.builds(
    Channel,
    id=st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=26, max_size=26),
    name=st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True),
    key_id=st.text(max_size=22),
    key_hash=st.binary(max_size=32),
    created_at_s=st.floats(0, 4e9),
    policy=st.sampled_from(Policy),
    deadline_s=st.floats(0.001, 1e6),
    retention_s=st.floats(0.001, 1e6),
    max_pending=limits,
    max_pending_bytes=limits,
    max_body_bytes=limits,
    rate_per_s=st.floats(0, 1e6),
    burst=limits,
    gate=st.none() | st.builds(Gate, st.text(), st.text()),
    allowed_networks=st.lists(st.text(), max_size=3).map(tuple),
    canned=st.none()
    | st.builds(
        Response, st.integers(200, 599), st.text(), st.lists(header, max_size=3).map(tuple), st.binary()
    ),
    is_paused=st.booleans(),
    has_events=st.booleans(),
    expires_at_s=st.none() | st.floats(0, 4e9),
    creator=st.text(),
)


@given(all_channels)
@settings(derandomize=True, deadline=None, max_examples=60)
def test_what_is_written_is_read_back(channel: Channel) -> None:
    assert from_text(to_text(channel)) == channel


def test_a_record_of_another_version_is_read_too() -> None:
    channel, _ = made()
    newer = to_text(channel).replace('{"id"', '{"option_of_tomorrow":1,"id"', 1)
    assert from_text(newer) == channel
    older = f'{{"id":"{channel.id}","name":"my-app","key_id":"x","key_hash":"","created_at_s":1.0}}'
    assert from_text(older) == Channel(channel.id, "my-app", "x", b"", 1.0)
