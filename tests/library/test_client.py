"""The client of a test: forges, replays, attacks, counts effects, and keeps what was said."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from webhookctl import ATTACKS, Target, WebhookClient, WebhookServer, load_fixture, verify
from webhookctl.errors import EndpointError, FixtureError, UsageError

SECRET = "sample-secret-0123456789"
SAVED = Path(__file__).parents[2] / "fixtures"
STRIPE = next(path for path in sorted(SAVED.glob("stripe/*.toml")))


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    with WebhookServer() as running:
        yield running


@pytest.fixture
def client(server: WebhookServer) -> WebhookClient:
    return WebhookClient(Target(server.url).__enter__(), path="/hooks", secret=SECRET)


def judged(server: WebhookServer, *, provider: str = "stripe") -> Callable[[], None]:
    """Let `server` refuse what is not rightly signed."""

    def is_wrong(received: Any) -> bool:
        return not verify(provider, received.headers, received.body, secret=SECRET).is_ok

    server.answer(400, match=is_wrong)
    return server.clear


def test_what_it_sends_is_signed_and_goes_to_the_path(server: WebhookServer, client: WebhookClient) -> None:
    answer = client.send("stripe", "charge.refunded", set={"data.object.amount": 4200}, unset=["livemode"])
    (received,) = server.received
    received.assert_signed("stripe", secret=SECRET)
    assert received.target == "/hooks"
    assert received.json()["data"]["object"]["amount"] == 4200
    assert "livemode" not in received.json()
    assert client.answers == [answer]
    assert client.url == server.url + "/hooks"


def test_paths_and_secrets_may_depend_on_the_provider(server: WebhookServer) -> None:
    target = Target(server.url).__enter__()
    client = WebhookClient(target, path={"github": "gh"}, secret={"github": "a-secret", "stripe": "b-secret"})
    client.send("github", "push")
    client.send("stripe", "charge.refunded")
    github, stripe = server.received
    github.assert_signed("github", secret="a-secret")
    stripe.assert_signed("stripe", secret="b-secret")
    assert (github.target, stripe.target) == ("/gh", "/")
    assert client.url == server.url


def test_without_a_secret_the_configured_one_signs(
    server: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_from_the_environment")
    client = WebhookClient(Target(server.url).__enter__(), secret={"github": "x"})
    client.send("stripe", "charge.refunded")
    server.received[0].assert_signed("stripe", secret="whsec_from_the_environment")


def test_without_any_secret_it_says_what_to_do(
    server: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRET", raising=False)
    client = WebhookClient(Target(server.url).__enter__())
    with pytest.raises(UsageError, match="no secret to sign for stripe") as caught:
        client.send("stripe", "charge.refunded")
    assert caught.value.hint == "override the fixture webhook_secret, or export STRIPE_WEBHOOK_SECRET=…"
    assert server.received == []


@pytest.mark.parametrize(
    "saved", [STRIPE, str(STRIPE), load_fixture(STRIPE)], ids=["path", "text", "delivery"]
)
def test_a_replay_is_signed_anew_with_a_new_id_each_time(
    server: WebhookServer, client: WebhookClient, saved: Any
) -> None:
    client.replay(saved)
    client.replay(saved, set={"data.object.amount": 1})
    client.replay(saved, new_id=False)
    for received in server.received:
        received.assert_signed("stripe", secret=SECRET)
    ids = [received.id for received in server.received]
    assert len({*ids}) == 3
    assert ids[2] == load_fixture(STRIPE).id
    assert server.received[1].json()["data"]["object"]["amount"] == 1


def test_an_exact_replay_of_what_was_redacted_is_an_error(client: WebhookClient) -> None:
    with pytest.raises(FixtureError, match="redacted"):
        client.replay(STRIPE, exact=True)


def test_forgeries_that_are_refused_are_fine(server: WebhookServer, client: WebhookClient) -> None:
    judged(server)
    answers = client.assert_refuses_forgeries("stripe", "charge.refunded")
    assert {answer.status for answer in answers} == {400}
    assert 5 <= len(answers) < len(ATTACKS)


def test_forgeries_that_are_accepted_are_named_all(client: WebhookClient) -> None:
    with pytest.raises(AssertionError) as caught:
        client.assert_refuses_forgeries("stripe", "charge.refunded", attacks=["tampered", "stale", "future"])
    lines = str(caught.value).splitlines()
    assert lines[0] == "not refused:"
    assert [line.partition(" was")[0] for line in lines[1:]] == ["tampered", "stale"]


def test_who_refuses_everything_has_proved_nothing(server: WebhookServer, client: WebhookClient) -> None:
    server.answer(403)
    with pytest.raises(AssertionError, match=r"not accepted: stripe charge\.refunded was answered 403"):
        client.assert_refuses_forgeries("stripe", "charge.refunded")
    assert len(server.received) == 1


def test_a_mistake_in_the_name_of_an_attack_is_not_passed_over(client: WebhookClient) -> None:
    with pytest.raises(UsageError, match="there is no attack 'tampred'"):
        client.assert_refuses_forgeries("stripe", "charge.refunded", attacks=["tampred"])


@pytest.mark.parametrize("concurrent", [False, True])
def test_copies_that_take_effect_once_are_idempotent(
    server: WebhookServer, client: WebhookClient, concurrent: bool
) -> None:
    delivery = client.forge("github", "push")
    answers = client.assert_idempotent(
        delivery,
        times=4,
        concurrent=concurrent,
        settle_s=0,
        effect=lambda: len({each.id for each in server.received}),
    )
    assert len(answers) == len(server.received) == 4
    assert {received.body for received in server.received} == {delivery.body}


def test_copies_that_take_effect_each_time_are_not_idempotent(
    server: WebhookServer, client: WebhookClient
) -> None:
    with pytest.raises(AssertionError, match="not idempotent: 3 copies of one delivery took effect 3 times"):
        client.assert_idempotent(
            client.forge("github", "push"), settle_s=0, effect=lambda: len(server.received)
        )


def test_copies_that_take_no_effect_at_all_are_not_idempotent_either(client: WebhookClient) -> None:
    with pytest.raises(AssertionError, match="took effect 0 times"):
        client.assert_idempotent(client.forge("github", "push"), settle_s=0, effect=lambda: 5)


def test_an_effect_that_comes_later_is_waited_for(client: WebhookClient) -> None:
    counts = iter([0, 0, 1, 2])
    with pytest.raises(AssertionError, match="took effect 2 times"):
        client.assert_idempotent(client.forge("github", "push"), settle_s=0.1, effect=lambda: next(counts, 2))


def test_each_copy_has_to_be_accepted(server: WebhookServer, client: WebhookClient) -> None:
    server.answer(200, times=1)
    server.answer(409)
    with pytest.raises(AssertionError, match="not accepted: github push was answered 409"):
        client.assert_idempotent(client.forge("github", "push"))


def test_copies_may_be_of_an_event_that_is_forged_for_it(
    server: WebhookServer, client: WebhookClient
) -> None:
    answers = client.assert_idempotent("github", "push", times=2, set={"ref": "refs/heads/x"})
    assert [answer.status for answer in answers] == [200, 200]
    first, second = server.received
    assert first.headers == second.headers
    assert first.json()["ref"] == "refs/heads/x"


@pytest.mark.parametrize(("path", "shown"), [("/hooks", "POST /hooks;"), ("", "POST /;")])
def test_where_no_route_is_the_path_is_told_and_how_to_set_it(
    server: WebhookServer, path: str, shown: str
) -> None:
    client = WebhookClient(Target(server.url).__enter__(), path=path, secret=SECRET)
    server.answer(404, "no such page")
    with pytest.raises(AssertionError, match="was answered 404 Not Found: no such page") as caught:
        client.send("stripe", "charge.refunded").assert_accepted()
    assert f"hint: it was sent to {shown} the fixture webhook_path" in str(caught.value)
    server.clear()
    server.answer(403)
    with pytest.raises(AssertionError) as refused:
        client.send("stripe", "charge.refunded").assert_accepted()
    assert "webhook_path" not in str(refused.value)


def test_a_saved_delivery_is_signed_once_for_all_copies(server: WebhookServer, client: WebhookClient) -> None:
    client.assert_idempotent(STRIPE, times=2)
    first, second = server.received
    assert first.headers == second.headers
    first.assert_signed("stripe", secret=SECRET)


def test_what_was_said_is_kept_for_the_report(server: WebhookServer) -> None:
    noted: list[tuple[str, object]] = []
    client = WebhookClient(
        Target(server.url).__enter__(), secret=SECRET, record=lambda name, value: noted.append((name, value))
    )
    server.answer(404, "nothing here")
    client.send("stripe", "charge.refunded", attack="stale")
    (said,) = client.log
    assert said.startswith(f"> POST {server.url}\n")
    assert said.endswith("\nnothing here")
    assert "< 404 Not Found" in said
    ((name, value),) = noted
    assert name == "webhook"
    assert str(value).startswith("stripe charge.refunded [stale] 404 ")


def test_no_answer_is_said_too() -> None:
    noted: list[object] = []
    client = WebhookClient(
        Target("http://127.0.0.1:1").__enter__(), secret=SECRET, record=lambda _, value: noted.append(value)
    )
    with pytest.raises(EndpointError):
        client.send("github", "push")
    assert client.log[0].endswith("< no answer: http://127.0.0.1:1/: it refuses connections")
    assert noted == ["github push no answer"]


def test_the_last_output_of_a_command_is_said_where_no_answer_came(tmp_path: Path) -> None:
    import sys

    from webhookctl import Command

    code = (
        "import socket, sys\n"
        f"print('secret is {SECRET}', flush=True)\n"
        "server = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "while True:\n"
        "    server.accept()[0].close()\n"
    )
    with Target(Command([sys.executable, "-c", code, "{port}"])) as target:
        client = WebhookClient(target, secret=SECRET)
        with pytest.raises(EndpointError):
            client.send("github", "push")
    assert client.log[1] == "last output of the receiver:\nsecret is ****\n"


def test_the_exception_of_an_application_goes_with_its_answer() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("boom")

    with Target(app) as target:
        client = WebhookClient(target, secret=SECRET)
        answer = client.send("github", "push")
        assert isinstance(answer.problem, KeyError)
        assert client.problems == [answer.problem]
        assert client.take_problems() == [answer.problem]
        assert client.take_problems() == []


def test_it_can_be_awaited(server: WebhookServer, client: WebhookClient) -> None:
    import asyncio

    delivery = client.forge("github", "push")
    assert asyncio.run(client.deliver_async(delivery)).status == 200
    nobody = WebhookClient(Target("http://127.0.0.1:1").__enter__())
    with pytest.raises(EndpointError):
        asyncio.run(nobody.deliver_async(delivery))
    assert len(client.log) == len(nobody.log) == 1
