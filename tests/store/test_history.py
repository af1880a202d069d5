"""The history: on disk before anybody is told, told apart from what was not stored, pruned, read while written."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Coroutine
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.errors import UsageError
from webhookctl.model import (
    Attempt,
    Capture,
    Detection,
    Exchange,
    Failure,
    FailureKind,
    Finding,
    Headers,
    LargeBody,
    Relayed,
    Request,
    Response,
    Verdict,
    VerdictKind,
)
from webhookctl.store import history_writer as module
from webhookctl.store.history import History
from webhookctl.store.history_rows import VERSION, decode_headers, encode_headers
from webhookctl.store.history_writer import HistoryWriter, Judged, Limits

T = TypeVar("T")
VERDICT = Verdict(VerdictKind.OK, "stripe", "ok")
NOW_S = 1_767_225_600.0
USUAL = Limits()


def run(work: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(60):
            return await work

    return asyncio.run(limited())


def judged(
    delivery_id: str | None = None,
    *,
    body: bytes = b"{}",
    at_s: float = NOW_S,
    provider: str | None = "stripe",
) -> Judged:
    request = Request("POST", "/hooks?x=\xe9", ((b"Host", b"app.example.com"), (b"X", b"\xff\x80")), body)
    capture = Capture(request, at_s, "127.0.0.1:5", True, "1.0")
    return capture, Detection(provider, "payment.demo", delivery_id, "header Sample"), VERDICT


def writing(path: Path, limits: Limits = USUAL, now_s: float = NOW_S) -> HistoryWriter:
    return HistoryWriter(path, limits, now_s=lambda: now_s)


def write(path: Path, *deliveries: Judged, limits: Limits = USUAL) -> list[tuple[int, int | None]]:
    """All of `deliveries` at once; what each was told."""

    async def scene() -> list[tuple[int, int | None]]:
        async with writing(path, limits) as history:
            return list(await asyncio.gather(*[history.append(each) for each in deliveries]))

    return run(scene())


def read(path: Path) -> list[Exchange]:
    with History(path) as history:
        return history.newest(limit=1_000_000)[::-1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def test_what_is_read_is_what_was_written(path: Path) -> None:
    attempts = (
        Attempt("http://a/", NOW_S, 1.5, Response(201, "Créé", ((b"A", b"\xe9"), (b"a", b"")), b"\0\xff")),
        Attempt("http://b/", NOW_S, 2.5, failure=Failure(FailureKind.TIMEOUT, "no answer within 30 s")),
    )

    async def scene() -> None:
        async with writing(path) as history:
            exchange_id, _ = await history.append(judged("evt_1", body=bytes(range(256))))
            history.add_attempts(exchange_id, attempts[:1])
            history.add_attempts(exchange_id, attempts[1:])

    run(scene())
    capture, detection, verdict = judged("evt_1", body=bytes(range(256)))
    assert read(path) == [Exchange(1, capture, detection, verdict, None, attempts)]


def relayed(delivery_id: str) -> Judged:
    capture, detection, verdict = judged(delivery_id)
    return replace(capture, relayed=Relayed(delivery_id)), detection, verdict


def test_what_a_relay_keeps_is_written_at_once_and_synced_soon_and_all_else_synced_at_once(
    path: Path,
) -> None:
    async def scene() -> list[str]:
        said: list[str] = []
        async with writing(path) as history:
            history._database.set_trace_callback(said.append)
            await history.append(relayed("evt_1"))
            while len(said) < 7:  # the database is told to sync, and has something to sync for
                await asyncio.sleep(0)
            await history.append(relayed("evt_2"))
            await history.append(judged("evt_3"))
            await history.append(relayed("evt_4"))
        return [each for each in said if "synchronous" in each or each == "COMMIT" or "user_version" in each]

    lazy, synced = "PRAGMA synchronous=NORMAL", "PRAGMA synchronous=FULL"
    wrote = f"PRAGMA user_version={VERSION}"
    assert run(scene()) == [
        *(lazy, "COMMIT", synced, wrote, "COMMIT"),
        *(lazy, "COMMIT", synced, "COMMIT", lazy, "COMMIT", synced, wrote, "COMMIT"),
    ]
    assert [each.id for each in read(path)] == [1, 2, 3, 4]


names = st.text("!#$%&'*+-.^_`|~0123456789abcXYZ", min_size=1, max_size=8).map(str.encode)
values = st.binary(max_size=30).map(lambda value: value.translate(None, b"\r\n\0"))


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(names, values), max_size=8).map(tuple))
def test_headers_of_any_bytes_are_read_as_they_were_written(headers: Headers) -> None:
    assert decode_headers(encode_headers(headers)) == headers


def test_text_that_has_no_bytes_stops_neither_this_delivery_nor_the_next(path: Path) -> None:
    capture, _, _ = judged()
    odd = (
        capture,
        Detection("stripe", "a\ud800b", "evt_\ud800", "\udcff"),
        Verdict(VerdictKind.OK, None, "\ud800"),
    )
    assert write(path, odd, judged()) == [(1, None), (2, None)]
    assert read(path)[0].detection == Detection("stripe", "a?b", "evt_?", "?")


CHILD = """
    import asyncio, sys
    from pathlib import Path
    from tests.store.test_history import judged, writing

    async def main() -> None:
        async with writing(Path(sys.argv[1])) as history:
            while True:
                stored = await asyncio.gather(*[history.append(judged()) for _ in range(7)])
                print(*[exchange_id for exchange_id, _ in stored], flush=True)

    asyncio.run(main())
