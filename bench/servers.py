"""The programs under test: how each is started as its users start it, what it costs, and whether it kept everything."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

ROOT = Path(__file__).resolve().parent.parent
SECRET = "whsec_bench_4f1c2d"
_START_LIMIT_S = 20.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")

_NGINX = """\
daemon off;
worker_processes 1;
{user}pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_max_body_size 32m;
  client_body_buffer_size 256k;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000;
  upstream app {{ server 127.0.0.1:{target}; keepalive 128; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ {location} }}
  }}
}}
"""

_PROXY = 'proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;'
_APP = "return 200 '{\"received\":true}';"


@dataclass(frozen=True, slots=True)
class Server:
    """A program under test. `command` gets (folder, its port, the target's port); None when it is not installed."""

    name: str
    command: Callable[[Path, int, int], list[str]] | None
    missing: str = ""
    warm_up: int = 8_000
    is_ours: bool = False


@dataclass(frozen=True, slots=True)
class Running:
    """A started program: its port, its folder, and the processes it consists of."""

    port: int
    folder: Path
    pids: tuple[int, ...]

    def cpu_s(self) -> float:
        """User and system time of its processes so far."""
        return sum(_cpu_s(pid) for pid in self.pids)

    def rss_mib(self, field: str = "VmRSS") -> float:
        """Resident memory of its processes: VmRSS now, VmHWM at its peak."""
        return sum(_status_kib(pid, field) for pid in self.pids) / 1024


def servers() -> list[Server]:
    """All programs, in the order in which a round takes them."""
    nginx = shutil.which("nginx") or next(
        (path for path in ("/usr/sbin/nginx",) if Path(path).exists()), None
    )
    mitmdump = ROOT / ".venv-bench" / "bin" / "mitmdump"
    mitm = str(mitmdump) if mitmdump.exists() else shutil.which("mitmdump")
    return [
        Server("nginx", _nginx(nginx) if nginx else None, "nginx (Debian: nginx)"),
        Server("webhookctl", _ours(), is_ours=True),
        Server("mitmdump", _mitmdump(mitm) if mitm else None, "mitmdump (PyPI: mitmproxy)", warm_up=1_500),
        Server("webhookctl -q", _ours("-q"), is_ours=True),
        Server("webhookctl --json", _ours("--json"), is_ours=True),
    ]


def app() -> Server | None:
    """An app made of nginx, for runs under wrk, which has none of its own; None when nginx is not installed."""
    nginx = _nginx_program()
    return Server("app", _nginx(nginx, _APP)) if nginx else None


@contextmanager
def running(server: Server, folder: Path, target_port: int, core: int | None) -> Iterator[Running]:
    """`server` started on a free port, pinned to `core` unless None, in an empty `folder`; stopped at the end.

    Raises RuntimeError when it does not come up; any RuntimeError gets the end of its output as a note.
    """
    assert server.command is not None
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "webhookctl.toml").write_text("# a project of its own\n")
    port = _free_port()
    pinned = ["taskset", "-c", str(core)] if core is not None else []
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WEBHOOKCTL_")}
    environment |= {"STRIPE_WEBHOOK_SECRET": SECRET, "XDG_CONFIG_HOME": str(folder / "config")}
    output = folder / "output.txt"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [*pinned, *server.command(folder, port, target_port)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(port, process)
        yield Running(port, folder, (process.pid, *_children(process.pid)))
    except RuntimeError as error:
        error.add_note(f"{server.name} said at the end:\n{output.read_text('utf-8', 'replace')[-2000:]}")
        raise
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def check_history(folder: Path, answered: int) -> None:
    """Raise RuntimeError unless each of `answered` deliveries is in the history, verified and forwarded.

    The history keeps the newest 100,000: older ones are counted by the ids that were given.
    """
    path = folder / ".webhookctl" / "history.sqlite3"
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        (given,) = database.execute("SELECT max(id) FROM exchange").fetchone()
        kept, ids, verified = database.execute(
            "SELECT count(*), count(DISTINCT delivery_id), sum(verdict = 'ok') FROM exchange"
        ).fetchone()
        (forwarded,) = database.execute(
            "SELECT count(DISTINCT exchange_id) FROM attempt WHERE status = 200"
        ).fetchone()
    counts = {"recorded": given, "distinct": ids + given - kept, "verified": verified + given - kept}
    counts["forwarded"] = forwarded + given - kept
    wrong = {name: count for name, count in counts.items() if count != answered}
    if wrong:
        raise RuntimeError(f"{answered} deliveries were answered, but the history says {wrong}")


def _ours(*flags: str) -> Callable[[Path, int, int], list[str]]:
    def command(_: Path, port: int, target: int) -> list[str]:
        program = str(Path(sys.executable).with_name("webhookctl"))
        url = f"http://127.0.0.1:{target}"
        return [program, "listen", "--forward-to", url, "--port", str(port), *flags]

    return command


def _nginx_program() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _nginx(program: str, location: str = _PROXY) -> Callable[[Path, int, int], list[str]]:
    def command(folder: Path, port: int, target: int) -> list[str]:
        # A master run by root would give its worker to a user who may not read the folder.
        user = "user root;\n" if os.geteuid() == 0 else ""
        settings = folder / "nginx.conf"
        text = _NGINX.format(folder=folder, port=port, target=target, user=user, location=location)
        settings.write_text(text)
        return [program, "-e", str(folder / "error.log"), "-c", str(settings)]

    return command


def _mitmdump(program: str) -> Callable[[Path, int, int], list[str]]:
    def command(folder: Path, port: int, target: int) -> list[str]:
        mode = f"reverse:http://127.0.0.1:{target}"
        place = ["--listen-host", "127.0.0.1", "-p", str(port), "--set", f"confdir={folder}"]
        return [program, "--mode", mode, *place, "-w", str(folder / "flows"), "-q"]

    return command


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = monotonic() + _START_LIMIT_S
    while monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            sleep(0.05)
        else:
            sleep(0.3)  # nginx forks its worker after it has bound the port
            return
    raise RuntimeError(f"{process.args!r} did not come up")


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    except OSError:
        return []
    return [int(child) for child in text.split()]


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _status_kib(pid: int, field: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text("latin-1").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)
