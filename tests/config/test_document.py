"""Finding the project and its file, reading it, and saying where something is wrong in it."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.config import find_project_root
from webhookctl.config.document import find_project_document, read_document
from webhookctl.errors import UsageError

PYPROJECT = (
    '[project]\nname = "sample"\n\n[tool.webhookctl]\nport = 1\n\n[tool.webhookctl.secrets]\nx = "test_1"\n'
)


def refusal(path: Path) -> UsageError:
    with pytest.raises(UsageError) as failure:
        read_document(path)
    return failure.value


@pytest.mark.parametrize(
    ("marker", "content"),
    [
        ("webhookctl.toml", ""),
        ("pyproject.toml", PYPROJECT),
        (".webhookctl/x", ""),
        (".git/x", ""),
        (".git", "x"),
    ],
)
def test_a_project_shows_itself(tmp_path: Path, marker: str, content: str) -> None:
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (tmp_path / "a" / marker).parent.mkdir(exist_ok=True)
    (tmp_path / "a" / marker).write_text(content)
    assert find_project_root(deep) == tmp_path / "a"
    assert find_project_root(tmp_path / "a") == tmp_path / "a"


def test_the_nearest_sign_of_a_project_wins(project: Path) -> None:
    inner = project / "inner" / "deep"
    inner.mkdir(parents=True)
    (project / "inner" / ".webhookctl").mkdir()
    assert find_project_root(inner) == project / "inner"


def test_without_a_sign_the_working_folder_is_the_root(home: Path) -> None:
    folder = home / "plain"
    folder.mkdir()
    assert find_project_root(folder) == folder


def test_a_foreign_pyproject_is_no_sign(project: Path) -> None:
    inner = project / "inner"
    inner.mkdir()
    (inner / "pyproject.toml").write_text('[project]\nname = "tool.webhookctl"\n')
    assert find_project_root(inner) == project
    assert find_project_document(inner) is None


def test_an_unreadable_pyproject_is_somebody_elses(project: Path) -> None:
    (project / "pyproject.toml").mkdir()
    assert find_project_document(project) is None


def test_the_state_folder_in_the_home_folder_is_no_project(home: Path) -> None:
    folder = home / "plain"
    folder.mkdir()
    (home / ".webhookctl").mkdir()
    assert find_project_root(folder) == folder
    (home / "webhookctl.toml").write_text("")
    assert find_project_root(folder) == home


def test_the_search_stops_at_the_home_folder(tmp_path: Path, home: Path) -> None:
    (tmp_path / "webhookctl.toml").write_text("")
    folder = home / "plain"
    folder.mkdir()
    assert find_project_root(folder) == folder
    assert find_project_document(folder) is None


def test_a_repository_around_the_home_folder_is_a_project(tmp_path: Path, home: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "webhookctl.toml").write_text("port = 1")
    assert find_project_root(home) == tmp_path
    document = find_project_document(home)
    assert document is not None
    assert document.path == tmp_path / "webhookctl.toml"


def test_the_search_stops_at_the_repository(tmp_path: Path, project: Path) -> None:
    (tmp_path / "webhookctl.toml").write_text("port = 1")
    assert find_project_document(project) is None
    assert find_project_root(project) == project


def test_a_user_without_a_home_folder_has_projects_too(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", refuse)
    assert find_project_root(project) == project


def test_links_in_the_working_folder_are_resolved(tmp_path: Path, project: Path) -> None:
    (tmp_path / "link").symlink_to(project)
    assert find_project_root(tmp_path / "link") == project


def test_the_own_table_of_a_pyproject_is_the_document(project: Path) -> None:
    (project / "pyproject.toml").write_text(PYPROJECT)
    document = find_project_document(project)
    assert document is not None
    assert document.table == {"port": 1, "secrets": {"x": "test_1"}}
    assert document.place("port") == "pyproject.toml:5"
    assert document.place("secrets.x") == "pyproject.toml:8"
    assert document.place("name") == "pyproject.toml"


def test_two_files_in_one_folder_are_ambiguous(project: Path) -> None:
    (project / "pyproject.toml").write_text(PYPROJECT)
    (project / "webhookctl.toml").write_text("")
    with pytest.raises(UsageError) as failure:
        find_project_document(project)
    assert failure.value.code == "config-ambiguous"
    assert str(project) in failure.value.message


def test_of_two_folders_the_nearer_one_counts(project: Path) -> None:
    inner = project / "inner"
    inner.mkdir()
    (project / "pyproject.toml").write_text(PYPROJECT)
    (inner / "webhookctl.toml").write_text("port = 2")
    document = find_project_document(inner)
    assert document is not None
    assert document.table == {"port": 2}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("port", 2),
        ("events", 3),
        ("quoted key", 6),
        ("secrets", 8),
        ("secrets.stripe", 9),
        ("secrets.git-hub", 10),
        ("headers.X-A", 12),
        ("route", 14),
        ("profile.p.headers", 19),
        ("profile.p.headers.X", 19),
        ("profile.p", 18),
    ],
)
def test_names_are_found_on_their_lines(tmp_path: Path, name: str, line: int) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        '# port = 0\nport = 1\nevents = [\n  "host = 1",\n]\n"quoted key" = 1\n\n'
        '[secrets]\nstripe = "env:S"\n "git-hub"= "env:G"\n\n'
        'headers . X-A = "1"\n\n[[ route ]]\nmatch = "a"\n[[route]]\nmatch = "b"\n'
        "[profile.p]\nheaders = { X = 'y' }\n"
    )
    document = read_document(path)
    expected = "c.toml" if name == "headers.X-A" else f"c.toml:{line}"
    # Within [secrets] a dotted key belongs to that table.
    assert document.place(name.replace("quoted key", "quotedkey")) == expected


def test_a_title_stands_for_the_path(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("port = 1")
    assert read_document(tmp_path / "c.toml", title="mine").place("port") == "mine:1"


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b"\xef\xbb\xbfport = 1\r\nhost = 'x'\r\n")
    document = read_document(path)
    assert document.table == {"port": 1, "host": "x"}
    assert document.place("host") == "c.toml:2"


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("port = 1\nhost = x\n", "c.toml:2:8"),
        ("a = 1\nb = [", "c.toml:2:6"),
        ("b = ", "c.toml:1:5"),
        ("=", "c.toml:1:1"),
    ],
)
def test_a_syntax_error_is_reported_with_line_and_column(tmp_path: Path, content: str, place: str) -> None:
    (tmp_path / "c.toml").write_text(content)
    error = refusal(tmp_path / "c.toml")
    assert error.code == "config-syntax"
    assert error.message.startswith(f"{place}: not TOML: ")
    assert "(at " not in error.message


def test_a_bottomless_nesting_is_a_syntax_error(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("a = " + "[" * 5000)
    assert refusal(tmp_path / "c.toml").code == "config-syntax"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"\xff\xfe\x00", "not UTF-8"), (b"a = 'ok'\n\x80", "byte 9"), (b"#" * 1_048_577, "1 MiB")],
)
def test_a_file_that_is_no_text_is_unreadable(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "c.toml").write_bytes(content)
    error = refusal(tmp_path / "c.toml")
    assert error.code == "config-unreadable"
    assert reason in error.message


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes(b"#" * 1_048_576)
    assert read_document(tmp_path / "c.toml").table == {}


def test_a_folder_in_the_files_place_is_unreadable(project: Path) -> None:
    (project / "webhookctl.toml").mkdir()
    with pytest.raises(UsageError) as failure:
        find_project_document(project)
    assert failure.value.code == "config-unreadable"


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    error = refusal(tmp_path / "c.toml")
    assert (error.code, str(tmp_path / "c.toml") in error.message) == ("config-missing", True)


@pytest.mark.parametrize("content", ["tool = 1", "[tool]\nwebhookctl = 1"])
def test_an_own_table_that_is_none_is_reported(tmp_path: Path, content: str) -> None:
    (tmp_path / "pyproject.toml").write_text(content)
    assert refusal(tmp_path / "pyproject.toml").code == "config-value"


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=200) | st.text("[]={}\"'#.\n abc019", max_size=60).map(str.encode))
def test_any_content_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    with suppress(UsageError):
        document = read_document(path)
        assert all(document.place(name).startswith("any.toml") for name in document.table)
