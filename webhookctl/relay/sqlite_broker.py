"""The broker of a relay that is one process: SQLite (WAL, synchronous=FULL, group commit) and a spool of large bodies.

What is waited for, leased and counted lives in memory; what was promised lives on disk. Knows no HTTP and no sockets.
"""

import asyncio
import os
import sqlite3
from asyncio import Future
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from webhookctl.errors import RelayError
from webhookctl.relay import rows
from webhookctl.relay.broker import (
    AnswerFrame,
    Arrival,
    BodyDraft,
    Counts,
    Done,
    Lease,
    Lost,
    OnAnswer,
    OnChannel,
    OnLost,
    OnQueued,
    Queued,
    SpooledBody,
    Stop,
)
from webhookctl.relay.channel import Channel
from webhookctl.relay.commits import Append, Finished, Writer, open_database
from webhookctl.relay.folder import hold, told_unusable
from webhookctl.relay.keeping import (
    Expired,
    before_newest,
    create,
    expire,
    load,
    pending,
    remove,
    remove_through,
    update,
)
from webhookctl.relay.spool import Spool
from webhookctl.relay.state import Sent, State
from webhookctl.tunnel_protocol import CloseCode

_Watcher = TypeVar("_Watcher")
_REMEMBERED_IDS = 20_000  # how far back an append that is repeated is recognised