"""


def start(code: str, *arguments: str) -> "subprocess.Popen[str]":
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], cwd=root, stdout=subprocess.PIPE, text=True
    )


def test_what_was_told_to_be_stored_survives_a_killed_process(path: Path) -> None:
    child = start(CHILD, str(path))
    assert child.stdout is not None
    told = [child.stdout.readline() for _ in range(5)]
    child.send_signal(signal.SIGKILL)
    told += child.stdout.readlines()
    child.stdout.close()
    child.wait()
    expected = [int(number) for line in told for number in line.split()]
    assert expected == list(range(1, len(expected) + 1))
    assert [exchange.id for exchange in read(path)][: len(expected)] == expected


def test_nobody_is_told_before_the_commit(path: Path) -> None:
    async def scene() -> None:
        async with writing(path) as history:
            for count in range(1, 20):
                await history.append(judged())
                with sqlite3.connect(path) as other:
                    assert other.execute("SELECT count(*) FROM exchange").fetchone() == (count,)
                other.close()

    run(scene())


def test_deliveries_that_come_together_are_committed_together(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    commit = HistoryWriter._commit

    def counting(self: HistoryWriter, batch: Any) -> None:
        sizes.append(len(batch.deliveries))
        commit(self, batch)

    monkeypatch.setattr(HistoryWriter, "_commit", counting)
    assert write(path, *[judged()] * 300) == [(number, None) for number in range(1, 301)]
    assert sizes[0] == 300


def test_attempts_are_stored_soon_without_a_delivery_that_takes_them_along(path: Path) -> None:
    async def scene() -> None:
        async with writing(path) as history:
            exchange_id, _ = await history.append(judged())
            history.add_attempts(
                exchange_id, [Attempt("http://a/", NOW_S, 1.0, Response(200, "OK", (), b""))]
            )
            while not read(path)[0].attempts:
                await asyncio.sleep(0.005)

    run(scene())


def test_what_is_discarded_is_gone_and_its_number_is_not_given_again(path: Path) -> None:
    async def scene() -> None:
        async with writing(path) as history:
            await history.append(judged("evt_1"))
            await history.append(judged("evt_2"))
            history.discard(2)
            while len(read(path)) > 1:
                await asyncio.sleep(0.005)
            assert await history.append(judged("evt_3")) == (3, None)
            history.discard(3)

    run(scene())
    assert [exchange.id for exchange in read(path)] == [1]


def test_a_repeated_delivery_is_recognised_by_provider_and_id(path: Path) -> None:
    first = [judged("evt_1"), judged("evt_1"), judged("evt_2"), judged(None), judged(None)]
    assert write(path, *first) == [(1, None), (2, 1), (3, None), (4, None), (5, None)]
    again = [
        judged("evt_1"),
        judged("evt_2"),
        judged("evt_1", provider="github"),
        judged("evt_1", provider=None),
    ]
    assert write(path, *again) == [(6, 1), (7, 3), (8, None), (9, None)]
    assert [exchange.duplicate_of for exchange in read(path)[:3]] == [None, 1, None]


def test_only_so_many_deliveries_are_remembered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED_DELIVERIES", 2)
    assert write(path, *[judged(name) for name in ("a", "b", "c", "a")])[3] == (4, None)
    assert write(path, judged("a"), judged("b")) == [(5, 4), (6, None)]


def test_ids_go_on_after_everything_was_pruned(path: Path) -> None:
    write(path, *[judged(at_s=0.0)] * 5)
    assert write(path, judged()) == [(6, None)]
    assert [exchange.id for exchange in read(path)] == [6]


def test_older_exchanges_go_first_by_count(path: Path) -> None:
    write(path, *[judged()] * 30)
    write(path, limits=Limits(max_count=10))
    assert [exchange.id for exchange in read(path)] == list(range(21, 31))


def test_older_exchanges_go_first_by_age(path: Path) -> None:
    write(path, judged(at_s=NOW_S - 200), judged(at_s=NOW_S - 50), limits=Limits(max_age_s=0))
    write(path, limits=Limits(max_age_s=100))
    assert [exchange.id for exchange in read(path)] == [2]


def test_older_exchanges_go_first_by_size_until_it_fits(path: Path) -> None:
    write(path, *[judged(body=b"x" * 10_000)] * 200)
    write(path, limits=Limits(max_bytes=500_000))
    left = [exchange.id for exchange in read(path)]
    assert left == list(range(left[0], 201))
    assert 20 < len(left) < 50


def test_attempts_go_with_their_exchanges_and_no_limit_keeps_all(path: Path) -> None:
    async def scene() -> None:
        async with writing(path, Limits(0, 0, 0)) as history:
            for _ in range(3):
                exchange_id, _ = await history.append(judged(at_s=0.0))
                history.add_attempts(
                    exchange_id, [Attempt("http://a/", NOW_S, 1.0, Response(200, "", (), b""))]
                )

    run(scene())
    write(path, limits=Limits(0, 0, 0))
    assert len(read(path)) == 3
    write(path, limits=Limits(max_count=1, max_age_s=0))
    database = sqlite3.connect(path)
    assert database.execute("SELECT exchange_id FROM attempt").fetchall() == [(3,)]
    database.close()


def test_the_history_is_pruned_in_a_quiet_moment_and_in_a_storm(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with writing(path, Limits(max_count=5)) as history:
            await asyncio.gather(*[history.append(judged()) for _ in range(20)])
            while len(read(path)) > 5:
                await asyncio.sleep(0.005)

    monkeypatch.setattr(module, "_QUIET_S", 0.01)
    run(scene())
    monkeypatch.setattr(module, "_QUIET_S", 1_000.0)
    monkeypatch.setattr(module, "_PRUNE_ANYWAY", 10)
    run(scene())
    assert [exchange.id for exchange in read(path)] == list(range(36, 41))


def test_a_full_disk_is_told_to_every_sender_and_the_history_recovers(path: Path) -> None:
    async def scene() -> list[object]:
        async with writing(path) as history:
            assert await history.append(judged("evt_1")) == (1, None)
            history._database.execute("PRAGMA max_page_count=12")
            large = [history.append(judged(f"evt_{number}", body=b"x" * 30_000)) for number in range(1, 6)]
            failed = await asyncio.gather(*large, return_exceptions=True)
            history.add_attempts(
                1, [Attempt("http://a/", NOW_S, 1.0, Response(200, "OK", (), b"y" * 90_000))]
            )
            await asyncio.sleep(0.1)  # this one cannot be stored either, and waits
            history._database.execute("PRAGMA max_page_count=100000")
            return [*failed, await history.append(judged("evt_2")), await history.append(judged("evt_1"))]

    *failed, second, first_again = run(scene())
    assert [getattr(error, "code", None) for error in failed] == ["history-unusable"] * 5
    assert "full" in str(failed[0])
    # Nothing is remembered of what was not stored, and nothing forgotten of what was.
    assert (second, first_again) == ((2, None), (3, 1))
    assert [len(exchange.attempts) for exchange in read(path)] == [1, 0, 0]


def test_a_history_locked_for_long_is_told_and_recovers(path: Path) -> None:
    async def scene() -> tuple[object, tuple[int, int | None]]:
        async with writing(path) as history:
            await history.append(judged("evt_1"))
            history._database.execute("PRAGMA busy_timeout=10")
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            failed = (await asyncio.gather(history.append(judged("evt_1")), return_exceptions=True))[0]
            other.execute("ROLLBACK")
            other.close()
            return failed, await history.append(judged("evt_1"))

    failed, again = run(scene())
    assert isinstance(failed, UsageError)
    assert again == (2, 1)


def test_after_the_end_nothing_is_taken_and_nobody_waits(path: Path) -> None:
    async def scene() -> None:
        history = writing(path)
        async with history:
            await history.append(judged())
        history.add_attempts(1, [Attempt("http://a/", NOW_S, 1.0, Response(200, "OK", (), b""))])
        await history.append(judged())

    with pytest.raises(UsageError, match="it is closed"):
        run(scene())


def test_what_is_under_way_at_the_end_is_still_stored(path: Path) -> None:
    async def scene() -> tuple[int, int | None]:
        async with writing(path) as history:
            pending = history.append(judged())
        return await pending

    assert run(scene()) == (1, None)
    assert len(read(path)) == 1


def test_a_sender_that_gave_up_waiting_does_not_harm_the_others(path: Path) -> None:
    async def scene() -> tuple[int, int | None]:
        async with writing(path) as history:
            history.append(judged()).cancel()
            return await history.append(judged())

    assert run(scene()) == (2, None)


WRITER = """
    import asyncio, sys
    from pathlib import Path
    from tests.store.test_history import judged, writing

    async def main() -> None:
        async with writing(Path(sys.argv[1])) as history:
            for _ in range(30):
                for exchange_id, _ in await asyncio.gather(*[history.append(judged()) for _ in range(5)]):
                    print(exchange_id)

    asyncio.run(main())
