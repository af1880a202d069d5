"""Whether load.py holds nginx back: the same nginx under wrk, with an app made of nginx. Knows nothing of the bars."""

import re
import shutil
import subprocess
from pathlib import Path

from servers import app, running, servers

_SCRIPT = """\
wrk.method = "POST"
wrk.path = "/webhooks"
wrk.headers["Content-Type"] = "application/json; charset=utf-8"
wrk.body = '{"note":"' .. string.rep("n", 1013) .. '"}'
"""
_RATE = re.compile(r"Requests/sec:\s+([0-9.]+)")


def nginx_under_wrk(folder: Path, cores: tuple[int | None, int | None], *, window_s: int) -> float | None:
    """Deliveries of 1 KiB per second at 64 through nginx; None when nginx or wrk is not installed.

    Raises RuntimeError when a request failed.
    """
    target, proxy, wrk = app(), servers()[0], shutil.which("wrk")
    if target is None or wrk is None:
        return None
    pinned = ["taskset", "-c", str(cores[1])] if cores[1] is not None else []
    with (
        running(target, folder / "app", 1, cores[1]) as there,
        running(proxy, folder / "proxy", there.port, cores[0]) as program,
    ):
        script = program.folder / "load.lua"
        script.write_text(_SCRIPT)
        url = f"http://127.0.0.1:{program.port}/webhooks"
        command = [*pinned, wrk, "-t1", "-c64", f"-d{window_s}", "-s", str(script), url]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = _RATE.search(shown)
    if rate is None or "Non-2xx" in shown or "Socket errors" in shown:
        raise RuntimeError(f"nginx under wrk failed:\n{shown}")
    return float(rate[1])
