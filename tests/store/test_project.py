"""The project's `.webhookctl/` folder: its secret, its listeners, and what it refuses."""

import base64
import errno
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from webhookctl.errors import UsageError
from webhookctl.store.project import ProjectState

URL = "http://127.0.0.1:4400"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def code_of(failure: pytest.ExceptionInfo[UsageError]) -> str:
    return failure.value.code


def dead_process_id() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def entry(state: ProjectState) -> Path:
    (path,) = (state.folder / "listeners").iterdir()
    return path


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_create_makes_a_private_folder_that_git_ignores(tmp_path: Path) -> None:
    folder = ProjectState(tmp_path).create()
    assert folder == tmp_path / ".webhookctl"
    assert mode(folder) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"
    assert sorted(path.name for path in folder.iterdir()) == [".gitignore"]


def test_create_leaves_what_is_there_as_it_is(tmp_path: Path) -> None:
    folder = ProjectState(tmp_path).create()
    (folder / ".gitignore").write_text("mine\n")
    assert ProjectState(tmp_path).create() == folder
    assert (folder / ".gitignore").read_text() == "mine\n"


def test_reading_creates_nothing(tmp_path: Path) -> None:
    state = ProjectState(tmp_path)
    assert state.peek_development_secret() is None
    assert state.running_listeners() == []
    assert state.history_path.parent == state.tls_folder.parent == state.folder
    assert list(tmp_path.iterdir()) == []


def test_the_development_secret_is_made_once_and_kept_private(tmp_path: Path) -> None:
    secret = ProjectState(tmp_path).development_secret()
    prefix, encoded = secret.reveal()[:6], secret.reveal()[6:]
    assert (prefix, len(base64.b64decode(encoded, validate=True))) == ("whsec_", 32)
    assert secret.origin == "development"
    assert mode(tmp_path / ".webhookctl" / "development-secret") == 0o600
    assert ProjectState(tmp_path).development_secret() == secret
    assert ProjectState(tmp_path).peek_development_secret() == secret


def test_two_projects_have_two_secrets(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert (
        ProjectState(tmp_path / "a").development_secret() != ProjectState(tmp_path / "b").development_secret()
    )


def test_everybody_who_makes_the_secret_at_once_gets_the_same(tmp_path: Path) -> None:
    start = Barrier(8)

    def make(_: int) -> str:
        start.wait()
        return ProjectState(tmp_path).development_secret().reveal()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(make, range(8)))) == 1


@pytest.mark.parametrize("has_links", [True, False])
def test_the_loser_of_the_race_reads_the_winners_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    def lose(_: object, target: Path) -> None:
        if target.name == "development-secret":
            target.write_text("whsec_d2lubmVy\n")
        raise FileExistsError if has_links else OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", lose)
    assert ProjectState(tmp_path).development_secret().reveal() == "whsec_d2lubmVy"
    assert not list(tmp_path.glob(".webhookctl/.development-secret*"))


def test_the_secret_is_made_on_a_file_system_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    secret = ProjectState(tmp_path).development_secret()
    assert ProjectState(tmp_path).peek_development_secret() == secret
    assert mode(tmp_path / ".webhookctl" / "development-secret") == 0o600


@pytest.mark.parametrize("content", [b"", b"\n", b"hello\n", b"whsec_a b\n", b"whsec_\xff", b"x" * 70_000])
def test_a_damaged_secret_is_reported_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    path = ProjectState(tmp_path).create() / "development-secret"
    path.write_bytes(content)
    with pytest.raises(UsageError) as failure:
        ProjectState(tmp_path).development_secret()
    assert code_of(failure) == "state-damaged"
    assert str(path) in failure.value.message
    assert path.read_bytes() == content


def test_a_folder_in_the_secrets_place_is_reported(tmp_path: Path) -> None:
    (ProjectState(tmp_path).create() / "development-secret").mkdir()
    with pytest.raises(UsageError) as failure:
        ProjectState(tmp_path).development_secret()
    assert code_of(failure) == "state-damaged"


def test_a_named_pipe_in_the_secrets_place_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(ProjectState(tmp_path).create() / "development-secret")
    with pytest.raises(UsageError) as failure:
        ProjectState(tmp_path).development_secret()
    assert code_of(failure) == "state-damaged"