"""


def test_two_writers_on_one_file_at_once_never_get_the_same_id(path: Path) -> None:
    children = [start(WRITER, str(path)) for _ in range(2)]
    outputs = [child.communicate()[0] for child in children]
    ids = [[int(line) for line in output.split()] for output in outputs]
    assert [child.returncode for child in children] == [0, 0]
    assert [len(each) for each in ids] == [150, 150]
    assert sorted(ids[0] + ids[1]) == list(range(1, 301))
    assert all(each == sorted(each) for each in ids)
    assert len(read(path)) == 300


def test_the_history_is_read_while_it_is_written(path: Path) -> None:
    async def scene() -> None:
        async with writing(path) as history:
            with History(path) as reader:
                assert reader.last() is None
                await history.append(judged("evt_1"))
                last = reader.last()
                assert last is not None
                assert last.detection.delivery_id == "evt_1"
                iterator = reader._select("ORDER BY id")
                next(iterator)
                await history.append(judged("evt_2"))  # a reader in the middle stops no writer
                iterator.close()
                assert reader.count() == 2

    run(scene())


def test_exchanges_are_found_by_id_and_by_what_is_asked_of_them(path: Path) -> None:
    write(path, *[judged(f"evt_{number}") for number in range(1, 11)])
    with History(path) as history:
        found = history.find(4)
        assert found is not None
        assert found.detection.delivery_id == "evt_4"
        assert history.find(99) is None
        assert [each.id for each in history.newest(limit=3)] == [10, 9, 8]
        assert [each.id for each in history.newest(limit=2, before_id=5)] == [4, 3]
        assert [each.id for each in history.newest(limit=2, accept=lambda each: each.id % 3 == 0)] == [9, 6]
        assert history.newest(limit=0) == []
        assert history.count() == 10


def test_a_relative_path_is_read_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, judged())
    monkeypatch.chdir(path.parent)
    assert len(read(Path(path.name))) == 1


@pytest.mark.parametrize("is_made", [False, True])
def test_a_project_without_a_history_reads_as_an_empty_one(path: Path, is_made: bool) -> None:
    if is_made:
        path.touch()
    with History(path) as history:
        assert (history.last(), history.find(1), history.newest(limit=5), history.count()) == (
            None,
            None,
            [],
            0,
        )
    assert path.exists() is is_made


def test_a_newer_history_is_left_alone(path: Path) -> None:
    write(path, judged())
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version=99")
    database.close()
    before = path.read_bytes()
    for use in (lambda: write(path), lambda: read(path)):
        with pytest.raises(UsageError, match="newer webhookctl \\(schema 99\\)") as caught:
            use()
        assert caught.value.code == "history-unusable"
    assert path.read_bytes() == before


def test_a_damaged_history_is_told_of_and_not_touched(path: Path) -> None:
    path.write_bytes(b"this is not a database, and long enough to be looked at" * 100)
    for use in (lambda: write(path), lambda: read(path)):
        with pytest.raises(UsageError, match="file is not a database") as caught:
            use()
        assert caught.value.hint
    assert path.read_bytes().startswith(b"this is not")


def test_a_history_damaged_in_the_middle_is_told_of(path: Path) -> None:
    write(path, *[judged(body=b"x" * 9_000)] * 50)
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * (path.stat().st_size - 8192))
    with pytest.raises(UsageError):
        read(path)
    with pytest.raises(UsageError), History(path) as history:
        history.count()


def test_a_row_that_nobody_wrote_is_told_of(path: Path) -> None:
    write(path, judged())
    database = sqlite3.connect(path)
    database.execute("UPDATE exchange SET verdict = 'splendid'")
    database.commit()
    database.close()
    with pytest.raises(UsageError, match="splendid"):
        read(path)


def test_a_folder_that_is_missing_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        write(tmp_path / "missing" / "history.db")
    assert caught.value.code == "history-unusable"


def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    write(path, judged())
    assert path.stat().st_mode & 0o777 == 0o600


def test_why_a_signature_was_refused_is_kept(path: Path) -> None:
    finding = Finding(
        "secret-other", "sign with the \u2028 other \ud800", "env:STRIPE_LIVE", ("body-newline",)
    )
    verdict = Verdict(VerdictKind.WRONG_SECRET, "stripe", "another secret fits", finding)
    capture, detection, _ = judged("evt_1")
    write(path, (capture, detection, verdict), judged("evt_2"))
    first, second = read(path)
    assert first.verdict == verdict
    assert second.verdict.finding is None


@pytest.mark.parametrize("text", ["", "7", "{}", "[]", '["a"]', "null"])
def test_a_finding_that_nobody_wrote_makes_the_history_unusable_and_no_bug(path: Path, text: str) -> None:
    write(path, judged("evt_1"))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE exchange SET finding = ?", (text,))
    with pytest.raises(UsageError, match="cannot be used"):
        read(path)


# files of an older version

VERSION_1 = """
CREATE TABLE exchange (
  id INTEGER PRIMARY KEY AUTOINCREMENT, received_at_s REAL NOT NULL, peer TEXT NOT NULL, is_tls INTEGER NOT NULL,
  http_version TEXT NOT NULL, method TEXT NOT NULL, target TEXT NOT NULL, provider TEXT, event TEXT,
  delivery_id TEXT, detected_by TEXT NOT NULL, verdict TEXT NOT NULL, scheme TEXT, reason TEXT NOT NULL,
  duplicate_of INTEGER, headers BLOB NOT NULL, body BLOB NOT NULL
);
CREATE TABLE attempt (
  id INTEGER PRIMARY KEY, exchange_id INTEGER NOT NULL, url TEXT NOT NULL, started_at_s REAL NOT NULL,
  latency_ms REAL NOT NULL, failure TEXT, failure_message TEXT, status INTEGER, response_reason TEXT,
  response_headers BLOB, response_body BLOB
);
CREATE INDEX attempt_by_exchange ON attempt (exchange_id);
INSERT INTO exchange VALUES (7, 5.0, 'p', 0, '1.1', 'POST', '/old', 'stripe', 'a.b', 'evt_1', 'd', 'ok', 'stripe',
  'ok', NULL, CAST('A: b' || char(13) || char(10) AS BLOB), CAST('old body' AS BLOB));
