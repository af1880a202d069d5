"""Ports of this machine for tests: one that refuses, and one for a server that comes and goes."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from random import SystemRandom


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that refuses connections, and that nobody else can take meanwhile: it is bound, and nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


def free_port() -> int:
    """A port that nothing listens on now; below those that systems give out, so that nobody is given it later."""
    draw = SystemRandom()
    while True:
        port = draw.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
