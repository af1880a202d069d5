"""Deliveries from a webhookctl relay: in order, answered once the app has answered, none twice, none lost.

A Source over `net/tunnel`; what was answered is noted on disk before the relay is told. Knows no app and no rendering.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from webhookctl.events import (
    Event,
    Place,
    RelayConnected,
    RelayDisconnected,
    RelayDraining,
    RelayKnown,
    RelaySkipped,
)
from webhookctl.model import Response
from webhookctl.net.tunnel import Clock, Tunnel
from webhookctl.session import is_not_stored
from webhookctl.store import spool
from webhookctl.store.relay_state import Answered, RelayState, RememberedChannel
from webhookctl.tunnel_protocol import (
    VERSION,
    Credit,
    Delivery,
    DeliveryBody,
    Frame,
    Hello,
    Mode,
    ProtocolError,
    Skipped,
    Welcome,
)
from webhookctl.wiring import own_channel
from webhookctl.wiring.answering import Draining, LastAnswers, frames_of, unfit_answer
from webhookctl.wiring.arrivals import Arrival, Incoming
from webhookctl.wiring.project import now_s
from webhookctl.wiring.source import Attach, Deliver, RelayPlan

if TYPE_CHECKING:
    from webhookctl.wiring.project import Project

_WINDOW_DELIVERIES = 64
_WINDOW_BYTES = 8 * 1024 * 1024  # also the largest body that is held in memory
_ANSWERS_BYTES = 4 * 1024 * 1024  # answers kept in case the relay asks again
_FIRST_LOOK_S = 5.0  # a known channel is waited for this long before its URL is shown
_NOT_STORED_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_SYNC_S = 1.0
_NO_CREDIT = Credit(0, 0)
_OBSERVING = "looking on: another client answers the senders"
_MODES = {Attach.CONSUME: Mode.CONSUME, Attach.TAKEOVER: Mode.TAKEOVER, Attach.OBSERVE: Mode.OBSERVE}


class TunnelSource:
    """The deliveries of one channel. Is the tunnel's user: what it hears is queued, dealt with by `run`'s workers."""

    def __init__(
        self,
        plan: RelayPlan,
        project: "Project",
        emit: Callable[[Event], None],
        *,
        clock: Clock | None = None,
    ) -> None:
        self._plan = plan
        self._project = project
        self._emit = emit
        self._clock = clock or Clock(now_s)
        self._relay = own_channel.relay_url(plan.url)
        self._state = RelayState(project.state)
        self._instance = secrets.token_hex(8)
        self._observes = plan.attach is Attach.OBSERVE
        self._channel = RememberedChannel(self._relay, plan.channel, "")
        self._policy = ""
        self._told_early: list[Event] | None = []  # what happens before `run`
        self._opened = asyncio.Event()
        self._is_stopping = False
        self._epoch = 0
        self._last_seq = 0
        self._answered: Answered | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._arrival: Arrival | None = None
        self._queue: asyncio.Queue[Incoming | None] = asyncio.Queue()
        self._owed = _NO_CREDIT  # to the relay
        self._new: list[Incoming] = []  # of the queue, what is not begun
        self._in_hand: dict[str, Incoming] = {}  # by delivery id, from its arrival to the app's answer
        self._answers = LastAnswers(_ANSWERS_BYTES)
        self._answering: set[asyncio.Task[None]] = set()
        self._workers: list[asyncio.Task[None]] = []
        self._draining = Draining(0, 0, 0.0)
        self._tunnel: Tunnel
        self._tunnelling: asyncio.Task[None] | None = None

    @property
    def holds(self) -> bool:
        return not self._observes

    @property
    def in_flight(self) -> int:
        return self._with_app + len(self._answering)

    @property
    def waiting(self) -> int:
        return max(self._queue.qsize(), self._draining.left - self._with_app)

    @property
    def _with_app(self) -> int:
        return sum(incoming.turn.is_set() for incoming in self._in_hand.values())

    async def open(self) -> Place:
        """Find or make the channel and connect; its place. Raises RelayError, UsageError for a bad key or URL."""
        plan = self._plan
        tls = own_channel.tunnel_tls(plan, self._relay)
        self._channel, key, is_known = await own_channel.find_or_make(
            plan, self._relay, self._project, self._state, tls
        )
        if self._channel.url and not self._observes:
            self._answered = self._state.answered(self._channel.url)
        spool.remove_leftovers(self._state.spool_folder())
        self._tunnel = Tunnel(self._relay, key, self, tls=tls, clock=self._clock, is_patient=is_known)
        loop = asyncio.get_running_loop()
        self._tunnelling = loop.create_task(self._tunnel.run(), name="tunnel")
        opened = loop.create_task(self._opened.wait(), name="first welcome")
        try:
            limit_s = _FIRST_LOOK_S if self._channel.url else None
            await asyncio.wait(
                (self._tunnelling, opened), timeout=limit_s, return_when=asyncio.FIRST_COMPLETED
            )
            if self._tunnelling.done():
                await self._tunnelling  # raises why
        finally:
            opened.cancel()
        return self._place()

    async def run(self, deliver: Deliver) -> None:
        assert self._tunnelling is not None
        early, self._told_early = self._told_early or (), None
        for event in early:
            self._emit(event)
        loop = asyncio.get_running_loop()
        self._workers = [
            loop.create_task(self._work(deliver), name=f"deliver {number}")
            for number in range(self._plan.concurrency)
        ]
        await asyncio.wait((self._tunnelling, *self._workers), return_when=asyncio.FIRST_COMPLETED)
        for task in (self._tunnelling, *self._workers):
            if task.done() and not task.cancelled():
                await task

    async def stop(self, *, timeout_s: float) -> int:
        waiting = self.waiting
        self._is_stopping = True
        self._discard_partial()
        forgotten = self._forget_queued()
        for _ in self._workers:
            self._queue.put_nowait(None)
        tunnelling = [] if self._tunnelling is None else [self._tunnelling]
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while busy := self._answering.union(worker for worker in self._workers if not worker.done()):
                    await asyncio.wait(busy)
                if tunnelling:
                    await self._tunnel.close()
        left = waiting + self._with_app
        syncing = [] if self._syncing is None else [self._syncing]
        tasks = (*self._workers, *self._answering, *tunnelling, *syncing, *forgotten)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for incoming in self._in_hand.values():
            incoming.forget()
        if self._answered is not None:
            await asyncio.to_thread(self._answered.sync)
            self._answered.close()
            self._answered = None
        return left

    # what the tunnel says

    def hello(self) -> Hello:
        is_first = self._epoch == 0
        mode = _MODES[self._plan.attach]
        cursor = self._last_seq if self._observes else self._answered.cursor if self._answered else 0
        return Hello(
            VERSION,
            channel=self._plan.channel,
            mode=mode if is_first or mode is not Mode.TAKEOVER else Mode.CONSUME,
            cursor=cursor,
            backlog=self._plan.backlog if is_first else -1,
            window_deliveries=max(_WINDOW_DELIVERIES, 2 * self._plan.concurrency),
            window_bytes=_WINDOW_BYTES,
            instance=self._instance,
        )

    def on_open(self, welcome: Welcome) -> None:
        self._epoch += 1
        self._owed = _NO_CREDIT
        key = self._channel.key
        if welcome.url != self._channel.url and self._answered is not None:
            self._answered.close()
            self._answered = None
        self._channel = RememberedChannel(self._relay, welcome.channel, welcome.url, key)
        self._policy = welcome.policy
        self._state.remember(self._channel)
        if not self._observes:
            if self._answered is None:
                self._answered = self._state.answered(welcome.url)
            self._answered.forget_after(welcome.head)
        self._draining = Draining(welcome.pending, welcome.head, self._clock.steady_s())
        self._tell(RelayConnected(self._place(), welcome.pending))
        if welcome.pending:
            self._tell(RelayDraining(0, welcome.pending, 0.0))
        self._opened.set()

    def on_frame(self, frame: Delivery | DeliveryBody | Skipped) -> None:
        if isinstance(frame, Skipped):
            self._skip(frame)
            return
        if isinstance(frame, Delivery):
            self._last_seq = frame.seq
            is_wanted = not (self._is_stopping or self._is_known(frame) or frame.delivery_id in self._in_hand)
            limit = min(_WINDOW_BYTES, self._plan.max_body_bytes)
            folder = self._state.spool_folder() if frame.body_bytes > limit else self._state.folder
            self._arrival = Arrival(frame, is_wanted=is_wanted, spool_over=limit, folder=folder)
        arrival = self._arrival
        assert arrival is not None  # the tunnel's side lets no piece through without its head
        done = arrival.add(frame.body if isinstance(frame, Delivery) else frame.data)
        if done or not frame.is_last:  # the rest of a large body may need what is owed
            self._give_credit(0, done)
        if frame.is_last:
            self._arrival = None
            self._arrived(arrival)

    def on_lost(self, reason: str, retry_in_s: float) -> None:
        self._discard_partial()
        self._tell(RelayDisconnected(reason, retry_in_s))

    # deliveries

    def _arrived(self, arrival: Arrival) -> None:
        head = arrival.head
        if arrival.is_wanted:
            self._take(arrival.complete(self._epoch))
            return
        if (incoming := self._in_hand.get(head.delivery_id)) is not None:
            incoming.epoch, incoming.held_bytes = self._epoch, 0  # its answer goes out on this connection
            return
        if self._is_stopping:
            return
        self._tell(RelayKnown(head.seq, head.delivery_id, head.attempt))
        again = arrival.complete(self._epoch)
        self._answer_soon(again, self._answers.get(head.seq))

    def _take(self, incoming: Incoming) -> None:
        self._in_hand[incoming.delivery_id] = incoming
        self._new.append(incoming)
        self._queue.put_nowait(incoming)

    def _begin(self, deliver: Deliver) -> None:
        """Have all that came since the last time stored together; each goes on in its turn."""
        loop = asyncio.get_running_loop()
        for incoming in self._new:
            work = self._through(incoming, deliver)
            incoming.delivering = loop.create_task(work, name=f"deliver {incoming.seq}")
        self._new.clear()

    def _is_known(self, frame: Delivery) -> bool:
        return self._answered is not None and self._answered.knows(frame.seq, frame.delivery_id)

    def _skip(self, frame: Skipped) -> None:
        if self._arrival is not None:
            self._arrival.discard()
            self._arrival = None
        self._last_seq = frame.last
        if self._answered is not None:
            self._answered.note_skipped(frame.first, frame.last)
        self._tell(RelaySkipped(frame.first, frame.last, frame.count, frame.reason))
        self._drained(frame.last, frame.count)

    async def _work(self, deliver: Deliver) -> None:
        while (incoming := await self._queue.get()) is not None:
            incoming.turn.set()
            if incoming.delivering is None:
                self._begin(deliver)
            assert incoming.delivering is not None
            answer = await incoming.delivering
            del self._in_hand[incoming.delivery_id]
            if self._answered is not None:
                self._answered.note(incoming.seq, incoming.delivery_id)
                self._sync_soon()
            self._answers.put(incoming.seq, answer)
            incoming.forget()
            self._answer_soon(incoming, answer)
            self._drained(incoming.seq, 1)

    async def _through(self, incoming: Incoming, deliver: Deliver) -> Response:
        """The answer to `incoming`, once it is in the history: until then the relay has the only copy."""

        async def wait() -> None:
            await incoming.turn.wait()

        wait_s = _NOT_STORED_WAIT_S
        while is_not_stored(answer := await deliver(incoming.capture, wait)):
            await self._clock.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
        return answer

    def _answer_soon(self, incoming: Incoming, answer: Response | None) -> None:
        """Answer (None: acknowledge); the note of it is written. The next delivery need not wait for this."""
        work = self._answer(incoming, answer)
        task = asyncio.get_running_loop().create_task(work, name=f"answer {incoming.seq}")
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, incoming: Incoming, answer: Response | None) -> None:
        if not self._observes:
            frames = frames_of(incoming.seq, answer)
            for frame in frames:
                await self._tunnel.flush()
                if incoming.epoch != self._epoch:
                    return  # it will come again, and be answered then
                try:
                    self._send(frame)
                except ProtocolError as error:
                    self._send(unfit_answer(incoming.seq, error))
                    break
        if incoming.epoch == self._epoch:
            self._give_credit(1, incoming.held_bytes)

    def _give_credit(self, deliveries: int, body_bytes: int) -> None:
        """Give credit back, a quarter of the window at once; all of it when nothing here would give the rest."""
        owed = self._owed = Credit(self._owed.deliveries + deliveries, self._owed.body_bytes + body_bytes)
        is_much = 4 * owed.deliveries >= _WINDOW_DELIVERIES or 4 * owed.body_bytes >= _WINDOW_BYTES
        if owed != _NO_CREDIT and (is_much or self._arrival is not None or not self._in_hand):
            self._owed = _NO_CREDIT
            self._send(owed)

    def _sync_soon(self) -> None:
        """Notes outlive this process at once, a loss of power soon: a few deliveries come again then, marked."""
        if self._syncing is None or self._syncing.done():
            self._syncing = asyncio.get_running_loop().create_task(self._sync(), name="sync notes")

    async def _sync(self) -> None:
        await self._clock.sleep(_SYNC_S)
        if self._answered is not None:
            await asyncio.to_thread(self._answered.sync)

    def _send(self, frame: Frame) -> None:
        self._tunnel.send(frame)

    # telling

    def _place(self) -> Place:
        notes = (_OBSERVING if self._observes else "", own_channel.warning(self._relay))
        return Place(
            self._channel.url, self._channel.name, self._policy, "; ".join(note for note in notes if note)
        )

    def _tell(self, event: Event) -> None:
        if self._told_early is None:
            self._emit(event)
        else:
            self._told_early.append(event)

    def _drained(self, seq: int, count: int) -> None:
        told = self._draining.count(seq, count, self._clock.steady_s())
        if told is not None:
            self._tell(told)

    # the end

    def _discard_partial(self) -> None:
        if self._arrival is not None:
            self._arrival.discard()
            self._arrival = None

    def _forget_queued(self) -> list[asyncio.Task[Response]]:
        """Leave what has not had its turn to the relay; what is to be waited for."""
        cancelled = []
        self._new.clear()
        while not self._queue.empty():
            if (incoming := self._queue.get_nowait()) is not None:
                del self._in_hand[incoming.delivery_id]
                if incoming.delivering is not None:
                    incoming.delivering.cancel()
                    cancelled.append(incoming.delivering)
                incoming.forget()
        return cancelled