class SqliteBroker:
    """A Broker in a folder of its own (0700, one process at a time). Use as an async context manager.

    Raises UsageError `relay-data-in-use`, `relay-data-unusable` when it opens. `on_commit` gets the number of
    deliveries of each commit, in the loop.
    """

    def __init__(
        self, folder: Path, *, now_s: Callable[[], float], on_commit: Callable[[int], None] = lambda _: None
    ) -> None:
        self.problem: str | None = None
        """Why the last delivery could not be stored; None when it could."""
        self._folder = folder
        self._now_s = now_s
        self._on_commit = on_commit
        self._spool = Spool(folder / "spool")
        self._states: dict[str, State] = {}
        self._by_number: dict[int, State] = {}
        self._by_name: dict[str, State] = {}
        self._by_key_id: dict[str, State] = {}
        self._channel_watchers: list[OnChannel] = []
        self._answers: dict[str, OnAnswer] = {}
        self._storing: dict[str, Future[Queued]] = {}
        self._places: OrderedDict[str, int] = OrderedDict()  # sequence numbers of the last stored, by id
        self._changing = asyncio.Lock()  # channels: one change at a time, since names are looked up before
        self._loop: asyncio.AbstractEventLoop
        self._database: sqlite3.Connection
        self._writer: Writer

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        with told_unusable(self._folder):
            self._lock = hold(self._folder)
            self._database = open_database(self._folder / "relay.sqlite3")
            loaded = load(self._database)
            self._spool.open(known=loaded.spooled)
        for kept in loaded.channels:
            self._add(
                State(
                    kept.number,
                    kept.channel,
                    kept.head,
                    kept.pending,
                    kept.pending_bytes,
                    _lost(kept.expired),
                )
            )
        heads = {kept.number: kept.head for kept in loaded.channels}
        self._writer = Writer(self._database, heads, on_stored=self._on_stored, on_removed=self._spool.remove)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._writer.close()
        self._database.close()
        os.close(self._lock)

    # channels

    async def create_channel(self, channel: Channel) -> None:
        async with self._changing:
            self._refuse_taken(channel, None)
            number = await self._writer.call(lambda database: create(database, channel))
            self._add(State(number, channel, 0, 0, 0, None))

    async def channel_by_id(self, channel_id: str) -> Channel | None:
        return _channel(self._states.get(channel_id))

    async def channel_by_name(self, name: str) -> Channel | None:
        return _channel(self._by_name.get(name))

    async def channel_by_key_id(self, key_id: str) -> Channel | None:
        return _channel(self._by_key_id.get(key_id))

    async def channels(self) -> Sequence[Channel]:
        return [state.channel for state in self._states.values()]

    async def update_channel(self, before: Channel, after: Channel) -> None:
        async with self._changing:
            state = self._state(before.id)
            self._refuse_taken(after, state)
            if state.channel != before:
                raise RelayError(
                    "channel-changed", f"channel {before.name} was changed by somebody else meanwhile"
                )
            await self._writer.call(lambda database: update(database, after))
            self._forget(state)
            state.channel = after
            self._add(state)
        for on_channel in tuple(self._channel_watchers):
            on_channel(before, after)

    async def remove_channel(self, channel_id: str) -> None:
        async with self._changing:
            state = self._state(channel_id)
            self._forget(state)
            if state.on_lost is not None:
                state.on_lost(CloseCode.UNKNOWN_CHANNEL, "the channel was removed")
            for on_channel in tuple(self._channel_watchers):
                on_channel(state.channel, None)
            self._spool.remove(await self._writer.call(lambda database: remove(database, state.number)))

    def watch_channels(self, on_channel: OnChannel) -> Stop:
        self._channel_watchers.append(on_channel)
        return partial(_discard, self._channel_watchers, on_channel)

    def _refuse_taken(self, channel: Channel, owner: State | None) -> None:
        for known in (self._by_name.get(channel.name), self._by_key_id.get(channel.key_id)):
            if known is not None and known is not owner:
                raise RelayError(
                    "channel-exists",
                    f"there is a channel named {channel.name} already",
                    "choose another name",
                )

    def _add(self, state: State) -> None:
        channel = state.channel
        self._states[channel.id] = self._by_number[state.number] = state
        self._by_name[channel.name] = self._by_key_id[channel.key_id] = state

    def _forget(self, state: State) -> None:
        channel = state.channel
        self._states.pop(channel.id, None)
        self._by_number.pop(state.number, None)
        self._by_name.pop(channel.name, None)
        self._by_key_id.pop(channel.key_id, None)

    def _state(self, channel_id: str) -> State:
        state = self._states.get(channel_id)
        if state is None:
            raise RelayError("channel-unknown", "there is no such channel any more")
        return state

    # deliveries

    def draft_body(self, delivery_id: str) -> BodyDraft:
        return self._spool.draft(delivery_id)

    def append(self, channel_id: str, arrival: Arrival) -> "Future[Queued]":
        storing = self._storing.get(arrival.delivery_id)
        if storing is not None:
            return storing
        future: Future[Queued] = self._loop.create_future()
        state, place = self._states.get(channel_id), self._places.get(arrival.delivery_id)
        if state is None:
            future.set_exception(RelayError("channel-unknown", "the channel was removed meanwhile"))
            return future
        if place is not None:
            future.set_result(Queued(place, 0, arrival))
            return future
        self._storing[arrival.delivery_id] = future
        state.pending += 1
        state.pending_bytes += arrival.body_bytes
        self._writer.append(Append(state.number, arrival, future))
        return future

    def _on_stored(self, appends: list[Append], error: RelayError | None) -> None:
        self.problem = error.message if error is not None else None
        if error is None:
            self._on_commit(len(appends))
        for append in appends:
            state, arrival = self._by_number.get(append.channel), append.arrival
            if error is not None:
                self._undo(state, append, error)
                continue
            queued = Queued(append.seq, 0, arrival)
            self._remember(arrival.delivery_id, append.seq)
            # Who waits is told before those who watch: an answer may come at once.
            if not append.future.done():
                append.future.set_result(queued)
            if state is not None:
                state.head = append.seq
                for on_queued in tuple(state.watchers):
                    on_queued(queued)

    def _remember(self, delivery_id: str, seq: int) -> None:
        del self._storing[delivery_id]
        self._places[delivery_id] = seq
        if len(self._places) > _REMEMBERED_IDS:
            self._places.popitem(last=False)

    def _undo(self, state: State | None, append: Append, error: RelayError) -> None:
        arrival = append.arrival
        del self._storing[arrival.delivery_id]
        if state is not None:
            state.pending -= 1
            state.pending_bytes -= arrival.body_bytes
        if isinstance(arrival.body, SpooledBody):
            self._spool.remove([arrival.body.name])
        if not append.future.done():
            append.future.set_exception(error)

    def watch(self, channel_id: str, on_queued: OnQueued) -> Stop:
        watchers = self._state(channel_id).watchers
        watchers.append(on_queued)
        return partial(_discard, watchers, on_queued)

    async def read(self, channel_id: str, *, after: int, limit: int) -> Sequence[Queued]:
        state = self._state(channel_id)
        found = await self._writer.call(lambda database: pending(database, state.number, after, limit))
        return [self._with_attempts(state, queued) for queued in found]

    async def last_before_newest(self, channel_id: str, count: int) -> int:
        state = self._state(channel_id)
        return await self._writer.call(lambda database: before_newest(database, state.number, count))

    @staticmethod
    def _with_attempts(state: State, queued: Queued) -> Queued:
        sent = state.sent.get(queued.seq)
        return queued if sent is None else Queued(queued.seq, sent.attempts, queued.arrival)

    async def read_body(self, body: SpooledBody, *, offset: int, size: int) -> bytes:
        return await self._spool.read(body.name, offset=offset, size=size)

    async def counts(self, channel_id: str) -> Counts:
        state = self._state(channel_id)
        return Counts(state.head, state.pending, state.pending_bytes)

    @property
    def pending(self) -> int:
        """Deliveries of all channels that nobody acknowledged."""
        return sum(state.pending for state in self._states.values())

    async def expire(self, *, now_s: float) -> None:
        due = {
            state.number: now_s - state.channel.retention_s
            for state in self._states.values()
            if state.lease is None and state.pending
        }
        for expired in await self._writer.call(lambda database: expire(database, due, now_s=now_s)):
            self._spool.remove(expired.spooled)
            state = self._by_number.get(expired.number)
            if state is not None and expired.count:
                state.pending -= expired.count
                state.pending_bytes -= expired.body_bytes
                state.expired = _joined(state.expired, Lost(expired.first, expired.last, expired.count))
                for seq in [seq for seq in state.sent if seq <= expired.last]:
                    del state.sent[seq]

    # the consuming client

    def attach(self, channel_id: str, *, instance: str, is_takeover: bool, on_lost: OnLost) -> Lease | None:
        state = self._state(channel_id)
        holder, tell = state.lease, state.on_lost
        if holder is not None and tell is not None:
            if not is_takeover and holder.instance != instance:
                return None
            self.release(holder)
            tell(CloseCode.SUPERSEDED, "another client took over")
        state.epoch += 1
        state.lease, state.on_lost = Lease(channel_id, instance, state.epoch), on_lost
        return state.lease

    def is_attended(self, channel_id: str) -> bool:
        state = self._states.get(channel_id)
        return state is not None and state.lease is not None

    def note_sent(self, lease: Lease, queued: Queued) -> int:
        state = self._state(lease.channel_id)
        arrival = queued.arrival
        attempts = queued.attempts + 1
        state.sent[queued.seq] = Sent(attempts, arrival.body_bytes, isinstance(arrival.body, SpooledBody))
        self._writer.note_attempts(rows.row_id(state.number, queued.seq), attempts)
        return attempts

    def acknowledge(self, lease: Lease, done: Done) -> bool:
        state = self._states.get(lease.channel_id)
        if state is None or state.lease is not lease:
            return False
        sent = state.sent.pop(done.seq, None)
        if sent is not None:
            state.pending -= 1
            state.pending_bytes -= sent.body_bytes
            self._writer.finish(
                Finished(
                    rows.row_id(state.number, done.seq),
                    done.delivery_id,
                    done.status,
                    self._now_s(),
                    sent.is_spooled,
                )
            )
        return True

    async def acknowledge_through(self, lease: Lease, seq: int) -> None:
        state = self._state(lease.channel_id)
        removed = await self._writer.call(
            lambda database: remove_through(database, state.number, seq, now_s=self._now_s())
        )
        self._spool.remove(removed.spooled)
        state.pending -= removed.count
        state.pending_bytes -= removed.body_bytes
        for known in [known for known in state.sent if known <= seq]:
            del state.sent[known]

    def take_expired(self, lease: Lease) -> Lost | None:
        state = self._states.get(lease.channel_id)
        if state is None or state.expired is None:
            return None
        expired, state.expired = state.expired, None
        self._writer.call(
            lambda database: database.execute(
                "UPDATE channel SET expired_count = 0 WHERE number = ?", (state.number,)
            )
        )
        return expired

    def release(self, lease: Lease) -> None:
        state = self._states.get(lease.channel_id)
        if state is not None and state.lease is lease:
            state.lease = state.on_lost = None

    # request and reply

    def expect_answer(self, delivery_id: str, on_answer: OnAnswer) -> Stop:
        self._answers[delivery_id] = on_answer
        return partial(self._stop_expecting, delivery_id, on_answer)

    def _stop_expecting(self, delivery_id: str, on_answer: OnAnswer) -> None:
        if self._answers.get(delivery_id) is on_answer:
            del self._answers[delivery_id]

    def publish_answer(self, delivery_id: str, piece: AnswerFrame | None) -> "Future[None] | None":
        on_answer = self._answers.get(delivery_id)
        return on_answer(piece) if on_answer is not None else None


def _discard(watchers: list[_Watcher], watcher: _Watcher) -> None:
    if watcher in watchers:
        watchers.remove(watcher)


def _channel(state: State | None) -> Channel | None:
    return state.channel if state is not None else None


def _lost(expired: Expired | None) -> Lost | None:
    return Lost(expired.first, expired.last, expired.count) if expired is not None else None


def _joined(before: Lost | None, after: Lost) -> Lost:
    return after if before is None else Lost(before.first, after.last, before.count + after.count)
