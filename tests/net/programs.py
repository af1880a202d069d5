"""Stand-ins for cloudflared and ngrok: programs on a PATH of their own that print what the real ones print."""

import stat
import sys
import textwrap
from pathlib import Path

import pytest

CLOUDFLARED_BOX = """
def say(text):
    print(text, file=sys.stderr, flush=True)

def box(url):
    say("2026-11-23T10:00:00Z INF Requesting new quick Tunnel on trycloudflare.com...")
    say("2026-11-23T10:00:01Z INF +" + "-" * 94 + "+")
    say("2026-11-23T10:00:01Z INF |  " + "The quick Tunnel is there:".ljust(90) + "  |")
    say("2026-11-23T10:00:01Z INF |  " + url.ljust(90) + "  |")
    say("2026-11-23T10:00:01Z INF +" + "-" * 94 + "+")

def registered():
    say("2026-11-23T10:00:02Z INF Registered tunnel connection connIndex=0 location=test protocol=quic")
"""
NGROK_LINES = """
import json

def line(**fields):
    print(json.dumps({"t": "2026-11-23T10:00:00+0000", **fields}), flush=True)

def started(url):
    line(lvl="info", msg="no configuration paths supplied")
    line(lvl="info", msg="starting web service", obj="web", addr="127.0.0.1:4040")
    line(lvl="info", msg="started tunnel", obj="tunnels", name="command_line", addr=sys.argv[2], url=url)
"""


class Programs:
    """A folder that is the whole PATH; `write` puts a Python program there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, code: str) -> None:
        path = self.folder / name
        program = f"#!{sys.executable} -I\nimport os, signal, sys, time\n{textwrap.dedent(code)}\n"
        path.write_text(program)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def cloudflared(self, code: str) -> None:
        self.write("cloudflared", CLOUDFLARED_BOX + textwrap.dedent(code))

    def ngrok(self, code: str) -> None:
        self.write("ngrok", NGROK_LINES + textwrap.dedent(code))


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return Programs(folder)