@pytest.mark.parametrize("is_target_there", [True, False])
def test_a_linked_secret_file_is_refused(tmp_path: Path, is_target_there: bool) -> None:
    target = tmp_path / "elsewhere"
    if is_target_there:
        target.write_text("whsec_c3RvbGVu\n")
    (ProjectState(tmp_path).create() / "development-secret").symlink_to(target)
    with pytest.raises(UsageError) as failure:
        ProjectState(tmp_path).development_secret()
    assert code_of(failure) == "state-unsafe"
    assert target.exists() is is_target_there


def test_a_linked_state_folder_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    (tmp_path / ".webhookctl").symlink_to(target)
    state = ProjectState(tmp_path)
    for use in (state.create, state.development_secret, state.peek_development_secret):
        with pytest.raises(UsageError) as failure:
            use()
        assert code_of(failure) == "state-unsafe"
    assert list(target.iterdir()) == []


def test_a_linked_listeners_folder_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    state = ProjectState(tmp_path)
    (state.create() / "listeners").symlink_to(target)
    with pytest.raises(UsageError) as failure:
        state.announce(URL, pid=os.getpid())
    assert code_of(failure) == "state-unsafe"
    assert list(target.iterdir()) == []


def test_a_place_that_cannot_be_written_is_a_usage_error_with_path_and_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "missing", tmp_path / "file"):
        for use in (
            ProjectState(root).create,
            ProjectState(root).development_secret,
            lambda root=root: ProjectState(root).announce(URL, pid=os.getpid()),
        ):
            with pytest.raises(UsageError) as failure:
                use()
            assert code_of(failure) == "state-unwritable"
            assert str(root / ".webhookctl") in failure.value.message
            assert failure.value.hint


def test_a_file_in_the_folders_place_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / ".webhookctl").write_text("")
    with pytest.raises(UsageError) as failure:
        ProjectState(tmp_path).development_secret()
    assert code_of(failure) == "state-unwritable"


def test_a_full_disk_leaves_no_half_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = ProjectState(tmp_path)
    folder = state.create()

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(UsageError) as failure:
            state.development_secret()
    assert code_of(failure) == "state-unwritable"
    assert "No space left" in failure.value.message
    assert [path.name for path in folder.iterdir()] == [".gitignore"]
    assert state.development_secret().reveal()


def test_an_announced_listener_is_found_until_it_is_withdrawn(tmp_path: Path) -> None:
    state = ProjectState(tmp_path)
    announcement = state.announce(URL, pid=os.getpid(), details={"forward_to": "http://localhost:3000"})
    (listener,) = ProjectState(tmp_path).running_listeners()
    assert (listener.url, listener.pid) == (URL, os.getpid())
    assert listener.details == {"forward_to": "http://localhost:3000"}
    assert listener.announced_at_s == entry(state).stat().st_mtime_ns / 1e9
    assert entry(state).name == f"{os.getpid()}-4400.json"
    assert mode(entry(state)) == 0o600
    assert mode(entry(state).parent) == 0o700
    announcement.withdraw()
    announcement.withdraw()
    assert state.running_listeners() == []
    assert list((state.folder / "listeners").iterdir()) == []


def test_a_listener_is_withdrawn_at_the_end_of_its_block_also_after_an_error(tmp_path: Path) -> None:
    state = ProjectState(tmp_path)
    seen: list[int] = []

    def listen() -> None:
        with state.announce(URL, pid=os.getpid()):
            seen.append(len(state.running_listeners()))
            raise KeyError

    with pytest.raises(KeyError):
        listen()
    assert seen == [1]
    assert state.running_listeners() == []


def test_announcing_again_replaces_the_entry(tmp_path: Path) -> None:
    state = ProjectState(tmp_path)
    state.announce(URL, pid=os.getpid(), details={"forward_to": "old"})
    state.announce(URL, pid=os.getpid(), details={"forward_to": "new"})
    assert [listener.details for listener in state.running_listeners()] == [{"forward_to": "new"}]


