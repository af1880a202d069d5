"""Deliveries: forged, loaded, edited, signed, sent, and what is said of the answer."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.signing.keys import key_for
from webhookctl import ATTACKS, Answer, Delivery, WebhookServer, catalogue, forge, load_fixture, verify
from webhookctl.errors import EndpointError, FixtureError, UsageError
from webhookctl.library.answer import erased, shown_answer, shown_delivery
from webhookctl.model import Secret

ROOT = Path(__file__).parents[2]
SECRET = key_for("standardwebhooks").secret
SAVED = sorted((ROOT / "fixtures").glob("*/*.toml"))


@pytest.mark.parametrize("provider", catalogue.providers())
def test_what_is_forged_verifies(provider: str) -> None:
    event = next(iter(catalogue.names(provider)), "sample.created")
    secret = key_for(provider).secret
    delivery = forge(provider, event, secret=secret)
    assert verify(provider, delivery.headers, delivery.body, secret=secret, url="http://localhost/").is_ok
    assert delivery.provider == provider
    assert delivery.event


def test_with_a_seed_and_a_time_it_is_the_same_each_time() -> None:
    one, other = (forge("github", "push", secret=SECRET, seed=7, at_s=1e9) for _ in range(2))
    assert one == other
    assert forge("github", "push", secret=SECRET, at_s=1e9) != one


def test_values_are_set_and_taken_out_before_it_is_signed() -> None:
    delivery = forge(
        "github", "push", secret=SECRET, set={"ref": "refs/tags/v1", "extra.deep": [1]}, unset=["pusher"]
    )
    content = delivery.json()
    assert content["ref"] == "refs/tags/v1"
    assert content["extra"] == {"deep": [1]}
    assert "pusher" not in content
    assert verify("github", delivery.header_map, delivery.body, secret=SECRET).is_ok


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}])
def test_a_value_that_is_not_json_is_an_error(value: object) -> None:
    with pytest.raises(UsageError, match="not JSON") as caught:
        forge("github", "push", secret=SECRET, set={"ref": value})
    assert caught.value.code == "set-invalid"


def forged(attack: str) -> Delivery | None:
    """A refund forged so, None where Stripe's scheme knows no such attack."""
    try:
        return forge("stripe", "charge.refunded", secret=SECRET, attack=attack)
    except UsageError as error:
        if error.code != "attack-not-applicable" or not error.message.startswith(f"{attack}: "):
            raise
        return None


def test_each_attack_that_applies_is_not_accepted_and_the_others_say_why() -> None:
    applied = set()
    for attack in ATTACKS:
        delivery = forged(attack)
        if delivery is not None:
            applied.add(attack)
            assert delivery.attack == attack
            assert verify("stripe", delivery.headers, delivery.body, secret=SECRET).is_bad
    assert {"unsigned", "wrong-secret", "tampered", "reserialised", "stale"} <= applied
    assert "future" not in applied


def test_an_unknown_attack_comes_with_a_suggestion_or_the_list() -> None:
    with pytest.raises(UsageError) as caught:
        forge("github", "push", secret=SECRET, attack="unsinged")
    assert caught.value.hint == "did you mean unsigned?"
    with pytest.raises(UsageError, match="no attack") as caught:
        forge("github", "push", secret=SECRET, attack="x")
    assert "tampered" in caught.value.hint


def test_a_saved_delivery_is_found_by_either_of_its_files_and_by_its_name() -> None:
    path = SAVED[0]
    body = next(each for each in path.parent.glob(f"{path.stem}.body.*"))
    assert load_fixture(path) == load_fixture(str(path.with_suffix(""))) == load_fixture(body)


def test_a_saved_delivery_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FixtureError):
        load_fixture(tmp_path / "missing.toml")


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
def test_a_saved_delivery_is_signed_anew_with_a_new_id(path: Path) -> None:
    saved = load_fixture(path)
    assert saved.provider is not None
    signed = saved.signed(secret=SECRET, has_new_id=True)
    assert verify(saved.provider, signed.headers, signed.body, secret=SECRET).is_ok
    assert signed.id != saved.id
    again = signed.signed(secret=SECRET)
    assert (again.id, again.body) == (signed.id, signed.body)


@given(st.integers() | st.text() | st.booleans() | st.none())
@settings(derandomize=True, deadline=None, max_examples=20)
def test_what_is_edited_stands_in_the_body_and_can_be_signed_again(value: object) -> None:
    delivery = forge("github", "push", secret=SECRET, seed=1).edited(
        {"repository.note": value}, unset=["ref"]
    )
    assert delivery.json()["repository"]["note"] == value
    assert not verify("github", delivery.headers, delivery.body, secret=SECRET).is_ok
    signed = delivery.signed(secret=SECRET)
    assert verify("github", signed.headers, signed.body, secret=SECRET).is_ok


def test_a_delivery_of_nobody_known_cannot_be_signed() -> None:
    from dataclasses import replace

    with pytest.raises(UsageError) as caught:
        replace(forge("github", "push", secret=SECRET), provider=None).signed(secret=SECRET)
    assert caught.value.code == "provider-missing"


def test_what_is_sent_arrives_byte_for_byte() -> None:
    delivery = forge("slack", "app_mention", secret=SECRET)
    with WebhookServer() as server:
        answer = delivery.send(server.url + "/hooks?x=1")
        (received,) = server.received
    assert answer.status == 200
    assert received.body == delivery.body
    assert received.target == "/hooks?x=1"
    assert [pair for pair in received.headers if pair[0] not in ("Host", "Content-Length")] == list(
        delivery.headers
    )
    received.assert_signed("slack", secret=SECRET)


