"""One sender's connection to the listener: exact requests out of bytes, answers in their order, bad peers sent away.

Knows nothing of ports, TLS set-up, providers or history. A protocol of its own over llhttp, since a request through
aiohttp's server costs several times the parsing (bench/).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

import httptools

from webhookctl.model import Capture, Request, Response
from webhookctl.net.intake import Intake, peer_name
from webhookctl.net.stand_in import Fields, with_plain_target, without_upgrade
from webhookctl.net.wire import plain_response, response_bytes

_MAX_HEAD_BYTES = 64 * 1024  # request line and fields together; nginx allows 32 KiB, node 16 KiB
_MAX_FIELDS = 256
_MAX_FRAMING_RATIO = 16  # bytes on the wire for each byte of a chunked body: chunks of one byte take 6
_LINGER_S = 2.0  # how long an unread body may keep coming after an early answer (413)
_RETRY_AFTER = (b"Retry-After", b"1")
_JUDGED_FIELDS = frozenset({b"content-length", b"expect", b"transfer-encoding", b"upgrade"})


class Connection(asyncio.Protocol):
    """Parses requests, has them delivered one at a time, and answers in order; the rest waits, unread."""

    def __init__(self, intake: Intake, loop: asyncio.AbstractEventLoop) -> None:
        self._intake = intake
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._serving: asyncio.Task[None] | None = None
        self._queue: deque[Callable[[], None]] = deque()  # what is to be served or said after it, in order
        self._is_deaf = False  # whatever still comes is thrown away
        self._is_ended = False  # the peer will send no more, and may still wait for answers
        self._is_parted = False  # the last answer is written
        self._is_paused = False
        self._is_stuffed = False  # the peer does not take what is written
        self._is_message = False  # a request has begun and is not complete
        self._is_completing = False  # a request was completed by the bytes at hand
        self._since_s = loop.time()  # when the last thing happened that the clock is to be measured from
        self._began_s = 0.0
        self._unsent = 0
        self._held = b""  # the beginning of a request line that llhttp cannot read
        self._stand_in: tuple[bytes, Fields | None] | None = None
        self._begin()
        self.transport: asyncio.Transport

    def _begin(self) -> None:
        self._target = b""
        self._version = ""
        self._fields: Fields = []
        self._body: bytes | bytearray = b""
        self._is_in_head = True
        self._owes_continue = False
        self._wire_bytes = 0  # of this message, beyond those it came with whole

    @property
    def is_unsent(self) -> bool:
        """An answer is written and not yet taken by the peer."""
        return self.transport.get_write_buffer_size() > 0

    # the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio's class
        self._peer = peer_name(transport)
        intake = self._intake
        intake.connections.add(self)
        if len(intake.connections) > intake.limits.max_connections:
            self._refuse(503, "too many connections at once", _RETRY_AFTER)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        intake = self._intake
        intake.connections.discard(self)
        if self._is_message and not self._is_deaf:
            intake.on_refused(400, f"{self._peer} went away in the middle of a request")
        self._is_deaf = self._is_parted = True
        self._queue.clear()
        intake.on_quiet()

    def eof_received(self) -> bool:
        """The peer has said all it will: it may still wait for its answers (``nc -N``), which TLS does not allow."""
        if self._is_message and not self._is_deaf:
            self._intake.on_refused(400, f"{self._peer} stopped in the middle of a request")
        self._is_deaf = self._is_ended = True
        return not self._intake.is_tls and (self._serving is not None or bool(self._queue))

    def pause_writing(self) -> None:
        self._is_stuffed = True
        self._since_s = self._loop.time()
        self._pause()

    def resume_writing(self) -> None:
        self._is_stuffed = False
        self._go_on()

    def close_when_idle(self) -> None:
        if not self._is_busy and not self._is_message:
            self.transport.close()

    def check_time(self, now_s: float) -> None:
        """Send away a peer that stopped half-way, takes no answer, or has been idle for too long."""
        limits = self._intake.limits
        waited_s = now_s - self._since_s
        unsent = self.transport.get_write_buffer_size()
        if unsent:
            if unsent != self._unsent:
                self._unsent, self._since_s = unsent, now_s
            elif waited_s > limits.idle_s:
                self.transport.abort()
        elif self._is_parted:
            if waited_s > _LINGER_S:
                self.transport.abort()
        elif self._is_message and not self._is_deaf:
            if not self._is_paused:
                self._check_message(now_s - self._began_s, waited_s)
        elif not self._is_busy and waited_s > limits.idle_s:
            self.transport.close()

    def _check_message(self, age_s: float, waited_s: float) -> None:
        limits = self._intake.limits
        if self._is_in_head:
            if age_s > limits.head_s:
                self._refuse(408, f"the request head did not arrive within {limits.head_s:g} s")
        elif waited_s > limits.body_idle_s:
            self._refuse(408, f"the body stopped coming for {limits.body_idle_s:g} s")
        elif age_s > limits.body_s:
            self._refuse(408, f"the body did not arrive within {limits.body_s:g} s")

    # reading requests

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        was_message = self._is_message
        self._is_completing = False
        try:
            if self._held:
                self._read_target(self._held + data)
            else:
                self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self._is_deaf:
                self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserInvalidURLError as error:
            self._hold_line(data, was_message, error)
        except httptools.HttpParserError as error:
            self._refuse_bytes(error)
        if self._is_message and not self._is_deaf:
            self._note_progress(len(data), was_message and not self._is_completing)

    def _note_progress(self, size: int, is_continued: bool) -> None:
        """More is to come: measure time and bytes. A request that comes in one piece never gets here."""
        self._since_s = self._loop.time()
        if not is_continued:
            self._began_s = self._since_s
            return
        self._wire_bytes += size
        if self._is_in_head:
            if self._wire_bytes > _MAX_HEAD_BYTES:
                self._refuse_head()
        elif self._wire_bytes > 2 * _MAX_HEAD_BYTES + _MAX_FRAMING_RATIO * len(self._body):
            self._refuse(400, "the body's chunks hold next to nothing")

    def _hold_line(self, data: bytes, was_message: bool, error: Exception) -> None:
        """llhttp gave up in a target: see whether that is for bytes over 0x7F alone. Pipelined ones are not saved."""
        known = b"%b %b" % (self._parser.get_method(), self._target) if was_message else b""
        if self._is_completing or (was_message and not self._target and not data.startswith(b"/")):
            self._refuse_bytes(error)
        else:
            self._read_target(known + data)

    def _read_target(self, line: bytes) -> None:
        if b"\n" not in line:
            self._held = line
            return
        self._held = b""
        found = with_plain_target(line)
        if found is None:
            self._refuse_bytes("a character in the target that has to be percent-encoded")
        else:
            self._start_again(*found, None)

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read the body of a request that offers another protocol (h2c), as is our right; llhttp takes it for that."""
        parser, fields = self._parser, self._fields
        head = without_upgrade(parser.get_method(), fields, is_last=not parser.should_keep_alive())
        self._start_again(head + rest, self._target, fields)

    def _start_again(self, data: bytes, target: bytes, fields: Fields | None) -> None:
        """Have `data` parsed in place of what the peer sent; the request keeps the real `target` and `fields`."""
        self._parser = httptools.HttpRequestParser(self)
        self._begin()
        self._stand_in = (target, fields)
        self.data_received(data)

    def _refuse_bytes(self, why: Exception | str) -> None:
        if not self._is_deaf:
            self._refuse(400, f"this is not a valid HTTP/1.1 request ({why})")

    def on_message_begin(self) -> None:
        self._is_message = True

    def on_url(self, data: bytes) -> None:
        self._target += data

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come here too. They never join the headers (RFC 9110 §6.5.1): no proxy or app has looked at them.
        if self._is_in_head:
            self._fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        if self._is_deaf:
            return
        if self._stand_in is not None:
            (self._target, fields), self._stand_in = self._stand_in, None
            if fields is not None:
                self._fields = fields
        self._is_in_head = False
        self._version = self._parser.get_http_version()
        hosts, size = 0, len(self._target)
        judged: dict[bytes, bytes] = {}
        for name, value in self._fields:
            size += len(name) + len(value) + 4
            lower = name.lower()
            if lower == b"host":
                hosts += 1
            elif lower in _JUDGED_FIELDS:
                judged[lower] = value.lower()
        if size > _MAX_HEAD_BYTES or len(self._fields) > _MAX_FIELDS:
            self._refuse_head()
        elif self._version not in ("1.1", "1.0"):
            self._refuse(505, "webhookctl speaks HTTP/1.1")
        elif hosts > 1 or (hosts == 0 and self._version == "1.1"):
            self._refuse(400, "a request has to have exactly one Host header")
        else:
            self._judge(judged)

    def _judge(self, fields: dict[bytes, bytes]) -> None:
        parser, is_old = self._parser, self._version == "1.0"
        coding = fields.get(b"transfer-encoding", b"chunked")
        expects = None if is_old or parser.should_upgrade() else fields.get(b"expect")
        if fields.get(b"upgrade") == b"websocket" or parser.get_method() == b"CONNECT":
            self._refuse(501, "webhookctl takes webhooks, not tunnels or WebSocket connections")
        elif coding != b"chunked":
            self._refuse(501, "the one transfer coding that is read is chunked")
        elif is_old and b"transfer-encoding" in fields:
            self._refuse(400, "HTTP/1.0 has no transfer coding")
        elif int(fields.get(b"content-length", 0)) > self._intake.limits.max_body_bytes:
            self._refuse_body()
        elif expects == b"100-continue":
            self._owes_continue = True
            self._say_continue()
        elif expects is not None:
            self._refuse(417, "only 100-continue can be expected")

    def _say_continue(self) -> None:
        if self._owes_continue and not self._is_busy and not self._is_deaf:
            self._owes_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        if self._is_deaf:
            return
        body = self._body
        if len(body) + len(data) > self._intake.limits.max_body_bytes:
            self._refuse_body()
        elif not body:
            self._body = data
        elif isinstance(body, bytearray):
            body += data
        else:
            self._body = bytearray(body) + data

    def on_message_complete(self) -> None:
        parser, intake, body = self._parser, self._intake, self._body
        if self._is_deaf or parser.should_upgrade():
            return  # done for, or its body is still to be read: _decline_upgrade
        version = self._version
        capture = Capture(
            Request(
                parser.get_method().decode("ascii"),
                self._target.decode("latin-1"),
                tuple(self._fields),
                body if isinstance(body, bytes) else bytes(body),
            ),
            intake.now_s(),
            self._peer,
            intake.is_tls,
            version,
        )
        # A peer of HTTP/1.0 is told by the end of the connection that the answer is whole.
        is_last = version == "1.0" or not parser.should_keep_alive()
        self._is_message = False
        self._is_completing = True
        self._is_deaf = is_last
        self._begin()
        if self._serving is None and not self._queue and not self._is_stuffed:
            self._serve(capture, is_last)
        else:
            self._queue.append(partial(self._serve, capture, is_last))
            self._pause()

    # answering

    @property
    def _is_busy(self) -> bool:
        return self._serving is not None or bool(self._queue) or self._is_stuffed

    def _pause(self) -> None:
        """Read no more until what is here is answered, so that the queue and the answers stay few."""
        if not self._is_paused and not self._is_ended and not self.transport.is_closing():
            self._is_paused = True
            self.transport.pause_reading()

    def _serve(self, capture: Capture, is_last: bool) -> None:
        self._intake.in_flight += 1
        self._serving = self._loop.create_task(self._answer(capture, is_last))

    async def _answer(self, capture: Capture, is_last: bool) -> None:
        intake = self._intake
        try:
            if intake.is_stopping:
                response = plain_response(503, "webhookctl is stopping", _RETRY_AFTER)
            else:
                response = await self._deliver(capture)
        finally:
            intake.in_flight -= 1
            self._serving = None
        self._write(response, is_head=capture.request.method == "HEAD", is_last=is_last)
        if self._is_paused or self._owes_continue or self._queue:
            self._go_on()
        if intake.is_stopping:
            intake.on_quiet()

    async def _deliver(self, capture: Capture) -> Response:
        try:
            return await self._intake.deliver(capture)
        except Exception as error:
            self._intake.on_refused(500, f"webhookctl failed on a delivery: {error!r}")
            return plain_response(500, "webhookctl failed on this delivery")

    def _write(self, response: Response, *, is_head: bool, is_last: bool) -> None:
        if self._is_parted or self.transport.is_closing():
            return
        is_last = is_last or self._intake.is_stopping or (self._is_ended and not self._queue)
        self.transport.write(response_bytes(response, for_head=is_head, close=is_last))
        self._since_s = self._loop.time()
        if is_last:
            self._is_deaf = self._is_parted = True
            self._queue.clear()
            self.transport.close()

    def _go_on(self) -> None:
        """Serve or say what has waited for its turn, then read on."""
        while self._queue and self._serving is None and not self._is_stuffed:
            self._queue.popleft()()
        if not self._is_busy:
            if self._is_paused and not self.transport.is_closing():
                self._is_paused = False
                self._since_s = self._began_s = self._loop.time()
                self.transport.resume_reading()
            self._say_continue()

    def _refuse(self, status: int, text: str, *fields: tuple[bytes, bytes]) -> None:
        """Answer, in turn, and part."""
        self._is_deaf = True
        self._intake.on_refused(status, f"{self._peer}: {text}")
        part = partial(self._part, plain_response(status, text, *fields))
        if self._is_busy:
            self._queue.append(part)
        else:
            part()

    def _part(self, response: Response) -> None:
        """Say `response` as the last thing. What the peer still sends is dropped for a while, so that it sees it."""
        self._is_parted = True
        self._since_s = self._loop.time()
        if self.transport.is_closing():
            return
        self.transport.write(response_bytes(response, for_head=False, close=True))
        if self._is_ended:
            self.transport.close()
        elif self.transport.can_write_eof():
            self.transport.write_eof()

    def _refuse_head(self) -> None:
        if len(self._target) > _MAX_HEAD_BYTES or (self._is_in_head and not self._fields):
            self._refuse(414, f"the request target is longer than {_MAX_HEAD_BYTES:,} bytes")
        else:
            self._refuse(
                431, f"the headers are larger than {_MAX_HEAD_BYTES:,} bytes or more than {_MAX_FIELDS}"
            )

    def _refuse_body(self) -> None:
        limit = self._intake.limits.max_body_bytes
        self._refuse(413, f"the body is larger than {limit:,} bytes (--max-body)")