def test_listeners_come_newest_first(tmp_path: Path) -> None:
    state = ProjectState(tmp_path)
    for port, changed_s in ((1, 200), (2, 300), (3, 100)):
        state.announce(f"http://127.0.0.1:{port}", pid=os.getpid())
        path = state.folder / "listeners" / f"{os.getpid()}-{port}.json"
        os.utime(path, (changed_s, changed_s))
    assert [(listener.url[-1], listener.announced_at_s) for listener in state.running_listeners()] == [
        ("2", 300.0),
        ("1", 200.0),
        ("3", 100.0),
    ]


@pytest.mark.parametrize(("url", "port"), [("http://localhost", 80), ("https://localhost/x", 443)])
def test_an_entry_is_named_by_the_schemes_port_when_the_url_has_none(
    tmp_path: Path, url: str, port: int
) -> None:
    state = ProjectState(tmp_path)
    state.announce(url, pid=os.getpid())
    assert entry(state).name == f"{os.getpid()}-{port}.json"


def test_entries_of_dead_processes_are_removed(tmp_path: Path) -> None:
    state = ProjectState(tmp_path)
    state.announce(URL, pid=dead_process_id())
    state.announce("http://127.0.0.1:1", pid=2**70)
    assert state.running_listeners() == []
    assert list((state.folder / "listeners").iterdir()) == []


def test_a_process_id_used_again_by_another_process_is_not_the_listener(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = ProjectState(tmp_path)
    monkeypatch.setattr("webhookctl.store.project._process_start", lambda _: "100")
    state.announce(URL, pid=os.getpid())
    assert len(state.running_listeners()) == 1
    monkeypatch.setattr("webhookctl.store.project._process_start", lambda _: "200")
    assert state.running_listeners() == []
    assert list((state.folder / "listeners").iterdir()) == []


def test_where_start_times_are_unknown_a_living_process_is_the_listener(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bytes:
        raise FileNotFoundError

    state = ProjectState(tmp_path)
    state.announce(URL, pid=os.getpid())
    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert len(state.running_listeners()) == 1


def test_a_start_time_is_read_past_brackets_in_the_commands_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = b"7 (a) b (c) S " + b" ".join(b"%d" % number for number in range(4, 53))
    state = ProjectState(tmp_path)
    for content, expected in ((fields, "22"), (b"7 (a) S 1", None)):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda _, content=content: content)
            state.announce(URL, pid=os.getpid())
        assert json.loads(entry(state).read_text())["process_start"] == expected


def test_a_living_process_of_somebody_else_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    state = ProjectState(tmp_path)
    state.announce(URL, pid=os.getpid())
    monkeypatch.setattr(os, "kill", refuse)
    assert len(state.running_listeners()) == 1


def test_entries_of_another_container_are_left_alone(tmp_path: Path) -> None:
    state = ProjectState(tmp_path)
    state.announce(URL, pid=dead_process_id())
    rewrite(entry(state), process_space="pid:[1]")
    assert state.running_listeners() == []
    assert entry(state).exists()


def test_without_pid_namespaces_listeners_are_found_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> str:
        raise OSError

    monkeypatch.setattr(os, "readlink", refuse)
    state = ProjectState(tmp_path)
    state.announce(URL, pid=os.getpid())
    assert len(state.running_listeners()) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b'"x"', b"{}", b"[" * 60_000, b" " * 70_000, b'{"url": 1, "pid": 2}'],
)
def test_garbage_among_the_entries_is_passed_over(tmp_path: Path, content: bytes) -> None:
    state = ProjectState(tmp_path)
    state.announce(URL, pid=os.getpid())
    garbage = state.folder / "listeners" / "1-1.json"
    garbage.write_bytes(content)
    (state.folder / "listeners" / "2-2.json").mkdir()
    assert [listener.url for listener in state.running_listeners()] == [URL]
    assert garbage.exists()


@pytest.mark.parametrize("pid", [0, -1, True, "1", None, 1.5])
def test_an_entry_without_a_process_id_is_no_entry(tmp_path: Path, pid: object) -> None:
    state = ProjectState(tmp_path)
    state.announce(URL, pid=os.getpid())
    rewrite(entry(state), pid=pid)
    assert state.running_listeners() == []
    assert entry(state).exists()


def test_a_listeners_file_in_the_folders_place_means_no_listeners(tmp_path: Path) -> None:
    state = ProjectState(tmp_path)
    (state.create() / "listeners").write_text("")
    assert state.running_listeners() == []
