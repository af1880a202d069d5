"""When `listen` ends and with which exit code: goals met, silence, signals.

Sees events and signals only; winding down is the caller's.
"""

import asyncio
import errno
import os
import signal
from contextlib import suppress

from webhookctl import match
from webhookctl.errors import EndpointError, ExitCode, WebhookctlError
from webhookctl.events import Event, HandshakeAnswered, RequestReceived, ResponseReceived


class Goal:
    """Knows when to stop: --exit-after, --until, --idle-timeout, or a signal; and with which exit code."""

    def __init__(self, *, exit_after: int | None, until: str | None, idle_timeout_s: float | None) -> None:
        self._exit_after = exit_after
        self._until = until
        self._idle_timeout_s = idle_timeout_s
        self._left = exit_after
        self._awaited: set[int] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._is_met = exit_after is None and until is None
        self._signal: int | None = None
        self._is_abandoned = False
        self._failure: WebhookctlError | None = None
        self.reached = asyncio.Event()
        self.hurried = asyncio.Event()
        self.reason = ""

    def start(self) -> None:
        self._restart_idle()

    def see(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._restart_idle()
            detection = event.detection
            if self._until is not None and match.event_matches(
                self._until, provider=detection.provider, event=detection.event
            ):
                self._awaited.add(event.id)
        elif isinstance(event, ResponseReceived) and event.is_answer:
            self._restart_idle()
            if event.id in self._awaited:
                self._meet(f"{self._until} arrived")
            elif self._left is not None:
                self._left -= 1
                if self._left == 0:
                    self._meet(f"{self._wanted_count()} arrived")
        elif isinstance(event, HandshakeAnswered):  # no delivery: --exit-after does not count it
            self._restart_idle()
            if event.id in self._awaited:
                self._meet(f"{self._until} arrived")

    def interrupt(self, number: int) -> None:
        if self.reached.is_set():
            self.hurried.set()
            return
        self._signal = number
        self._stop("interrupted" if number == signal.SIGINT else "asked to stop")

    def abandon(self) -> None:
        """Nobody reads our output any more (`listen | head`)."""
        self._is_abandoned = True
        self._stop("its output was closed")

    def fail(self, error: WebhookctlError) -> None:
        """It cannot go on: the relay refused for good."""
        self._failure = self._failure or error
        self._stop(error.message)

    @property
    def is_interrupted(self) -> bool:
        """A person or a supervisor ended it, and may like to know what it still waits for."""
        return self._signal is not None

    def exit_code(self) -> ExitCode:
        if self._signal == signal.SIGINT:
            return ExitCode.INTERRUPTED
        if self._failure is not None:
            raise self._failure
        if self._is_abandoned:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        if self._signal is None and not self._is_met:
            wanted = self._until or self._wanted_count()
            raise EndpointError(
                "idle-timeout",
                f"nothing came for {self._idle_timeout_s:g} s while waiting for {wanted}",
                "raise --idle-timeout, or check that the sender has this URL",
            )
        return ExitCode.OK

    def _wanted_count(self) -> str:
        return "1 delivery" if self._exit_after == 1 else f"{self._exit_after} deliveries"

    def _meet(self, reason: str) -> None:
        self._is_met = True
        self._stop(reason)

    def _stop(self, reason: str) -> None:
        if not self.reached.is_set():
            self.reason = reason
            self.reached.set()

    def _restart_idle(self) -> None:
        if self._idle_timeout_s is None:
            return
        if self._idle is not None:
            self._idle.cancel()
        loop = asyncio.get_running_loop()
        reason = f"nothing came for {self._idle_timeout_s:g} s"
        self._idle = loop.call_later(self._idle_timeout_s, self._stop, reason)


class Signals:
    """SIGINT and SIGTERM end the listening while the block runs; a second SIGINT does at once."""

    def __init__(self, goal: Goal) -> None:
        self._goal = goal

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
                loop.add_signal_handler(number, self._goal.interrupt, number)

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError, RuntimeError, ValueError):
                loop.remove_signal_handler(number)
