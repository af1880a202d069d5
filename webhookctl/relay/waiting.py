"""A sender that waits for its answer: the first piece, the pieces after it, and what ends the waiting early.

Knows no sockets. All of one event loop.
"""

import asyncio
from collections import deque
from enum import Enum, auto

from webhookctl.relay.broker import AnswerFrame
from webhookctl.tunnel_protocol import Answer, AnswerBody

_MAX_BUFFERED_BYTES = 512 * 1024  # of an answer that its sender takes slower than it comes


class Ended(Enum):
    """Why there is no answer (yet)."""

    DEADLINE = auto()
    UNANSWERED = auto()  # the client is done with the delivery and says nothing to its sender
    SENDER_LEFT = auto()
    STOPPING = auto()  # the relay ends


class Waiting:
    """One sender's wait. `first` gives the answer's first piece, or why there is none."""

    __slots__ = ("_buffered_bytes", "_is_broken", "_more", "_pieces", "_room", "first")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.first: asyncio.Future[Answer | Ended] = loop.create_future()
        self._pieces: deque[AnswerBody] = deque()
        self._buffered_bytes = 0
        self._is_broken = False
        self._more: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    def end(self, why: Ended) -> None:
        """Wait no more. What comes later is dropped, and nobody waits for room."""
        if not self.first.done():
            self.first.set_result(why)
        if why is Ended.SENDER_LEFT:
            self._is_broken = True
        _wake(self._more)
        _wake(self._room)

    def on_answer(self, piece: AnswerFrame | None) -> asyncio.Future[None] | None:
        """Take a piece (OnAnswer)."""
        if isinstance(piece, Answer):
            if not self.first.done():
                self.first.set_result(piece)
        elif piece is None:
            self.end(Ended.UNANSWERED)
            self._is_broken = True
        elif not self._is_broken:
            self._pieces.append(piece)
            self._buffered_bytes += len(piece.data)
            _wake(self._more)
            if self._buffered_bytes > _MAX_BUFFERED_BYTES:
                self._room = self._room or self.first.get_loop().create_future()
                return self._room
        return None

    async def piece(self) -> AnswerBody | None:
        """The next piece; None when there will be none, though the last one has not come."""
        while not self._pieces:
            if self._is_broken:
                return None
            self._more = self.first.get_loop().create_future()
            await self._more
        piece = self._pieces.popleft()
        self._buffered_bytes -= len(piece.data)
        if self._room is not None and self._buffered_bytes <= _MAX_BUFFERED_BYTES // 2:
            _wake(self._room)
            self._room = None
        return piece


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