PRAGMA user_version=1;
"""


# The columns that version 2 brought stand before the headers in a file that was made by it.
VERSION_2 = (
    VERSION_1.replace(
        "duplicate_of INTEGER, headers",
        "duplicate_of INTEGER, url TEXT NOT NULL DEFAULT '', relay_delivery_id TEXT, relay_attempt INTEGER, "
        "large_body_bytes INTEGER, large_body_sha256 TEXT, headers",
    )
    .replace("'ok', NULL, CAST", "'ok', NULL, '', NULL, NULL, NULL, NULL, CAST")
    .replace("version=1", "version=2")
)


@pytest.fixture(params=[VERSION_1, VERSION_2], ids=["1", "2"])
def old_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "history.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(request.param)
    return path


def old_exchange(path: Path) -> Exchange:
    with History(path) as history:
        exchange = history.find(7)
    assert exchange is not None
    return exchange


def test_a_history_of_an_older_version_is_read_without_changing_it(old_file: Path) -> None:
    before = old_file.read_bytes()
    exchange = old_exchange(old_file)
    assert exchange.capture == Capture(Request("POST", "/old", ((b"A", b"b"),), b"old body"), 5.0, "p")
    assert old_file.read_bytes() == before


def test_a_history_of_an_older_version_is_brought_up_to_date_when_it_is_written(old_file: Path) -> None:
    before = old_exchange(old_file)
    capture = Capture(
        Request("POST", "/new", (), b""),
        6.0,
        "p",
        url="https://relay.example.com/abc/new",
        relayed=Relayed("01f", 3),
        large_body=LargeBody(100_000_000, "ab" * 32, "/gone"),
    )

    async def write() -> tuple[int, int | None]:
        async with HistoryWriter(old_file, Limits(0, 0, 0), now_s=lambda: 6.0) as history:
            verdict = Verdict(VerdictKind.UNKNOWN_SCHEME, None, "too large")
            return await history.append((capture, Detection("stripe", None, "evt_1"), verdict))

    assert asyncio.run(write()) == (8, 7)
    assert old_exchange(old_file) == before
    with History(old_file) as history:
        exchange = history.find(8)
    assert exchange is not None
    assert exchange.capture == replace(capture, large_body=LargeBody(100_000_000, "ab" * 32))
    with closing(sqlite3.connect(old_file)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_a_reader_that_opened_an_old_file_goes_on_while_it_is_brought_up_to_date(old_file: Path) -> None:
    async def write() -> None:
        async with HistoryWriter(old_file, Limits(0, 0, 0), now_s=lambda: 6.0):
            pass

    with History(old_file) as history:
        asyncio.run(write())
        assert history.find(7) is not None
