"""What was answered is on disk: killed in the middle of a burst, interrupted in the middle of slow requests."""

import base64
import json
import random
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.acceptance.receivers import Answer, Received, Sender, app, raw_request, send_raw, sink
from tests.acceptance.running import DEADLINE_S, Listening, Project, is_ended

BURST = 800
SENDERS = 8
KILLS = 5


@dataclass(slots=True)
class Burst:
    """800 requests from 8 keep-alive connections; the listener is killed when `kill_after` were answered 2xx."""

    listening: Listening
    name: str
    kill_after: int
    answered: set[str] = field(default_factory=set)
    _next: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)

    def _take(self) -> str | None:
        with self._lock:
            self._next += 1
            return f"{self.name}-{self._next}" if self._next <= BURST else None

    def _send(self) -> None:
        try:
            with Sender(self.listening.url) as sender:
                while (name := self._take()) is not None:
                    response = sender.send(raw_request("/burst", json.dumps({"number": name}).encode()))
                    if response is None:
                        return
                    if 200 <= response.status < 300:
                        self._count(name)
        except OSError:
            return  # killed

    def _count(self, name: str) -> None:
        with self._lock:
            self.answered.add(name)
            is_time = len(self.answered) == self.kill_after
        if is_time:
            self.listening.interrupt(signal.SIGKILL)


def recorded_numbers(project: Project) -> list[str]:
    exchanges = project.ok("log", "--json", "-n", "100000").data["exchanges"]
    return [json.loads(base64.b64decode(exchange["body_b64"]))["number"] for exchange in exchanges]


def test_whatever_was_answered_is_in_the_history_after_kill_9_in_the_middle_of_a_burst(
    project: Project,
) -> None:
    draw = random.Random(20_261_123)
    answered: set[str] = set()
    with sink() as live:
        for kill in range(KILLS):
            with project.listening("--forward-to", live.url) as listening:
                burst = Burst(listening, f"round-{kill}", kill_after=draw.randrange(50, BURST - 50))
                burst.run()
                assert listening.wait() == -signal.SIGKILL
            assert burst.kill_after <= len(burst.answered) < BURST
            answered |= burst.answered
        with project.listening("--forward-to", live.url, "--json") as listening:
            assert send_raw(listening.url, raw_request("/burst", b'{"number": "after"}')).status == 200
            listening.wait_for("response")
    numbers = recorded_numbers(project)
    print(f"answered {len(answered)}, stored {len(numbers) - 1}")
    assert len(set(numbers)) == len(numbers)
    assert answered <= set(numbers)
    assert numbers[0] == "after"


class Slow:
    """An app that answers when it is let go, and knows how many are waiting."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def __call__(self, received: Received) -> Answer:
        self.let_go.wait(DEADLINE_S)
        return 200, b"at last\n"


def is_refusing(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), DEADLINE_S).close()
    except OSError:
        return True
    return False


def wait_until_refusing(port: int) -> None:
    pause = threading.Event()
    for _ in range(3_000):
        if is_refusing(port):
            return
        pause.wait(0.01)
    raise AssertionError("the listener still takes connections")


def test_ctrl_c_lets_what_is_in_flight_be_answered_and_recorded(project: Project) -> None:
    slow = Slow()
    with (
        app(slow) as slow_app,
        project.listening("--forward-to", slow_app.url, "--json") as listening,
        ThreadPoolExecutor(5) as pool,
    ):
        waiting = [
            pool.submit(send_raw, listening.url, raw_request("/slow", b'{"n":%d}' % number))
            for number in range(5)
        ]
        slow_app.wait_for(5)
        listening.interrupt()
        wait_until_refusing(listening.port)
        assert not any(each.done() for each in waiting)
        slow.let_go.set()
        answers = [each.result(DEADLINE_S) for each in waiting]
        assert listening.wait() == 130
        stopped = listening.events[-1]
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"at last\n")] * 5
    assert (stopped["type"], stopped["received"], stopped["delivered"]) == ("stopped", 5, 5)
    assert (stopped["unfinished"], stopped["saved"]) == (0, 5)
    exchanges = project.ok("log", "--json").data["exchanges"]
    assert [[attempt["status"] for attempt in exchange["attempts"]] for exchange in exchanges] == [[200]] * 5


def test_a_second_ctrl_c_stops_at_once_and_what_came_is_still_recorded(project: Project) -> None:
    slow = Slow()
    with app(slow) as slow_app, project.listening("--forward-to", slow_app.url) as listening:
        with Sender(listening.url) as sender:
            sender._socket.sendall(raw_request("/slow", b'{"n":1}'))
            slow_app.wait_for(1)
            listening.interrupt()
            wait_until_refusing(listening.port)
            assert not is_ended(listening.process, within_s=0.5)
            listening.interrupt()
            assert is_ended(listening.process, within_s=3.0)  # waiting for the app would take five seconds
        assert listening.wait() == 130
        slow.let_go.set()
    assert "1 received" in listening.text
    assert "1 recorded but not finished" in listening.text
    assert listening.errors == ""
    exchange = project.ok("log", "--json").data["exchanges"][0]
    assert (exchange["body_text"], exchange["attempts"]) == ('{"n":1}', [])


def test_sigterm_ends_it_in_order_with_0(project: Project) -> None:
    with project.listening("--json") as listening:
        assert listening.stop(signal.SIGTERM) == 0
        assert listening.events[-1]["type"] == "stopped"
