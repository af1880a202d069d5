"""Starts `webhookctl` as processes, quickly: forked from one that has imported everything, where a test run has that.

A forked command is a process like any other, with arguments, environment, folder, streams and an end of its own; what
it does not show is what importing costs or lacks: tests/cli/test_startup.py starts real ones.
"""

import array
import atexit
import gc
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

BASE_ENVIRONMENT = {"LANG": "C.UTF-8", "TZ": "UTC", "PYTHONWARNINGS": "error"}
"""What an interpreter reads when it starts: the same for all commands, so that one interpreter can serve them."""


class Process(Protocol):
    """What tests need of a started command; `subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def kill(self) -> None: ...
    def send_signal(self, sig: int) -> None: ...


class Forked:
    """A command forked by the server; its `status` brings the process id, then the exit code."""

    def __init__(self, status: socket.socket, arguments: Sequence[str]) -> None:
        self._status = status
        self._lines = status.makefile("rb")
        self._arguments = arguments
        self.returncode: int | None = None
        self.pid = int(self._lines.readline())

    def poll(self) -> int | None:
        return self._end(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._end(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(list(self._arguments), timeout or 0)
        return code

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def _end(self, timeout_s: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], (), (), timeout_s)[0]:
            self.returncode = int(self._lines.readline())
            self._lines.close()
            self._status.close()
        return self.returncode


_servers: list[socket.socket] = []


def start(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    streams: tuple[int, int, int],
    prefix: Sequence[str] = (),
) -> Process:
    """Start `webhookctl` with these arguments; `streams` are the descriptors of its three standard streams.

    `prefix` is what it is to be run under, such as taskset; then it is never forked.
    """
    is_alike = all(environment.get(name) == value for name, value in BASE_ENVIRONMENT.items())
    if not _servers or not is_alike or prefix:
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "webhookctl", *arguments],
            cwd=folder,
            env=dict(environment),
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
        )
    ours, theirs = socket.socketpair()
    order = json.dumps([[*arguments], str(folder), dict(environment)]).encode()
    rights = array.array("i", [*streams, theirs.fileno()])
    with theirs:
        _servers[-1].sendmsg([order], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    return Forked(ours, arguments)


@contextmanager
def fork_server() -> Iterator[None]:
    """While this is open, `start` forks."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        server = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            env={"PATH": os.environ.get("PATH", ""), **BASE_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        _servers.append(ours)
        try:
            yield
        finally:
            _servers.remove(ours)
            ours.shutdown(socket.SHUT_RDWR)  # the server ends when nobody can ask it any more
            server.wait()


def _serve(orders: socket.socket) -> None:
    """Fork for each order. Returns in the forked processes, which are to run the command then."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    while True:
        order, descriptors, _, _ = socket.recv_fds(orders, 1_000_000, 4)
        if not order:
            os._exit(0)
        if os.fork() == 0:
            orders.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _keep(order, descriptors)
        for each in descriptors:
            os.close(each)


def _keep(order: bytes, descriptors: list[int]) -> None:
    """Fork once more, and tell of the command's beginning and end. Returns in the command's process."""
    *streams, told = descriptors
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    child = os.fork()
    if child:
        for each in streams:
            os.close(each)
        os.write(told, b"%d\n" % child)
        status = os.waitpid(child, 0)[1]
        os.write(told, b"%d\n" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    os.close(told)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _become(order, streams)


def _become(order: bytes, streams: list[int]) -> None:
    """Take on what the interpreter of this command would have been started with."""
    arguments, folder, environment = json.loads(order)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    for number, each in enumerate(streams):
        os.dup2(each, number)
    for each in streams:
        os.close(each)
    for number, (name, mode) in enumerate((("stdin", "rb"), ("stdout", "wb"), ("stderr", "wb"))):
        old = getattr(sys, name)
        stream = io.TextIOWrapper(
            open(number, mode, closefd=False),  # noqa: SIM115  (open to the end)
            old.encoding,
            old.errors,
            line_buffering=number == 2 or os.isatty(number),
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv = ["webhookctl", *arguments]
    sys.path[0] = folder


def _import_everything() -> None:
    import importlib
    import pkgutil

    import webhookctl

    modules = [module.name for module in pkgutil.walk_packages(webhookctl.__path__, "webhookctl.")]
    for name in (
        *modules,
        "pydantic.fields",
        "pydantic.type_adapter",
        "platformdirs.unix",
    ):  # typer's, for options
        if not name.endswith("__main__"):
            importlib.import_module(name)
    gc.freeze()  # what is there already stays shared


def _run() -> None:
    """Run the command to its end, which is told as by an interpreter; only the modules are not taken apart."""
    exit_code: int | None = None

    @atexit.register  # before anything the command registers, so that it is called after that
    def end() -> None:
        if exit_code is not None:
            gc.collect()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(exit_code)

    try:
        runpy.run_module("webhookctl", run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if isinstance(error.code, int):
            exit_code = error.code
        raise


if __name__ == "__main__":
    _import_everything()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    _run()
