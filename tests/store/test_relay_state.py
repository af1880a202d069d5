"""What a project remembers of relays: channels with keys, and what was answered, through crashes and new beginnings."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.errors import UsageError
from webhookctl.store import relay_state as module
from webhookctl.store import spool
from webhookctl.store.project import ProjectState
from webhookctl.store.relay_state import Answered, RelayState, RememberedChannel

RELAY, URL = "https://relay.example.com", "https://relay.example.com/abc"
SHOP = RememberedChannel(RELAY, "shop", URL, "wck_x_y")


@pytest.fixture
def state(tmp_path: Path) -> RelayState:
    return RelayState(ProjectState(tmp_path))


# channels


def test_nothing_is_remembered_and_nothing_made_by_looking(state: RelayState, tmp_path: Path) -> None:
    assert state.channels() == ()
    assert state.find(RELAY) is None
    assert list(tmp_path.iterdir()) == []


def test_a_channel_is_found_by_relay_and_name_or_as_the_last_one_with_a_key(state: RelayState) -> None:
    other = RememberedChannel(RELAY, "other", URL + "2", "wck_2_3")
    keyless = RememberedChannel(RELAY, "keyless", URL + "3")
    for channel in (SHOP, other, keyless):
        state.remember(channel)
    assert state.channels() == (keyless, other, SHOP)
    assert state.find(RELAY) == other
    assert state.find(RELAY, "shop") == SHOP
    assert state.find(RELAY, "keyless") == keyless
    assert state.find(RELAY, "nobody") is None
    assert state.find("https://elsewhere.example.com") is None


def test_the_key_stays_when_the_channel_is_seen_again_without_it(state: RelayState) -> None:
    state.remember(SHOP)
    state.remember(RememberedChannel(RELAY, "shop", URL))
    assert state.channels() == (SHOP,)


def test_the_key_of_a_channel_that_has_moved_is_forgotten(state: RelayState) -> None:
    state.remember(SHOP)
    state.remember(RememberedChannel(RELAY, "shop", URL + "2"))
    assert state.channels() == (RememberedChannel(RELAY, "shop", URL + "2", ""),)


def test_only_the_owner_can_read_the_keys(state: RelayState) -> None:
    state.remember(SHOP)
    path = state.folder / "channels.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.folder.stat().st_mode) == 0o700
    assert "wck_x_y" not in repr(SHOP)


def test_what_is_known_already_is_not_written_again(state: RelayState) -> None:
    state.remember(SHOP)
    path = state.folder / "channels.json"
    before = path.stat().st_ino
    state.remember(SHOP)
    assert path.stat().st_ino == before


@pytest.mark.parametrize("content", ["", "{}x", "[1]", '[{"relay": "r"}]', '[{"odd": "x"}]', "5"])
def test_a_damaged_file_is_named(state: RelayState, content: str) -> None:
    state.remember(SHOP)
    (state.folder / "channels.json").write_text(content)
    with pytest.raises(UsageError) as failure:
        state.channels()
    assert failure.value.code == "state-damaged"


def test_a_link_in_place_of_the_folder_is_refused(state: RelayState, tmp_path: Path) -> None:
    (tmp_path / ".webhookctl").mkdir()
    (tmp_path / "elsewhere").mkdir()
    state.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError) as failure:
        state.remember(SHOP)
    assert failure.value.code == "state-unsafe"


# what was answered


def answered(path: Path) -> Answered:
    return Answered(path / "x.answered")


def test_what_is_noted_is_known_and_survives_the_end_of_the_process(tmp_path: Path) -> None:
    first = answered(tmp_path)
    assert not first.is_dirty
    first.note(1, "a")
    first.note(3, "c")
    assert first.is_dirty
    again = answered(tmp_path)  # the first was never closed: killed
    assert [again.knows(seq, name) for seq, name in ((1, "a"), (2, "b"), (3, "c"))] == [True, False, True]
    assert again.cursor == 1
    first.close()
    again.close()


def test_the_cursor_is_the_last_number_before_the_first_gap(tmp_path: Path) -> None:
    log = answered(tmp_path)
    assert log.cursor == 0
    log.note(2, "b")
    assert log.cursor == 0
    log.note(1, "a")
    assert log.cursor == 2
    log.note_skipped(3, 9)
    assert log.cursor == 9
    log.close()


def test_another_delivery_under_a_known_number_is_not_known(tmp_path: Path) -> None:
    log = answered(tmp_path)
    log.note(1, "a")
    assert not log.knows(1, "another")
    log.close()


def test_of_old_numbers_the_number_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDS_KEPT", 2)
    log = answered(tmp_path)
    for seq in (1, 2, 3):
        log.note(seq, str(seq))
    log.close()
    log = answered(tmp_path)
    assert log.knows(1, "whatever")
    assert not log.knows(3, "whatever")
    log.close()


def test_a_relay_that_has_fewer_began_anew(tmp_path: Path) -> None:
    log = answered(tmp_path)
    for seq in range(1, 11):
        log.note(seq, str(seq))
    assert not log.forget_after(10)
    assert log.forget_after(4)
    assert log.cursor == 4
    assert not log.knows(5, "5")
    log.note(5, "new")
    log.close()
    log = answered(tmp_path)
    assert log.knows(5, "new")
    assert not log.knows(6, "6")
    log.close()


@pytest.mark.parametrize("torn", ["12 ab", "3", "4-", "7-8"])
def test_a_line_cut_off_by_a_loss_of_power_is_passed_over(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "x.answered"
    path.write_text(f"1 a\n2 b\n{torn}")
    log = answered(tmp_path)
    assert log.cursor == 2
    assert not any(log.knows(seq, "ab") for seq in (3, 4, 7, 8, 12))
    log.close()


@pytest.mark.parametrize("line", ["nonsense", "x-3", "-", "é 1", ""])
def test_lines_that_nobody_wrote_are_passed_over(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.answered").write_text(f"{line}\n1 a\n")
    log = answered(tmp_path)
    assert log.cursor == 1
    log.close()


def test_a_long_file_is_written_anew_and_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COMPACT_BYTES", 1_000)
    monkeypatch.setattr(module, "_IDS_KEPT", 3)
    log = answered(tmp_path)
    for seq in range(1, 501):
        log.note(seq, f"{seq:032x}")
    assert (tmp_path / "x.answered").stat().st_size < 1_100
    assert log.cursor == 500
    log.sync()
    assert not log.is_dirty
    log.sync()
    log.close()


def test_a_disk_that_is_full_is_said(tmp_path: Path) -> None:
    log = answered(tmp_path)
    os.close(log._file)
    log._file = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(UsageError) as failure:
        log.note(1, "a")
    assert failure.value.code == "state-unwritable"
    log.close()


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.answered").mkdir()
    with pytest.raises(UsageError) as failure:
        answered(tmp_path)
    assert failure.value.code == "state-damaged"


@settings(derandomize=True, deadline=None, max_examples=60)
@given(notes=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 4)), max_size=40))
def test_ranges_know_exactly_what_was_noted(
    tmp_path_factory: pytest.TempPathFactory, notes: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log, expected = answered(folder), set[int]()
    for seq, more in notes:
        if more:
            log.note_skipped(seq, seq + more)
        else:
            log.note(seq, str(seq))
        expected.update(range(seq, seq + more + 1))
    log.close()
    again = answered(folder)
    for each in (log, again):
        assert {seq for seq in range(1, 40) if each.knows(seq, str(seq))} == expected
        assert each.cursor == next(seq for seq in range(1, 41) if seq not in expected) - 1
    again.close()


# bodies in files


def test_a_spooled_body_is_whole_hashed_and_private(tmp_path: Path) -> None:
    from hashlib import sha256

    body = spool.Spool(tmp_path)
    body.write(b"one")
    body.write(b"two")
    large = body.finish()
    assert Path(large.path).read_bytes() == b"onetwo"
    assert (large.size, large.sha256) == (6, sha256(b"onetwo").hexdigest())
    assert stat.S_IMODE(Path(large.path).stat().st_mode) == 0o600
    spool.remove(large)
    spool.remove(large)
    spool.remove(None)
    assert list(tmp_path.iterdir()) == []


def test_a_body_given_up_leaves_nothing(tmp_path: Path) -> None:
    body = spool.Spool(tmp_path)
    body.write(b"half")
    body.discard()
    assert list(tmp_path.iterdir()) == []


def test_only_what_dead_processes_left_is_removed(tmp_path: Path) -> None:
    dead = 2**22 + 1  # above the highest process id there is
    for name in (f"{dead}-a", f"{os.getpid()}-b", "1-c", "notes.txt"):
        (tmp_path / name).write_text("x")
    spool.remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"{os.getpid()}-b", "1-c", "notes.txt"}
    spool.remove_leftovers(tmp_path / "missing")


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as failure:
        spool.Spool(tmp_path / "missing")
    assert failure.value.code == "state-unwritable"
