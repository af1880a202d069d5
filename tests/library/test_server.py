"""The server in a test: everything kept, answers as told, `wait` and `next` on every loop, no thread left."""

import asyncio
import http.client
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import trio
import trustme

from webhookctl import Delivery, Received, WebhookMock, WebhookServer, forge
from webhookctl.errors import UsageError
from webhookctl.library.background import close_sending

SECRET = "sample-secret"
RUNS = [pytest.param(lambda main: asyncio.run(main()), id="asyncio"), pytest.param(trio.run, id="trio")]
Main = Callable[[], Awaitable[None]]
Run = Callable[[Main], object]


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    with WebhookServer() as running:
        yield running


def delivery(number: int = 0) -> Delivery:
    return forge("github", "push", secret=SECRET, set={"number": number})


def statuses(server: WebhookServer, count: int) -> list[int]:
    return [delivery().send(server.url).status for _ in range(count)]


def test_it_keeps_what_comes_in_and_says_what_it_is(server: WebhookServer) -> None:
    sent = delivery()
    sent.send(server.url + "/in?a=1")
    (received,) = server.received
    assert (received.provider, received.event, received.id) == ("github", "push", sent.id)
    assert (received.method, received.target, received.url) == ("POST", "/in?a=1", server.url + "/in?a=1")
    assert received.body == sent.body
    assert received.json() == sent.json()
    assert received.header("x-github-event") == "push"
    assert received.verdict("github", secret=SECRET).is_ok
    assert received.received_at_s > 1_700_000_000


def test_a_signature_is_judged_and_the_reason_told(server: WebhookServer) -> None:
    delivery().send(server.url)
    (received,) = server.wait()
    received.assert_signed("github", secret=SECRET)
    assert received.verdict("github", secret=SECRET).is_ok
    with pytest.raises(AssertionError, match=r"POST / is not rightly signed: .*secret"):
        received.assert_signed("github", secret="other")


def test_it_answers_as_it_is_told_in_order_and_then_as_usual(server: WebhookServer) -> None:
    server.answer(201)
    server.answer(500, times=2)
    server.answer(429, times=1)
    server.answer(410, times=0)
    assert statuses(server, 5) == [500, 500, 429, 201, 201]
    server.answer(202)
    assert statuses(server, 1) == [202]
    server.clear()
    assert statuses(server, 1) == [200]
    assert len(server.received) == 1


def test_an_answer_for_some_deliveries_leaves_the_others_alone(server: WebhookServer) -> None:
    server.answer(404, match=lambda received: received.json()["number"] == 2)
    server.answer(503, times=1, match=lambda received: received.json()["number"] == 3)
    found = [delivery(number).send(server.url).status for number in (1, 2, 3, 3)]
    assert found == [200, 404, 503, 200]


def test_bodies_headers_and_delays_are_sent(server: WebhookServer) -> None:
    server.answer(200, json={"é": 1}, headers={"X-A": "b"}, delay_s=0.05, times=1)
    server.answer(299, b"raw", times=1)
    server.answer(200, "é", headers={"content-type": "text/plain"}, times=1)
    first, second, third = (delivery().send(server.url) for _ in range(3))
    assert first.json() == {"é": 1}
    assert (first.header("Content-Type"), first.header("X-A")) == ("application/json", "b")
    assert first.elapsed_s >= 0.05
    assert (second.status, second.reason, second.body) == (299, "", b"raw")
    assert (third.body, third.header("Content-Type")) == ("é".encode(), "text/plain")


def test_an_answer_in_json_may_have_a_type_of_its_own(server: WebhookServer) -> None:
    server.answer(json=[], headers={"content-type": "application/x+json"})
    answer = delivery().send(server.url)
    assert [value for name, value in answer.headers if name.lower() == "content-type"] == [
        "application/x+json"
    ]


def test_a_match_that_raises_is_answered_500_and_told_once(server: WebhookServer) -> None:
    server.answer(200, match=lambda received: received.json()["missing"])
    assert statuses(server, 1) == [500]
    (problem,) = server.take_problems()
    assert isinstance(problem, KeyError)
    assert server.take_problems() == []


def test_wait_returns_as_soon_as_they_are_there(server: WebhookServer) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: server.wait(2, timeout_s=30))
        statuses(server, 2)
        assert len(waiting.result()) == 2


def test_wait_looks_from_the_beginning_and_at_what_matches(server: WebhookServer) -> None:
    for number in (1, 2, 1):
        delivery(number).send(server.url)
    found = server.wait(2, match=lambda received: received.json()["number"] == 1)
    assert [each.json()["number"] for each in found] == [1, 1]
    assert len(server.wait(3)) == 3


def test_waiting_in_vain_says_what_came_instead(server: WebhookServer) -> None:
    delivery().send(server.url + "/other")
    with pytest.raises(TimeoutError) as caught:
        server.wait(match=lambda received: False, timeout_s=0)
    assert str(caught.value) == "0 of 1 deliveries came within 0 s; what came: POST /other push"
    server.clear()
    with pytest.raises(TimeoutError, match=r"^0 of 2 deliveries came within 0 s$"):
        server.wait(2, timeout_s=0)


def test_waiting_in_vain_on_a_loop_advises_to_await(server: WebhookServer) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError, match="use `await …next"):
            server.wait(timeout_s=0)

    asyncio.run(main())


