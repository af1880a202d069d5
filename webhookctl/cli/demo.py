"""`webhookctl demo`: the main job end to end in a throw-away folder, with real processes and their real output."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from webhookctl.cli import options
from webhookctl.errors import ExitCode, WebhookctlError

if TYPE_CHECKING:
    from subprocess import Popen

_START_S = 20.0


def demo(plain: options.Plain = False) -> int:
    """Show the main job once, end to end.

    Forge, sign, listen, verify, forward, save, replay: offline, in a folder that is removed afterwards.

    \b
    Examples:
      webhookctl demo
      webhookctl demo --plain > demo.txt
    """
    from tempfile import TemporaryDirectory

    from webhookctl.output import envelope

    with TemporaryDirectory(prefix="webhookctl-demo-") as folder:
        stage = _Stage(Path(folder), is_plain=plain)
        try:
            is_good = stage.play()
        finally:
            stage.clear()
    envelope.write(
        "\nAll of it worked. Now your own app: webhookctl listen --forward-to http://localhost:3000\n"
        if is_good
        else ""
    )
    return ExitCode.OK if is_good else ExitCode.FINDING


class _Stage:
    """The processes of the demo and the folder they play in."""

    def __init__(self, folder: Path, *, is_plain: bool) -> None:
        self._folder = folder
        self._is_plain = is_plain
        self._running: list[Popen[str]] = []

    def play(self) -> bool:
        """Run the flow; False as soon as a step does not do what it shows."""
        from webhookctl.output import envelope

        (self._folder / ".webhookctl").mkdir()
        secret = self._capture("listen", "--print-secret").strip()
        envelope.write(
            "An app that checks Stripe signatures (with Stripe's own SDK where that is installed):\n"
        )
        app_url = self._start_app(secret)
        self._title(f"webhookctl listen --forward-to {app_url}")
        self._start_listener(app_url)
        steps = (
            ("trigger", "payment_intent.succeeded", "--seed", "7"),
            ("fixtures", "list"),
            ("replay", "payment_intent.succeeded"),
            ("verify", "#1"),
            ("log",),
        )
        for step in steps:
            self._title("webhookctl " + " ".join(f"'{word}'" if "#" in word else word for word in step))
            if self._run(*step) != 0:
                envelope.write_note("the demo failed at this step")
                return False
        return True

    def clear(self) -> None:
        """End every process that was started, the listener first so that it can say good-bye."""
        from subprocess import TimeoutExpired

        for process in reversed(self._running):
            process.terminate()
            try:
                process.wait(timeout=10)
            except TimeoutExpired:
                process.kill()
                process.wait()

    def _start_app(self, secret: str) -> str:
        from subprocess import PIPE

        process = self._start(
            "webhookctl.cli.demo_app", stdout=PIPE, environ={"STRIPE_WEBHOOK_SECRET": secret}
        )
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        url, _, verifier = line.partition(" ")
        if not url.startswith("http://"):
            raise WebhookctlError("demo-failed", "the demo's app did not start")
        from webhookctl.output import envelope

        envelope.write(f"  {url} verifies with {verifier}\n")
        return url

    def _start_listener(self, app_url: str) -> None:
        from time import monotonic, sleep

        from webhookctl.store.project import ProjectState

        process = self._start("webhookctl", "listen", "--port", "0", "--forward-to", app_url)
        state = ProjectState(self._folder)
        deadline = monotonic() + _START_S
        while not state.running_listeners():
            if process.poll() is not None or monotonic() > deadline:
                raise WebhookctlError("demo-failed", "the listener did not start")
            sleep(0.05)
        sleep(0.3)  # its banner is on the way to the screen

    def _start(
        self, module: str, *arguments: str, stdout: int | None = None, environ: dict[str, str] | None = None
    ) -> "Popen[str]":
        from subprocess import Popen

        process = Popen(  # noqa: S603  (our own interpreter and our own words)
            [
                sys.executable,
                "-m",
                module,
                *arguments,
                *(["--plain"] if self._is_plain and arguments else []),
            ],
            cwd=self._folder,
            stdout=stdout,
            text=True,
            env=_environment(environ or {}),
        )
        self._running.append(process)
        return process

    def _run(self, *arguments: str) -> int:
        from subprocess import run
        from time import sleep

        flags = ["--plain"] if self._is_plain and arguments[0] in ("trigger", "replay", "log") else []
        code = run(  # noqa: S603  (the same)
            [sys.executable, "-m", "webhookctl", *arguments, *flags],
            cwd=self._folder,
            env=_environment({}),
            check=False,
        ).returncode
        sleep(0.3)  # the listener's own lines about it
        return code

    def _capture(self, *arguments: str) -> str:
        from subprocess import PIPE, run

        return run(  # noqa: S603  (the same)
            [sys.executable, "-m", "webhookctl", *arguments],
            cwd=self._folder,
            env=_environment({}),
            stdout=PIPE,
            text=True,
            check=True,
        ).stdout

    def _title(self, text: str) -> None:
        from webhookctl.output import envelope

        envelope.write(f"\n$ {text}\n")


def _environment(extra: dict[str, str]) -> dict[str, str]:
    """The caller's environment without its webhook settings: the demo must not depend on them."""
    from webhookctl.config import inherited_environment

    return {**inherited_environment(), **extra}
