"""`listen --relay` as people use it: one URL that stays, nothing missed, nobody surprised."""

import json
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.receivers import App, Received, app
from tests.acceptance.relay_running import Relay, relay, wait_for
from tests.acceptance.running import DEADLINE_S, Listening, Project


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Relay]:
    with relay(tmp_path / "r", "--open-channels") as running:
        yield running


def post(
    url: str, body: bytes = b"{}", path: str = "/hooks", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """What a sender gets."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=DEADLINE_S)
    try:
        connection.request("POST", parts.path + path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def until_cut_off(url: str) -> None:
    """A sender whose relay goes away."""
    with suppress(OSError, HTTPException):
        post(url)


def public_url(listening: Listening) -> str:
    (ready,) = listening.wait_for("ready")
    return str(ready["relay"]["url"])


def refused(project: Project, *arguments: str) -> str:
    """The error of a client that the relay refuses for good."""
    result = project.run("listen", "--port", "0", *arguments)
    assert result.exit_code == 6, result
    return result.errors


def test_the_first_use_makes_a_channel_whose_url_stays(project: Project, served: Relay) -> None:
    urls = []
    for _ in range(2):
        with project.listening("--relay", served.url, "--json") as listening:
            urls.append(public_url(listening))
            (ready,) = listening.of_type("ready")
            assert ready["relay"]["channel"] == project.folder.name
            assert ready["relay"]["policy"] == "queued"
            assert post(urls[-1])[0] == 202
            listening.wait_for("response")
            assert listening.stop() == 130
    assert urls[0] == urls[1]
    state = project.folder / ".webhookctl" / "relay" / "channels.json"
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert json.loads(state.read_text())[0]["key"].startswith("wck_")


def test_the_public_url_is_the_first_thing_a_person_sees(project: Project, served: Relay) -> None:
    with project.watching("--relay", served.url) as listening:
        lines = listening.wait_for_text("Ready").splitlines()
        assert "public URL" in lines[1]
        assert served.url in lines[1]
        assert "queued while nobody answers" in lines[2]
        post(lines[1].split()[-1])
        assert "relay" in listening.wait_for_text("after the relay had it")


def test_two_projects_of_one_name_get_channels_of_their_own(
    project: Project, served: Relay, tmp_path: Path
) -> None:
    served.new_channel(project.folder.name)
    with project.listening("--relay", served.url, "--json") as listening:
        (ready,) = listening.wait_for("ready")
        assert ready["relay"]["channel"].startswith(f"{project.folder.name}-")
    error = refused(project, "--relay", served.url, "--channel", project.folder.name)
    assert "has a channel" in error
    assert "--key" in error


def test_a_relay_of_one_owner_says_how_to_get_a_channel(project: Project, tmp_path: Path) -> None:
    with relay(tmp_path / "closed") as closed:
        error = refused(project, "--relay", closed.url)
        assert "relay channel new" in error
        assert "--key" in error


def test_what_is_missed_comes_in_order_and_how_far_is_said(project: Project, served: Relay) -> None:
    with project.listening("--relay", served.url, "--json") as listening:
        url = public_url(listening)
        listening.stop()
    for number in range(12):
        assert post(url, b"%d" % number)[0] == 202
    with app() as receiver:
        arguments = ("--relay", served.url, "-f", receiver.url, "--plain", "--exit-after", "12")
        with project.listening(*arguments, is_ready=False) as listening:
            assert listening.wait() == 0
            assert "12 deliveries waited there" in listening.text
            assert listening.errors.splitlines()[0] == "draining 12 missed deliveries"
            assert listening.errors.splitlines()[-1].startswith("drained 12 missed deliveries in ")
        assert [received.body for received in receiver.received] == [b"%d" % number for number in range(12)]


def test_exit_after_takes_no_more_than_it_was_told_and_says_what_stays(
    project: Project, served: Relay
) -> None:
    with project.listening("--relay", served.url, "--json") as listening:
        url = public_url(listening)
        listening.stop()
    for number in range(5):
        post(url, b"%d" % number)
    with app() as receiver:
        arguments = ("--relay", served.url, "-f", receiver.url, "--json", "--exit-after", "2")
        with project.listening(*arguments) as listening:
            assert listening.wait() == 0
            (stopped,) = listening.of_type("stopped")
            assert (stopped["delivered"], stopped["left_at_relay"]) == (2, 3)
        assert len(receiver.received) == 2
        with project.listening("--relay", served.url, "-f", receiver.url, "--json") as listening:
            assert len(listening.wait_for("response", 3)) == 3
        assert [received.body for received in receiver.received] == [b"0", b"1", b"2", b"3", b"4"]
        assert all(received.headers["Webhookctl-Delivery-Id"] for received in receiver.received)


@pytest.mark.parametrize(("backlog", "expected"), [("none", [b"new"]), ("2", [b"3", b"4", b"new"])])
def test_a_backlog_that_nobody_wants_is_skipped_and_told(
    project: Project, served: Relay, backlog: str, expected: list[bytes]
) -> None:
    with project.listening("--relay", served.url, "--json") as listening:
        url = public_url(listening)
        listening.stop()
    for number in range(5):
        post(url, b"%d" % number)
    with app() as receiver:
        arguments = ("--relay", served.url, "-f", receiver.url, "--json", "--backlog", backlog)
        with project.listening(*arguments) as listening:
            (skipped,) = listening.wait_for("relay.skipped")
            assert skipped["count"] == 5 - len(expected) + 1
            post(url, b"new")
            receiver.wait_for(len(expected))
            assert [received.body for received in receiver.received] == expected


def test_a_second_client_is_refused_takes_over_or_looks_on(project: Project, served: Relay) -> None:
    def with_the_app(received: Received) -> tuple[int, bytes]:
        return 201, b"the app\n"

    with (
        app(with_the_app) as receiver,
        project.listening("--relay", served.url, "-f", receiver.url, "--json") as first,
    ):
        url = public_url(first)
        error = refused(project, "--relay", served.url)
        assert "--takeover" in error
        assert "--observe" in error
        with project.listening("--relay", served.url, "--observe", "--json") as observer:
            assert post(url) == (201, b"the app\n")
            assert "looking on" in observer.of_type("ready")[0]["relay"]["note"]
            (seen,) = observer.wait_for("request")
            assert seen["public_url"] == f"{url}/hooks"
        with project.listening("--relay", served.url, "--takeover", "--json"):
            assert first.wait() == 6
            assert "another client has taken this channel over" in first.errors
            assert post(url)[0] == 202
        assert len(receiver.received) == 1


def test_what_was_with_the_app_when_it_was_killed_comes_again_and_says_so(
    project: Project, served: Relay
) -> None:
    go = threading.Event()

    def wait_once(received: Received) -> tuple[int, bytes]:
        if "webhookctl-attempt" not in received.headers:
            go.wait(DEADLINE_S)
        return 200, b"done\n"

    with app(wait_once) as receiver:
        arguments = ("--relay", served.url, "-f", receiver.url, "--json")
        with project.listening(*arguments) as listening:
            url = public_url(listening)
            sending = threading.Thread(target=post, args=(url, b"once"))
            sending.start()
            receiver.wait_for(1)
            listening.process.kill()
        with project.listening(*arguments) as listening:
            first, second = receiver.wait_for(2)
            assert second.headers["Webhookctl-Attempt"] == "2"
            assert first.headers["Webhookctl-Delivery-Id"] == second.headers["Webhookctl-Delivery-Id"]
            go.set()
            sending.join(DEADLINE_S)
            listening.wait_for("response")


def test_ctrl_c_answers_what_the_app_has_and_leaves_the_rest(project: Project, served: Relay) -> None:
    go = threading.Event()

    def wait(received: Received) -> tuple[int, bytes]:
        go.wait(DEADLINE_S)
        return 201, b"late\n"

    with (
        app(wait) as receiver,
        project.listening("--relay", served.url, "-f", receiver.url, "--json") as listening,
    ):
        url = public_url(listening)
        answers: list[tuple[int, bytes]] = []
        senders = [threading.Thread(target=lambda: answers.append(post(url))) for _ in range(3)]
        for sender in senders:
            sender.start()
        receiver.wait_for(1)
        wait_for(lambda: served.channel(project.folder.name)["pending"] == 3, "three deliveries")
        listening.interrupt()
        listening.wait_for("stopping")
        go.set()
        assert listening.wait() == 130
        (stopped,) = listening.of_type("stopped")
        assert (stopped["delivered"], stopped["left_at_relay"]) == (1, 2)
        with project.listening("--relay", served.url, "-f", receiver.url):
            for sender in senders:
                sender.join(DEADLINE_S)
        assert answers == [(201, b"late\n")] * 3


def test_a_second_ctrl_c_does_not_wait_for_the_app(project: Project, served: Relay) -> None:
    go = threading.Event()

    def wait(received: Received) -> tuple[int, bytes]:
        go.wait(DEADLINE_S)
        return 200, b""

    with (
        app(wait) as receiver,
        project.listening("--relay", served.url, "-f", receiver.url, "--json") as listening,
    ):
        url = public_url(listening)
        sending = threading.Thread(target=until_cut_off, args=(url,))
        sending.start()
        receiver.wait_for(1)
        listening.interrupt()
        listening.wait_for("stopping")
        listening.interrupt()
        assert listening.wait(4.0) == 130
        (stopped,) = listening.of_type("stopped")
        assert stopped["left_at_relay"] == 1
        go.set()
        served.end(signal.SIGKILL)
        sending.join(DEADLINE_S)


def test_a_relay_that_restarts_is_waited_for_and_told(project: Project, served: Relay, app_: App) -> None:
    with project.listening("--relay", served.url, "-f", app_.url, "--json") as listening:
        url = public_url(listening)
        assert post(url)[0] == 200
        served.end(signal.SIGTERM)
        listening.wait_for("relay.disconnected")
        served.start()
        listening.wait_for("relay.connected", 2)
        assert post(url, b"after")[0] == 200
    assert [received.body for received in app_.received] == [b"{}", b"after"]


@pytest.fixture
def app_() -> Iterator[App]:
    with app() as running:
        yield running


def test_an_app_that_is_away_is_said_once_and_gets_it_when_it_is_back(
    project: Project, served: Relay, tmp_path: Path
) -> None:
    from tests.acceptance.receivers import sink
    from tests.ports import free_port

    port = free_port()
    with project.listening("--relay", served.url, "-f", str(port), "--json") as listening:
        url = public_url(listening)
        answers: list[tuple[int, bytes]] = []
        sending = threading.Thread(target=lambda: answers.append(post(url)))
        sending.start()
        (held,) = listening.wait_for("relay.held")
        assert held["reason"] == "it refuses connections"
        with sink(port=port):
            sending.join(DEADLINE_S)
            assert answers == [(200, b"")]
        assert len(listening.of_type("relay.held")) == 1


def test_ack_early_answers_before_the_app_does(project: Project, served: Relay) -> None:
    go = threading.Event()

    def wait(received: Received) -> tuple[int, bytes]:
        go.wait(DEADLINE_S)
        return 200, b""

    with (
        app(wait) as receiver,
        project.listening("--relay", served.url, "-f", receiver.url, "--ack", "early", "--json") as listening,
    ):
        url = public_url(listening)
        assert post(url)[0] == 202
        assert post(url)[0] == 202
        receiver.wait_for(2)
        go.set()
        listening.wait_for("response", 2)


def test_a_timeout_given_is_kept_and_without_one_the_app_may_take_its_time(
    project: Project, served: Relay
) -> None:
    go = threading.Event()

    def wait(received: Received) -> tuple[int, bytes]:
        go.wait(DEADLINE_S)
        return 200, b""

    with (
        app(wait) as receiver,
        project.listening(
            "--relay", served.url, "-f", receiver.url, "--timeout", "100ms", "--json"
        ) as listening,
    ):
        status, body = post(public_url(listening))
        assert status == 504
        assert b"no answer within 0.1 s" in body
        go.set()


def test_replay_and_trigger_reach_a_channel_by_its_name(project: Project, served: Relay, app_: App) -> None:
    with project.listening("--relay", served.url, "-f", app_.url, "--json"):
        name = project.folder.name
        assert project.ok("trigger", "payment_intent.succeeded", "--to", f"channel:{name}").exit_code == 0
        (received,) = app_.wait_for(1)
        assert received.headers["Webhookctl-Delivery-Id"]
        error = project.run("replay", "last", "--to", "channel:nobody").errors
        assert "knows no channel nobody" in error


def test_a_signature_over_the_url_is_judged_by_the_public_one(project: Project, served: Relay) -> None:
    with project.listening("--relay", served.url, "--provider", "square", "--json") as listening:
        url = public_url(listening)
        body = b'{"merchant_id":"sample"}'
        signed = project.ok("sign", "--provider", "square", "--url", f"{url}/hooks", stdin=body).text
        name, _, value = signed.strip().partition(": ")
        assert post(url, body, headers={name: value})[0] == 202
        (verdict,) = listening.wait_for("verdict")
        assert verdict["verdict"] == "ok"


def test_a_body_too_large_to_be_held_is_forwarded_and_only_described(
    project: Project, served: Relay, app_: App
) -> None:
    arguments = ("--relay", served.url, "-f", app_.url, "--max-body", "1000", "--json", "--no-save")
    with project.listening(*arguments) as listening:
        assert post(public_url(listening), b"x" * 5_000)[0] == 200
        (request,) = listening.wait_for("request")
        assert request["large_body"]["bytes"] == 5_000
        assert request["body_b64"] == ""
    (received,) = app_.received
    assert received.body == b"x" * 5_000
    assert "body not kept" in project.ok("show", "last").text
    for command in (("replay", "last", "--to", app_.url), ("show", "last", "--body"), ("verify", "#1")):
        result = project.run(*command)
        assert result.exit_code == 4
        assert "too large to be held" in result.errors


def test_doctor_looks_at_the_relay_of_the_configuration(project: Project, served: Relay) -> None:
    with project.listening("--relay", served.url) as listening:
        listening.stop()
    seen = project.with_environment(WEBHOOKCTL_RELAY=served.url)
    assert "reachable, it accepts the channel key" in seen.ok("doctor").text
    stranger = seen.with_environment(WEBHOOKCTL_RELAY_KEY="wck_" + "a" * 22 + "_" + "b" * 22)
    result = stranger.run("doctor")
    assert result.exit_code == 1
    assert "does not accept this channel key" in result.text
    assert "a" * 22 not in stranger.ok("config", "show", "--origin").text


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--takeover",), "relay-missing"),
        (("--channel", "x"), "relay-missing"),
        (("--relay", "https://relay.example.com", "--takeover", "--observe"), "mode-ambiguous"),
        (("--relay", "https://relay.example.com", "--backlog", "some"), "backlog-invalid"),
        (("--relay", "https://relay example.com"), "relay-invalid"),
        (("--relay", "https://relay.example.com", "--key", "env:NO_SUCH_KEY"), "secret-missing"),
        (("--relay", "https://relay.example.com", "--key", "two words"), "relay-key-invalid"),
    ],
)
def test_options_that_cannot_be_are_said_at_once(
    project: Project, arguments: tuple[str, ...], code: str
) -> None:
    result = project.run("listen", "--port", "0", *arguments, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["errors"][0]["code"] == code


def test_what_is_no_relay_is_an_error_of_the_relay(project: Project, app_: App) -> None:
    assert "there is no webhookctl relay" in refused(project, "--relay", app_.url)