@pytest.mark.parametrize("run", RUNS)
def test_next_gives_each_delivery_once_in_order(server: WebhookServer, run: Run) -> None:
    found: list[int] = []

    async def main() -> None:
        for number in (1, 2):
            await delivery(number).send_async(server.url)
        found.extend([(await server.next()).json()["number"] for _ in range(2)])

    run(main)
    assert found == [1, 2]


@pytest.mark.parametrize("run", RUNS)
def test_next_takes_what_matches_and_leaves_the_rest(server: WebhookServer, run: Run) -> None:
    found: list[int] = []

    async def main() -> None:
        for number in (1, 2):
            await delivery(number).send_async(server.url)
        found.append((await server.next(match=lambda each: each.json()["number"] == 2)).json()["number"])
        found.append((await server.next()).json()["number"])

    run(main)
    assert found == [2, 1]


@pytest.mark.parametrize("run", RUNS)
def test_next_in_vain_is_a_timeout(server: WebhookServer, run: Run) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError, match=r"no deliveries came within 0\.01 s"):
            await server.next(timeout_s=0.01)

    run(main)


@pytest.mark.parametrize("run", RUNS)
def test_next_wakes_up_for_what_comes_later(server: WebhookServer, run: Run) -> None:
    found: list[Received] = []

    async def main() -> None:
        found.append(await server.next(timeout_s=30))

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run, main)
        while not server._bells:
            time.sleep(0)
        delivery(5).send(server.url)
        waiting.result()
    assert found[0].json()["number"] == 5


def test_a_cancelled_next_takes_nothing_away_on_asyncio(server: WebhookServer) -> None:
    async def main() -> None:
        waiting = asyncio.ensure_future(server.next(timeout_s=60))
        while not server._bells:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not server._bells
        await delivery(1).send_async(server.url)
        assert (await server.next()).json()["number"] == 1

    before = threading.active_count()
    asyncio.run(main())
    close_sending()
    assert threading.active_count() <= before


def test_a_cancelled_next_takes_nothing_away_on_trio(server: WebhookServer) -> None:
    async def main() -> None:
        with trio.move_on_after(0.01) as scope:
            await server.next(timeout_s=60)
        assert scope.cancelled_caught
        assert not server._bells
        await delivery(1).send_async(server.url)
        assert (await server.next()).json()["number"] == 1

    trio.run(main)


def test_a_large_body_and_many_requests_of_one_connection_arrive(server: WebhookServer) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port))
    body = bytes(range(256)) * 40_000
    for content in (body, b"", b"x"):
        connection.request("POST", "/", content)
        assert connection.getresponse().read() == b""
    connection.close()
    assert [each.body for each in server.received] == [body, b"", b"x"]


def test_many_at_once_are_all_kept_and_answered_beside_one_another(server: WebhookServer) -> None:
    server.answer(delay_s=0.05)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: delivery(number).send(server.url), range(20)))
    assert {answer.status for answer in answers} == {200}
    assert sorted(each.json()["number"] for each in server.received) == list(range(20))


def test_it_speaks_tls_where_it_gets_a_context(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import ssl

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with WebhookServer(tls=context) as server:
        assert server.url.startswith("https://")
        assert delivery().send(server.url).status == 200
    assert server.received[0].url.startswith("https://")


def test_it_leaves_no_thread_behind_even_with_an_answer_under_way() -> None:
    close_sending()
    before = set(threading.enumerate())
    with WebhookServer() as server:
        server.answer(delay_s=60)
        host, _, port = server.url.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port))
        connection.request("POST", "/", b"{}")
        server.wait()
    connection.close()
    assert set(threading.enumerate()) == before


def test_outside_of_with_it_has_no_url() -> None:
    server = WebhookServer()
    with pytest.raises(RuntimeError, match="use it with `with`"):
        _ = server.url


def test_a_port_that_is_taken_is_an_error_and_leaves_no_thread(server: WebhookServer) -> None:
    before = threading.active_count()
    with pytest.raises(UsageError, match="in use"), WebhookServer(port=int(server.url.rpartition(":")[2])):
        pass
    assert threading.active_count() == before


def test_what_it_received_stays_after_it_has_stopped() -> None:
    with WebhookServer() as server:
        delivery().send(server.url)
    assert repr(server.received) == f"[<Received POST / github push, {len(server.received[0].body):,} bytes>]"


def test_it_can_be_used_again() -> None:
    server = WebhookServer()
    for _ in range(2):
        with server:
            assert statuses(server, 1) == [200]
    assert len(server.received) == 2


def test_a_mock_counts_its_calls_and_has_a_usual_answer() -> None:
    with WebhookMock("crm", status=201, json={"id": "c_1"}) as crm:
        crm.answer(500, times=1)
        answers = [delivery().send(crm.url + "/orders") for _ in range(2)]
        assert [answer.status for answer in answers] == [500, 201]
        assert answers[1].json() == {"id": "c_1"}
        assert crm.count == len(crm.calls) == 2
        assert repr(crm) == "<WebhookMock crm, 2 calls>"
        crm.clear()
        assert crm.count == 0
        assert delivery().send(crm.url).status == 201


def test_a_mock_answers_an_empty_object_by_itself() -> None:
    with WebhookMock() as mock:
        assert delivery().send(mock.url).json() == {}
