"""The port that a receiver is given."""

import socket
from itertools import count

import pytest

from webhookctl.wiring import stage


def test_ports_of_receivers_are_none_that_the_system_gives_out_and_each_is_another() -> None:
    ports = [stage._free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert all(20_000 <= port < 32_768 for port in ports)


def test_a_port_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken: int = other.getsockname()[1]
        monkeypatch.setattr(stage, "_PORTS", range(taken, taken + 1))
        monkeypatch.setattr(stage, "_next_port", count())
        assert stage._free_port() != taken
