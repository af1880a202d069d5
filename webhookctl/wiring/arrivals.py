"""What comes through a tunnel until it is a whole delivery: heads, pieces of bodies, large ones into files.

Knows frames; neither the order they are dealt with nor what becomes of them.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from webhookctl.model import Capture, LargeBody, Relayed, Request, Response
from webhookctl.store import spool
from webhookctl.tunnel_protocol import Delivery


@dataclass(slots=True)
class Incoming:
    """A delivery of the channel. `epoch`: the connection it came on last. `held_bytes`: credit it still takes.

    `delivering` stores it at once, and has it forwarded from its `turn` on.
    """

    seq: int
    delivery_id: str
    attempt: int
    capture: Capture
    epoch: int
    held_bytes: int
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    delivering: asyncio.Task[Response] | None = None

    def forget(self) -> None:
        """It is dealt with: its file goes."""
        spool.remove(self.capture.large_body)


class Arrival:
    """A delivery whose body is under way. `is_wanted`: else its body is passed over, it is known already."""

    def __init__(self, head: Delivery, *, is_wanted: bool, spool_over: int, folder: Path) -> None:
        self.head = head
        self.is_wanted = is_wanted
        self._pieces: list[bytes] = []
        self._spool = spool.Spool(folder) if is_wanted and head.body_bytes > spool_over else None

    def add(self, piece: bytes) -> int:
        """Take the next piece of the body; how many of its bytes are off our hands."""
        if not self.is_wanted:
            return len(piece)
        if self._spool is not None:
            self._spool.write(piece)
            return len(piece)
        self._pieces.append(piece)
        return 0

    def discard(self) -> None:
        """The rest will not come."""
        if self._spool is not None:
            self._spool.discard()

    def complete(self, epoch: int) -> Incoming:
        """The whole delivery."""
        head, large = self.head, None
        if self._spool is not None:
            large = self._spool.finish()
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        capture = _capture(head, body, large)
        return Incoming(head.seq, head.delivery_id, head.attempt, capture, epoch, len(body))


def _capture(head: Delivery, body: bytes, large: LargeBody | None) -> Capture:
    return Capture(
        Request(head.method, head.target, head.headers, body),
        received_at_s=head.received_at_s,
        peer=head.peer,
        is_tls=head.is_tls,
        http_version=head.http_version,
        url=head.url,
        relayed=Relayed(head.delivery_id, head.attempt),
        large_body=large,
    )