def test_sending_from_a_running_loop_works_either_way() -> None:
    delivery = forge("github", "push", secret=SECRET)

    async def main() -> list[int]:
        with WebhookServer() as server:
            blocking = delivery.send(server.url)
            awaited = await delivery.send_async(server.url)
        return [blocking.status, awaited.status]

    assert asyncio.run(main()) == [200, 200]


def test_a_cancelled_sending_ends() -> None:
    delivery = forge("github", "push", secret=SECRET)

    async def main(url: str) -> None:
        sending = asyncio.ensure_future(delivery.send_async(url))
        while not server.received:
            await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending

    with WebhookServer() as server:
        server.answer(delay_s=60)
        asyncio.run(main(server.url))


def test_nobody_there_is_an_endpoint_error() -> None:
    with WebhookServer() as server:
        url = server.url
    with pytest.raises(EndpointError, match="it refuses connections"):
        forge("github", "push", secret=SECRET).send(url)


def test_an_answer_that_does_not_come_is_an_endpoint_error() -> None:
    with WebhookServer() as server:
        server.answer(delay_s=60)
        with pytest.raises(EndpointError, match=r"no answer within 0\.05 s"):
            forge("github", "push", secret=SECRET).send(server.url, timeout_s=0.05)


def test_a_redacted_signature_is_not_sent() -> None:
    redacted = next(each for each in map(load_fixture, SAVED) if each.is_redacted)
    with WebhookServer() as server:
        with pytest.raises(FixtureError) as caught:
            redacted.send(server.url)
        assert caught.value.code == "fixture-redacted"
        assert server.received == []


def answer(status: int, body: bytes = b"", *, problem: BaseException | None = None) -> Answer:
    delivery = forge("github", "push", secret=SECRET)
    return Answer(status, "Word", (("X-A", "1"), ("Set-Cookie", "sid=abcdef")), body, 0.5, delivery, problem)


@pytest.mark.parametrize(
    ("status", "is_accepted", "is_refused"),
    [
        (200, True, False),
        (204, True, False),
        (302, False, False),
        (400, False, True),
        (499, False, True),
        (500, False, False),
    ],
)
def test_two_hundreds_are_accepted_and_four_hundreds_refused(
    status: int, is_accepted: bool, is_refused: bool
) -> None:
    given_ = answer(status, b"why")
    assert given_.is_accepted is is_accepted
    for asserts, holds in ((given_.assert_accepted, is_accepted), (given_.assert_refused, is_refused)):
        if holds:
            asserts()
        else:
            with pytest.raises(AssertionError, match=f"github push was answered {status} Word: why"):
                asserts()


def test_too_late_is_not_accepted_within_the_limit() -> None:
    answer(200).assert_accepted(within_s=0.5)
    with pytest.raises(AssertionError, match=r"accepted after 0.500 s, the limit is 0.4 s"):
        answer(200).assert_accepted(within_s=0.4)


def test_the_exception_behind_an_answer_is_the_cause() -> None:
    problem = ValueError("boom")
    for asserts in (
        answer(500, problem=problem).assert_accepted,
        answer(500, problem=problem).assert_refused,
    ):
        with pytest.raises(AssertionError) as caught:
            asserts()
        assert caught.value.__cause__ is problem


def test_an_answer_is_read_as_text_json_and_headers() -> None:
    given_ = answer(200, b'{"a": "\xc3\xa9\xff"}')
    assert given_.text == '{"a": "é\ufffd"}'
    assert answer(200, b"[1]").json() == [1]
    assert (given_.header("x-a"), given_.header("x-b")) == ("1", None)
    assert given_.delivery.header("x-github-event") == "push"


def test_nothing_secret_is_in_reports_messages_and_representations() -> None:
    headers = (("X-Gitlab-Event", "Push Hook"), ("X-Key", SECRET), ("X-Api-Key", "abcdef"))
    body = b'{"client_secret": "abcdef"}'
    delivery = Delivery("gitlab", "push", None, "POST", "/", headers, body, secrets=(Secret(SECRET),))
    given_ = Answer(
        500, "", (("Set-Cookie", "sid=abcdef"),), f"wrong: {SECRET}\x1b[2J".encode(), 0.1, delivery
    )
    shown = shown_delivery(delivery, "http://localhost/?token=abcdef12") + shown_answer(given_)
    with pytest.raises(AssertionError) as caught:
        given_.assert_accepted()
    for text in (shown, str(caught.value), repr(delivery), repr(given_)):
        assert SECRET not in text
        assert "abcdef" not in text
        assert "\x1b" not in text
    assert "wrong: ****" in shown


def test_a_secret_is_erased_before_the_text_is_shortened() -> None:
    delivery = forge("github", "push", secret=SECRET)
    body = b"x" * 990 + SECRET.encode()
    shown = shown_answer(Answer(200, "", (), body, 0.1, delivery))
    assert SECRET[:8] not in shown
    assert "990" not in shown
    long = shown_answer(Answer(200, "", (), b"y" * 5_000, 0.1, delivery))
    assert long.endswith("… (5,000 characters)")


def test_a_secret_too_short_to_be_one_is_left_alone() -> None:
    assert erased("as is", [Secret("s")]) == "as is"
    assert erased("secret1 secret12", [Secret("secret1"), Secret("secret12")]) == "**** ****"


@pytest.mark.parametrize("path", ["", ".", "/", "..", "a\0b", "x" * 5_000])
def test_what_cannot_be_a_saved_delivery_is_an_error_of_its_own(path: str) -> None:
    with pytest.raises(FixtureError):
        load_fixture(path)
