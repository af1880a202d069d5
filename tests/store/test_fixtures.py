"""The fixture folder on a real disk."""

import errno
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from webhookctl.errors import FixtureError, UsageError
from webhookctl.fixture import Fixture, dump
from webhookctl.model import Request
from webhookctl.store import fixtures
from webhookctl.store.fixtures import FixtureFolder, Problem

ROOT = Path(__file__).parents[2]
BODY = b'{"a":1}'


def sample(name: str = "push", *, provider: str | None = "github", body: bytes = BODY) -> Fixture:
    return Fixture(name=name, provider=provider, event=name, request=Request("POST", "/", (), body))


def saved(folder: FixtureFolder, fixture: Fixture) -> Path:
    path = folder.save(fixture)
    assert path is not None
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_fixture_is_saved_beside_its_body_and_loaded_again(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path / "made" / "fixtures")
    path = saved(folder, sample())
    assert names(folder.root) == [".gitattributes", "github/push.body.json", "github/push.toml"]
    assert path == folder.root / "github" / "push.toml"
    loaded = folder.load(path)
    assert (loaded.name, loaded.request, loaded.is_edited) == ("push", sample().request, False)
    assert path.with_name("push.body.json").read_bytes() == b'{\n  "a": 1\n}\n'


def test_nobody_else_may_read_what_was_saved(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path / "fixtures")
    path = saved(folder, sample())
    for file in (path, path.with_name("push.body.json")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for directory in (folder.root, path.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_further_fixtures_of_an_event_are_numbered_up_to_the_limit(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path)
    paths = [folder.save(sample(), limit=3) for _ in range(5)]
    assert [path and path.name for path in paths] == ["push.toml", "push-2.toml", "push-3.toml", None, None]
    assert FixtureFolder(tmp_path).save(sample(), limit=3) is None
    unlimited = folder.save(sample(), limit=None)
    assert unlimited == tmp_path / "github" / "push-4.toml"
    for path in [*paths[:3], unlimited]:
        assert path is not None
        assert folder.load(path).request.body == BODY


def test_events_and_providers_are_counted_apart(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path)
    for fixture in (sample(), sample("pull"), sample(provider="gitlab"), sample(provider=None)):
        folder.save(fixture, limit=1)
    assert [path for path in names(tmp_path) if path.endswith(".toml")] == [
        "github/pull.toml",
        "github/push.toml",
        "gitlab/push.toml",
        "unknown/push.toml",
    ]


def test_a_deleted_fixture_makes_room_again(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path)
    first = saved(folder, sample())
    for _ in range(2):
        folder.save(sample(), limit=2)
    assert folder.save(sample(), limit=2) is None
    os.utime(first.parent, ns=(0, 0))  # however coarse the clock of the file system is
    first.unlink()
    first.with_name("push.body.json").unlink()
    assert folder.save(sample(), limit=2) == first
    assert folder.save(sample(), limit=2) is None


def test_a_full_event_costs_no_further_look_at_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = FixtureFolder(tmp_path)
    assert folder.save(sample(), limit=1)
    assert folder.save(sample(), limit=1) is None
    monkeypatch.setattr(os.path, "lexists", lambda path: pytest.fail(f"looked at {path}"))
    assert folder.save(sample(), limit=1) is None


def test_a_number_whose_body_file_is_there_already_is_passed_over(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path)
    (tmp_path / "github").mkdir()
    orphan = tmp_path / "github" / "push.body.json"
    orphan.write_bytes(b"mine")
    assert saved(folder, sample()).name == "push-2.toml"
    assert orphan.read_bytes() == b"mine"


@pytest.mark.parametrize(
    "hostile",
    [
        "../../x",
        "/etc/passwd",
        "..",
        "con",
        "a" * 5000,
        "zażółć gęślą/jaźń",
        "a\x00b\x1b]52;c;\x07",
        ".git/config",
        ".gitattributes",
        "-rf",
        "\ud800",
        "",
    ],
    ids=lambda text: repr(text)[:20],
)
def test_hostile_names_stay_inside_and_plain(tmp_path: Path, hostile: str) -> None:
    root = tmp_path / "deep" / "fixtures"
    folder = FixtureFolder(root)
    path = saved(folder, sample(hostile, provider=hostile))
    assert path.parent.parent == root
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*\.toml", path.name)
    assert folder.load(path).request == sample().request
    assert len(names(tmp_path)) == 3


def test_a_provider_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    root = tmp_path / "fixtures"
    root.mkdir()
    (root / "github").symlink_to(elsewhere)
    with pytest.raises(UsageError, match="is a symbolic link") as caught:
        FixtureFolder(root).save(sample())
    assert caught.value.code == "fixtures-unwritable"
    assert names(elsewhere) == []


@pytest.mark.parametrize("name", ["push.toml", "push.body.json"])
def test_a_link_in_the_place_of_a_file_is_left_alone(tmp_path: Path, name: str) -> None:
    target = tmp_path / "target"
    (tmp_path / "fixtures" / "github").mkdir(parents=True)
    (tmp_path / "fixtures" / "github" / name).symlink_to(target)
    assert saved(FixtureFolder(tmp_path / "fixtures"), sample()).name == "push-2.toml"
    assert not target.exists()


def test_git_attributes_of_the_user_stay(tmp_path: Path) -> None:
    (tmp_path / ".gitattributes").write_text("mine")
    saved(FixtureFolder(tmp_path), sample())
    assert (tmp_path / ".gitattributes").read_text() == "mine"


def test_a_root_deleted_meanwhile_is_made_again(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path / "fixtures")
    first = saved(folder, sample(body=b""))
    first.unlink()
    first.parent.rmdir()
    (folder.root / ".gitattributes").unlink()
    folder.root.rmdir()
    assert saved(folder, sample()).exists()
    assert (folder.root / ".gitattributes").exists()


def refuse(code: int) -> Callable[..., None]:
    def raise_error(*arguments: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    return raise_error


@pytest.mark.parametrize("step", ["fsync", "link", "open"])
def test_a_full_disk_is_an_error_that_names_the_folder_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    folder = FixtureFolder(tmp_path)
    saved(folder, sample())
    before = names(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, step, refuse(errno.ENOSPC))
        with pytest.raises(
            UsageError, match=r"cannot write fixtures to .*github: No space left on device"
        ) as caught:
            folder.save(sample())
    assert caught.value.code == "fixtures-unwritable"
    assert caught.value.hint
    assert names(tmp_path) == before


def test_a_root_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "fixtures").write_text("")
    with pytest.raises(UsageError, match="cannot write fixtures"):
        FixtureFolder(tmp_path / "fixtures").save(sample())


def test_the_body_is_taken_back_when_the_toml_cannot_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def link_bodies_only(source: Path, target: Path) -> None:
        if target.suffix == ".toml":
            raise OSError(errno.ENOSPC, "full")
        link(source, target)

    monkeypatch.setattr(os, "link", link_bodies_only)
    with pytest.raises(UsageError):
        FixtureFolder(tmp_path).save(sample())
    assert names(tmp_path) == [".gitattributes"]


def test_the_body_is_taken_back_when_another_process_was_quicker_with_the_toml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FixtureFolder(tmp_path).save(sample(body=b""))
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    assert saved(FixtureFolder(tmp_path), sample()).name == "push-2.toml"
    assert names(tmp_path / "github") == ["push-2.body.json", "push-2.toml", "push.toml"]


def test_without_hard_links_names_are_reserved_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    folder = FixtureFolder(tmp_path)
    paths = [saved(folder, sample()) for _ in range(2)]
    assert [path.name for path in paths] == ["push.toml", "push-2.toml"]
    with monkeypatch.context() as patched:
        patched.setattr(os.path, "lexists", lambda path: False)
        assert saved(FixtureFolder(tmp_path), sample()).name == "push-3.toml"
    assert len(names(tmp_path / "github")) == 6
    assert folder.load(paths[0]).request.body == BODY


def run_python(script: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=ROOT)


SAVE_MANY = """
import sys
from pathlib import Path
from webhookctl.fixture import Fixture
from webhookctl.model import Request
from webhookctl.store.fixtures import FixtureFolder
folder = FixtureFolder(Path(sys.argv[1]))
for number in range(25):
    body = f'{{"writer":"{sys.argv[2]}","number":{number}}}'.encode()
    folder.save(Fixture(name="push", provider="github", request=Request("POST", "/", (), body)), limit=None)
"""


def test_processes_that_save_at_once_lose_and_overwrite_nothing(tmp_path: Path) -> None:
    writers = [run_python(SAVE_MANY, str(tmp_path), str(writer)) for writer in range(4)]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    folder = FixtureFolder(tmp_path)
    paths = [entry.path for entry in folder.listing()]
    assert len(paths) == 100
    expected = {
        f'{{"writer":"{writer}","number":{number}}}'.encode() for writer in range(4) for number in range(25)
    }
    loaded = [folder.load(path) for path in paths]
    assert {fixture.request.body for fixture in loaded} == expected
    assert not any(fixture.is_edited for fixture in loaded)
    assert [name for name in names(tmp_path) if name.endswith(".tmp")] == []


DIE_BEFORE_TOML = """
import os, sys
link = os.link
os.link = lambda source, target: os._exit(9) if str(target).endswith(".toml") else link(source, target)
""" + SAVE_MANY.replace("25", "1")


def test_a_crash_between_body_and_toml_leaves_no_half_made_fixture(tmp_path: Path) -> None:
    assert run_python(DIE_BEFORE_TOML, str(tmp_path), "0").wait() == 9
    folder = FixtureFolder(tmp_path)
    assert (tmp_path / "github" / "push.body.json").exists()
    assert folder.listing() == []
    with pytest.raises(FixtureError):
        folder.resolve("push")
    assert saved(folder, sample()).name == "push-2.toml"
    assert [entry.path.name for entry in folder.listing()] == ["push-2.toml"]


def git(folder: Path, *arguments: str) -> None:
    environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True)


def checked_out_with_crlf(folder: Path) -> None:
    git(folder, "init", "--quiet")
    git(folder, "config", "core.autocrlf", "true")
    git(folder, "add", "--all")
    for file in names(folder):
        if not file.startswith(".git/"):
            (folder / file).unlink()
    git(folder, "checkout", "--", ".")


LINES = b"a=1\nb=2\n"


def test_a_checkout_with_crlf_leaves_bodies_alone_thanks_to_git_attributes(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path)
    paths = [saved(folder, sample(body=LINES)), saved(folder, sample("json"))]
    checked_out_with_crlf(tmp_path)
    assert b"\r\n" in paths[0].read_bytes()
    assert [folder.load(path).request.body for path in paths] == [LINES, BODY]
    assert not any(entry.is_edited or entry.problem for entry in folder.listing())


def test_a_checkout_with_crlf_and_without_git_attributes_is_found_out(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path)
    text, json_path = saved(folder, sample(body=LINES)), saved(folder, sample("json"))
    (tmp_path / ".gitattributes").unlink()
    checked_out_with_crlf(tmp_path)
    with pytest.raises(FixtureError, match="converted from LF to CRLF") as caught:
        folder.load(text)
    assert caught.value.code == "fixture-line-endings"
    assert folder.load(json_path).request.body == BODY
    assert not folder.load(json_path).is_edited


def test_a_body_edited_in_place_is_listed_as_edited(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path)
    path = saved(folder, sample())
    path.with_name("push.body.json").write_bytes(b'{"a": 2}')
    (entry,) = folder.listing()
    assert (entry.path, entry.provider, entry.event, entry.received_at) == (path, "github", "push", None)
    assert (entry.size, entry.is_edited, entry.problem) == (7, True, "")


def test_a_broken_fixture_is_listed_with_its_problem(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path)
    path = saved(folder, sample())
    path.with_name("push.body.json").unlink()
    (entry,) = folder.listing()
    assert entry.provider == "github"
    assert entry.problem == f"{path}: its body file push.body.json is missing"
    assert FixtureFolder(tmp_path / "none").listing() == []


def test_a_missing_body_is_an_error_of_its_own(tmp_path: Path) -> None:
    path = saved(FixtureFolder(tmp_path), sample())
    path.with_name("push.body.json").unlink()
    with pytest.raises(FixtureError) as caught:
        FixtureFolder(tmp_path).load(path)
    assert caught.value.code == "fixture-body-missing"


def test_what_is_not_a_plain_file_is_not_read(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path)
    path = saved(folder, sample())
    body = path.with_name("push.body.json")
    body.unlink()
    os.mkfifo(body)
    with pytest.raises(FixtureError, match="is not a plain file"):
        folder.load(path)
    with pytest.raises(FixtureError, match="No such file") as caught:
        folder.load(tmp_path / "absent.toml")
    assert caught.value.code == "fixture-unreadable"


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path)
    path = saved(folder, sample())
    with path.with_name("push.body.json").open("r+b") as file:
        file.truncate(fixtures.MAX_FILE_BYTES + 1)
    with pytest.raises(FixtureError, match="the limit is 268,435,456") as caught:
        folder.load(path)
    assert caught.value.code == "fixture-too-large"


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FixtureFolder:
    folder = FixtureFolder(tmp_path / "fixtures")
    for name, provider in [
        ("push", "github"),
        ("push", "github"),
        ("push", "gitlab"),
        ("pull_request.opened", "github"),
        ("orders-paid", "shopify"),
    ]:
        saved(folder, sample(name, provider=provider))
    (folder.root / "github" / ".hidden.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("pull_request.opened", ["github/pull_request.opened"]),
        ("github/push", ["github/push"]),
        ("github/push.toml", ["github/push"]),
        ("push-2", ["github/push-2"]),
        ("orders/paid", ["shopify/orders-paid"]),
        ("shopify/orders/paid", ["shopify/orders-paid"]),
        ("fixtures/github/push.toml", ["github/push"]),
        ("fixtures/github/push.body.json", ["github/push"]),
        ("gitlab", ["gitlab/push"]),
        ("fixtures/github", ["github/pull_request.opened", "github/push-2", "github/push"]),
        ("github/", ["github/pull_request.opened", "github/push-2", "github/push"]),
        ("github/push*", ["github/push-2", "github/push"]),
        ("push", None),
        ("p*", ["github/pull_request.opened", "github/push-2", "github/push", "gitlab/push"]),
        ("fixtures/git*/push.toml", ["github/push", "gitlab/push"]),
    ],
)
def test_a_target_means_the_fixtures_a_user_would_expect(
    shelf: FixtureFolder, target: str, expected: list[str] | None
) -> None:
    if expected is None:
        with pytest.raises(
            FixtureError, match="push stands for 2 fixtures: github/push, gitlab/push"
        ) as caught:
            shelf.resolve(target)
        assert caught.value.code == "fixture-ambiguous"
        return
    found = [
        path.resolve().relative_to(shelf.root).with_suffix("").as_posix() for path in shelf.resolve(target)
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("pusch-2", "did you mean github/push-2"),
        ("githup/pull_request.opened", "did you mean github/pull_request.opened"),
        ("zzzzzz", "webhookctl fixtures list"),
        ("zzz*", "webhookctl fixtures list"),
        ("", "webhookctl fixtures list"),
        ("fixtures/github/absent.body.json", ""),
        ("x" * 5000, "webhookctl fixtures list"),
        ("a\x00b", "webhookctl fixtures list"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_an_unknown_target_is_an_error_with_suggestions(shelf: FixtureFolder, target: str, hint: str) -> None:
    with pytest.raises(FixtureError, match="no fixture is called") as caught:
        shelf.resolve(target)
    assert caught.value.code == "fixture-unknown"
    assert caught.value.hint.startswith(hint)


def test_a_folder_of_a_whole_project_means_its_fixtures_and_nothing_else(tmp_path: Path) -> None:
    wanted = [
        saved(FixtureFolder(tmp_path / "fixtures"), sample()),
        saved(FixtureFolder(tmp_path / "fixtures"), sample("signed.contract")),
        saved(FixtureFolder(tmp_path / "elsewhere"), sample()),
    ]
    for name in ("webhookctl.toml", "pyproject.toml", "contracts/github.contract.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('version = 1\nname = "none"\n')
    for hidden in (".webhookctl", ".venv/lib", "node_modules/some"):
        saved(FixtureFolder(tmp_path / hidden), sample())
    assert FixtureFolder(tmp_path / "fixtures").resolve(str(tmp_path)) == sorted(wanted)
    unreadable = tmp_path / "broken.contract.toml"
    unreadable.symlink_to(unreadable)
    assert FixtureFolder(tmp_path / "fixtures").resolve(str(tmp_path)) == sorted(wanted)


def test_an_absolute_path_is_found_from_anywhere(shelf: FixtureFolder) -> None:
    path = shelf.root / "github" / "push.toml"
    assert shelf.resolve(str(path)) == [path]


def test_lint_reports_broken_fixtures_and_is_silent_about_good_ones(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path)
    good, broken = saved(folder, sample()), saved(folder, sample("broken"))
    broken.write_text("format = 9")
    assert folder.lint([good, broken], secrets=True) == [
        Problem(
            broken,
            "fixture-format",
            f"{broken}: format is 9; this webhookctl knows format 1",
            "a newer webhookctl may have written it: upgrade",
        )
    ]


def test_lint_finds_secrets_by_place_and_by_form_without_showing_them(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path)
    key = "whsec" + "_" + "A1" * 16
    request = Request(
        "POST",
        "/",
        ((b"content-type", b"application/json"), (b"Cookie", b"a"), (b"X-Key", key.encode())),
        f'{{"password":"hidden-one","note":"{key}"}}'.encode(),
    )
    path = saved(folder, replace(sample(), request=request))
    problems = folder.lint([path], secrets=True)
    assert [problem.message for problem in problems] == [
        "header Cookie is not redacted",
        "body field password is not redacted",
        "holds a webhook secret (whsec_)",
        "the body holds a webhook secret (whsec_)",
    ]
    assert {problem.code for problem in problems} == {"fixture-secret"}
    assert key not in repr(problems)
    assert folder.lint([path], secrets=False) == []


def test_formatting_settles_the_layout_and_keeps_the_request(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path)
    path = saved(folder, sample())
    assert not folder.format_file(path)
    tidy = [file.read_bytes() for file in (path, path.with_name("push.body.json"))]
    path.write_bytes(b"# mine\n" + path.read_bytes().replace(b" = ", b"="))
    assert folder.format_file(path)
    path.with_name("push.body.json").write_bytes(b'{"a"   :1}')
    assert folder.format_file(path)
    assert [file.read_bytes() for file in (path, path.with_name("push.body.json"))] == tidy
    assert names(path.parent) == ["push.body.json", "push.toml"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_formatting_keeps_an_edit_an_edit(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path)
    path = saved(folder, sample())
    path.with_name("push.body.json").write_bytes(b'{"a":\n2}')
    assert folder.format_file(path)
    assert path.with_name("push.body.json").read_bytes() == b'{\n  "a": 2\n}\n'
    assert folder.load(path).is_edited
    assert folder.load(path).request.body == b'{"a":2}'


def test_formatting_leaves_a_fixture_without_a_body_without_one(tmp_path: Path) -> None:
    folder = FixtureFolder(tmp_path)
    path = saved(folder, sample(body=b""))
    path.write_bytes(path.read_bytes() + b"# more\n")
    assert folder.format_file(path)
    assert path.read_bytes() == dump(sample(body=b"")).toml
    assert names(path.parent) == ["push.toml"]


def test_formatting_on_a_full_disk_leaves_the_fixture_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = FixtureFolder(tmp_path)
    path = saved(folder, sample())
    path.write_bytes(b"# mine\n" + path.read_bytes())
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", refuse(errno.ENOSPC))
    with pytest.raises(UsageError, match="No space left on device"):
        folder.format_file(path)
    assert path.read_bytes() == before
    assert names(path.parent) == ["push.body.json", "push.toml"]
