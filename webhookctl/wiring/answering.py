"""Answers as frames, the last of them kept, and how far what had waited at the relay is through.

Knows responses and frames; neither the tunnel nor the app.
"""

from collections import OrderedDict

from webhookctl.events import RelayDraining
from webhookctl.model import Response
from webhookctl.tunnel_protocol import CHUNK_BYTES, Acknowledge, Answer, AnswerBody, Frame, ProtocolError

_TELL_EVERY_S = 1.0


class Draining:
    """How far the deliveries that had waited at the relay are through."""

    def __init__(self, total: int, head: int, at_s: float) -> None:
        self._total = total
        self._head = head
        self._began_s = self._told_s = at_s
        self._done = 0

    @property
    def left(self) -> int:
        return self._total - self._done

    def count(self, seq: int, count: int, at_s: float) -> RelayDraining | None:
        """`count` more are through, up to `seq`; what to tell, at most once a second and at the end."""
        if not self.left or seq > self._head:
            return None
        self._done = min(self._done + count, self._total)
        if self.left and at_s - self._told_s < _TELL_EVERY_S:
            return None
        self._told_s = at_s
        took_s = at_s - self._began_s
        return RelayDraining(self._done, self._total, self._done / took_s if took_s > 0 else 0.0)


class LastAnswers:
    """The last answers, in case the connection broke before they were through."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._size = 0
        self._kept: OrderedDict[int, Response] = OrderedDict()

    def get(self, seq: int) -> Response | None:
        return self._kept.get(seq)

    def put(self, seq: int, answer: Response) -> None:
        self._kept[seq] = answer
        self._size += _size(answer)
        while self._size > self._limit_bytes:
            _, old = self._kept.popitem(last=False)
            self._size -= _size(old)


def _size(answer: Response) -> int:
    return len(answer.body) + 512


def frames_of(seq: int, answer: Response | None) -> list[Frame]:
    """`answer` as frames: its head with the first piece of the body, then the others."""
    if answer is None:
        return [Acknowledge(seq)]
    body = answer.body
    pieces = [body[at : at + CHUNK_BYTES] for at in range(CHUNK_BYTES, len(body), CHUNK_BYTES)]
    first = Answer(seq, answer.status, answer.reason, answer.headers, body[:CHUNK_BYTES], not pieces)
    last = len(pieces) - 1
    return [first, *(AnswerBody(seq, piece, at == last) for at, piece in enumerate(pieces))]


def unfit_answer(seq: int, error: ProtocolError) -> Answer:
    """In place of an answer that does not fit into a frame (its head is far larger than HTTP servers take)."""
    text = f"webhookctl: the app's answer cannot be passed on: {error.message}\n".encode("utf-8", "replace")
    headers = ((b"Content-Type", b"text/plain; charset=utf-8"),)
    return Answer(seq, 502, "Bad Gateway", headers, text[:CHUNK_BYTES], True)
