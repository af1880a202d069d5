"""Runs a relay, clients and senders as people do: processes, real sockets, and a network between that can fail.

Every wait has a deadline, every process is killed at the end; nothing sleeps for a fixed time.
"""

import http.client
import os
import signal
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from tests.acceptance.running import DEADLINE_S, Listening, Project
from tests.acceptance.starting import Process, start
from tests.ports import free_port

_PAUSE = threading.Event()


def wait_for(is_there: Callable[[], object], what: str, *, within_s: float = DEADLINE_S) -> None:
    """Block until `is_there()`; fails when it does not come about."""
    end_s = monotonic() + within_s
    while not is_there():
        assert monotonic() < end_s, f"{what} did not come about"
        _PAUSE.wait(0.01)


def memory_kib(pid: int, name: str = "VmRSS") -> int:
    """Resident memory of a process: VmRSS now, VmHWM at its peak."""
    lines = Path(f"/proc/{pid}/status").read_text("latin-1").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@dataclass(frozen=True, slots=True)
class ChannelKey:
    """A channel on a relay, and the key of who listens to it."""

    id: str
    name: str
    key: str


@dataclass(slots=True)
class Relay:
    """`webhookctl relay serve` on a port and a data folder of its own, which both outlive its process."""

    project: Project
    data: Path
    port: int = field(default_factory=free_port)
    options: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    """What the command is run under, such as taskset."""
    process: Process | None = None

    @property
    def is_tls(self) -> bool:
        return "--tls-cert" in self.options

    @property
    def url(self) -> str:
        return f"{'https' if self.is_tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def output(self) -> Path:
        return self.project.home / "relay-output"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def url_of(self, channel: ChannelKey) -> str:
        return f"{self.url}/{channel.id}"

    def start(self) -> None:
        """Start it and wait until it is ready."""
        arguments = ["relay", "serve", "--listen", f"127.0.0.1:{self.port}", "--data", str(self.data)]
        with open(os.devnull, "rb") as nothing, open(self.output, "ab") as output:
            self.process = start(
                [*arguments, *self.options],
                folder=self.project.folder,
                environment=self.project.environment,
                streams=(nothing.fileno(), output.fileno(), output.fileno()),
                prefix=self.prefix,
            )
        wait_for(self._is_ready, "the relay")

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output.read_text()[-2_000:]
        return self.get("/.webhookctl/ready") == 200

    def get(self, path: str) -> int | None:
        """The status of a GET; None when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        if self.is_tls:
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=DEADLINE_S, context=context
            )
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def end(self, number: int = signal.SIGKILL) -> int:
        """End the process with a signal; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE_S)
        self.process = None
        return code

    def new_channel(self, name: str, *options: str) -> ChannelKey:
        """Make a channel, in the data folder itself."""
        arguments = ("relay", "channel", "new", name, "--data", str(self.data), *options, "--json")
        data = self.project.ok(*arguments).data
        return ChannelKey(data["id"], data["name"], data["key"])

    def channel(self, name: str) -> dict[str, object]:
        """What `relay channel show` says."""
        return self.project.ok("relay", "channel", "show", name, "--data", str(self.data), "--json").data


def new_project(folder: Path) -> Project:
    """An empty project with a home of its own below `folder`."""
    (folder / "project" / ".git").mkdir(parents=True)
    (folder / "home").mkdir()
    return Project(folder / "project", folder / "home")


@contextmanager
def relay(folder: Path, *options: str, prefix: tuple[str, ...] = ()) -> Iterator[Relay]:
    """A running relay with its data below `folder`; killed at the end."""
    running = Relay(new_project(folder / "relay"), folder / "data", options=options, prefix=prefix)
    running.start()
    try:
        yield running
    finally:
        if running.process is not None:
            running.end()


@dataclass(slots=True)
class Client:
    """`webhookctl listen --relay` in a project that outlives its process."""

    project: Project
    relay_url: str
    channel: ChannelKey
    options: tuple[str, ...] = ()
    _stack: ExitStack = field(default_factory=ExitStack)
    listening: Listening | None = None

    def start(self, *, is_connected: bool = True) -> None:
        """Start it; wait until it has a tunnel unless not `is_connected`."""
        project = self.project.with_environment(WEBHOOKCTL_RELAY_KEY=self.channel.key)
        self._stack = ExitStack()
        arguments = ("--relay", self.relay_url, "--channel", self.channel.name, "--json", *self.options)
        self.listening = self._stack.enter_context(project.listening(*arguments, is_ready=is_connected))
        if is_connected:
            self.listening.wait_for("relay.connected")

    @property
    def pid(self) -> int:
        assert self.listening is not None
        return self.listening.process.pid

    def kill(self) -> None:
        """kill -9."""
        self._stack.close()
        self.listening = None

    def close(self) -> None:
        self._stack.close()


@contextmanager
def client(folder: Path, relay_url: str, channel: ChannelKey, *options: str) -> Iterator[Client]:
    """A connected client in a project of its own below `folder`; killed at the end."""
    running = Client(new_project(folder), relay_url, channel, options)
    try:
        running.start()
        yield running
    finally:
        running.close()


class Wire:
    """A TCP proxy to one port: a network that can be cut, stalled, and reset."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._flowing = threading.Event()
        self._flowing.set()
        self._is_cut = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """End all connections and refuse new ones until `mend`."""
        with self._lock:
            self._is_cut = True
        self.reset()

    def mend(self) -> None:
        self._is_cut = False
        self._flowing.set()

    def stall(self) -> None:
        """Connections stay, nothing gets through until `mend`."""
        self._flowing.clear()

    def reset(self) -> None:
        """Reset all connections, as a machine does that forgot them. New ones are taken."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for each in sockets:
            _reset(each)

    def close(self) -> None:
        self._listener.close()
        self.cut()
        self._flowing.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target_port), DEADLINE_S)
            except OSError:
                _reset(near)  # the relay is down
                continue
            far.settimeout(None)
            for each in (near, far):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                is_cut = self._is_cut
                if not is_cut:
                    self._sockets += [near, far]
            if is_cut:
                _reset(near)
                _reset(far)
                continue
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self._flowing.wait()
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def _reset(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextmanager
def wire(url: str) -> Iterator[Wire]:
    """A network in front of the server at `url`."""
    running = Wire(urlsplit(url).port or 0)
    try:
        yield running
    finally:
        running.close()


def pinned(core: int | None) -> tuple[str, ...]:
    """What a command is run under so that it keeps to one core."""
    return ("taskset", "-c", str(core)) if core is not None and os.name == "posix" else ()
