"""The webhook at the provider: made, taken up again, moved, left alone, removed; and what was missed asked for."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from webhookctl.errors import EndpointError, UsageError
from webhookctl.events import BackfillAsked, ErrorOccurred, Event, HookRegistered, HookRemoved
from webhookctl.model import Secret
from webhookctl.net.registrar import Hook, PastDelivery
from webhookctl.store.project import ProjectState
from webhookctl.store.registrations import Registration, Registrations, known_deliveries
from webhookctl.wiring.project import Project, open_project
from webhookctl.wiring.registering import Registering, RegisterPlan, registering

T = TypeVar("T")
PLACE = "github:sample/app"
URL, OTHER = "https://one.example.com", "https://two.example.com"
NOW_S = 1_795_441_800.0
DAY_S = 86_400.0


def run(work: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(20):
            return await work

    return asyncio.run(limited())


class Provider:
    """A registrar in memory; `calls` are what it was asked, in order."""

    def __init__(self) -> None:
        self.there: dict[str, Hook] = {}
        self.past: list[PastDelivery] = []
        self.calls: list[str] = []
        self.error: EndpointError | None = None
        self.hold: asyncio.Event | None = None
        self.is_closed = False
        self.secrets: list[str] = []

    async def hooks(self) -> list[Hook]:
        self.calls.append("hooks")
        return list(self.there.values())

    async def create(self, url: str, *, secret: Secret, events: Sequence[str]) -> Hook:
        self.calls.append(f"create {url}")
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error
        self.secrets.append(secret.reveal())
        hook = Hook(f"h{len(self.calls)}", url, tuple(events))
        self.there[hook.id] = hook
        return hook

    async def update(self, hook_id: str, url: str, *, secret: Secret, events: Sequence[str]) -> Hook | None:
        self.calls.append(f"update {hook_id} {url}")
        if hook_id not in self.there:
            return None
        self.there[hook_id] = Hook(hook_id, url, tuple(events))
        return self.there[hook_id]

    async def remove(self, hook_id: str) -> None:
        self.calls.append(f"remove {hook_id}")
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error
        self.there.pop(hook_id, None)

    async def deliveries(self, hook_id: str, *, since_s: float) -> AsyncIterator[PastDelivery]:
        for delivery in self.past:
            if delivery.attempted_at_s >= since_s:
                yield delivery

    async def redeliver(self, hook_id: str, attempt_id: str) -> None:
        self.calls.append(f"redeliver {attempt_id}")

    async def close(self) -> None:
        self.is_closed = True


class Scene:
    """One run of a listener in the project at `folder`."""

    def __init__(
        self, folder: Path, provider: Provider, *, is_kept: bool = False, is_answered_early: bool = False
    ) -> None:
        self.events: list[Event] = []
        self.provider = provider
        self.project = Project(open_project(folder).config, ProjectState(folder))
        self.hurried = asyncio.Event()
        self.registering = Registering(
            RegisterPlan(PLACE, is_kept=is_kept),
            self.project,
            provider,
            secret=Secret("s3cret"),
            emit=self.events.append,
            now_s=lambda: NOW_S,
            is_answered_early=is_answered_early,
        )

    @property
    def how(self) -> list[str]:
        return [event.how for event in self.events if isinstance(event, HookRegistered)]

    async def play(self, url: str = URL) -> None:
        await self.registering.put(url)
        await self.registering.leave(self.hurried)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "project" / ".git").mkdir(parents=True)
    return tmp_path / "project"


def leftover(folder: Path, hook_id: str = "h-old", **changes: Any) -> Registration:
    registration = Registration(PLACE, hook_id, OTHER, 2**22 + 1, NOW_S - DAY_S, True)
    for name, value in changes.items():
        registration = Registration(
            **{**{f: getattr(registration, f) for f in registration.__slots__}, name: value}
        )
    Registrations(ProjectState(folder)).remember(registration)
    return registration


def test_a_webhook_is_made_and_removed_and_nothing_is_remembered(folder: Path) -> None:
    provider = Provider()
    scene = Scene(folder, provider)
    run(scene.play())
    assert provider.calls == ["hooks", f"create {URL}", "remove h2"]
    assert provider.secrets == ["s3cret"]
    assert provider.is_closed
    assert scene.how == ["made"]
    assert isinstance(scene.events[-1], HookRemoved)
    assert Registrations(scene.project.state).find(PLACE) is None


def test_one_that_a_crash_left_is_taken_up_again(folder: Path) -> None:
    provider = Provider()
    provider.there["h-old"] = Hook("h-old", OTHER, ("push",))
    leftover(folder)
    scene = Scene(folder, provider)
    run(scene.play())
    assert provider.calls == [f"update h-old {URL}", "remove h-old"]
    assert scene.how == ["taken up again"]


def test_one_that_is_gone_meanwhile_is_made_anew(folder: Path) -> None:
    provider = Provider()
    leftover(folder)
    run(Scene(folder, provider).play())
    assert provider.calls == [f"update h-old {URL}", "hooks", f"create {URL}", "remove h3"]


def test_one_that_another_listener_of_the_project_uses_is_left_alone(folder: Path) -> None:
    provider = Provider()
    provider.there["h-old"] = Hook("h-old", OTHER, ("push",))
    leftover(folder, pid=os.getpid())
    state = ProjectState(folder)
    with state.announce("http://127.0.0.1:1", pid=os.getpid()):
        run(Scene(folder, provider).play())
    assert "h-old" in provider.there
    assert provider.calls[0] == "hooks"


def test_somebody_elses_webhook_for_this_url_is_used_and_never_touched(folder: Path) -> None:
    provider = Provider()
    provider.there["theirs"] = Hook("theirs", URL + "/", ("push",))
    for _ in range(2):
        scene = Scene(folder, provider)
        run(scene.play())
        assert scene.how == ["there already"]
    assert provider.calls == ["hooks", "hooks"]
    assert "theirs" in provider.there


def test_a_new_url_moves_the_webhook(folder: Path) -> None:
    async def scene() -> None:
        provider = Provider()
        scene = Scene(folder, provider)
        await scene.registering.put(URL)
        await scene.registering.put(OTHER)
        assert scene.how == ["made", "moved"]
        assert [hook.url for hook in provider.there.values()] == [OTHER]

    run(scene())


def test_one_that_shall_stay_stays_and_is_taken_up_by_the_next_run(folder: Path) -> None:
    provider = Provider()
    run(Scene(folder, provider, is_kept=True).play())
    assert list(provider.there) == ["h2"]
    scene = Scene(folder, provider)
    run(scene.play(OTHER))
    assert scene.how == ["taken up again"]
    assert provider.there == {}


def test_leaving_while_it_is_being_made_waits_for_it_and_removes_it(folder: Path) -> None:
    async def scene() -> None:
        provider = Provider()
        provider.hold = asyncio.Event()
        scene = Scene(folder, provider)
        putting = asyncio.ensure_future(scene.registering.put(URL))
        while len(provider.calls) < 2:
            await asyncio.sleep(0)
        putting.cancel()
        leaving = asyncio.ensure_future(scene.registering.leave(scene.hurried))
        await asyncio.sleep(0)
        provider.hold.set()
        await leaving
        assert provider.calls == ["hooks", f"create {URL}", "remove h2"]
        assert provider.there == {}

    run(scene())


def test_leaving_after_it_could_not_be_made_is_quiet(folder: Path) -> None:
    async def scene() -> None:
        provider = Provider()
        provider.error = EndpointError("register-unreachable", "no network")
        scene = Scene(folder, provider)
        with pytest.raises(EndpointError):
            await scene.registering.put(URL)
        await scene.registering.leave(scene.hurried)
        assert scene.events == []
        assert provider.is_closed

    run(scene())


def test_one_that_cannot_be_removed_is_told_and_remembered(folder: Path) -> None:
    async def scene() -> None:
        provider = Provider()
        scene = Scene(folder, provider)
        await scene.registering.put(URL)
        provider.error = EndpointError("register-unreachable", "no network")
        await scene.registering.leave(scene.hurried)
        told = scene.events[-1]
        assert isinstance(told, ErrorOccurred)
        assert told.code == "register-left"
        assert "no network" in told.message
        known = Registrations(scene.project.state).find(PLACE)
        assert known is not None
        assert known.hook_id == "h2"

    run(scene())


def test_a_second_interrupt_does_not_wait_for_the_removal(folder: Path) -> None:
    async def scene() -> None:
        provider = Provider()
        scene = Scene(folder, provider)
        await scene.registering.put(URL)
        provider.hold = asyncio.Event()
        scene.hurried.set()
        await scene.registering.leave(scene.hurried)
        assert isinstance(scene.events[-1], ErrorOccurred)
        assert provider.is_closed

    run(scene())


def past(number: int, delivery_id: str, at_s: float, *, is_success: bool) -> PastDelivery:
    return PastDelivery(str(number), delivery_id, "push", at_s, is_success)


def history_with(folder: Path, *delivery_ids: str) -> None:
    path = ProjectState(folder).create() / "history.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE exchange (id INTEGER PRIMARY KEY, provider TEXT, delivery_id TEXT)")
        database.executemany(
            "INSERT INTO exchange (provider, delivery_id) VALUES ('github', ?)",
            [(each,) for each in delivery_ids],
        )
        database.commit()


def backfilled(folder: Path, provider: Provider, *, is_answered_early: bool = False) -> Scene:
    async def scene() -> Scene:
        scene = Scene(folder, provider, is_answered_early=is_answered_early)
        await scene.registering.put(URL)
        await scene.registering.backfill()
        return scene

    return run(scene())


def asked(provider: Provider) -> list[str]:
    return [call.removeprefix("redeliver ") for call in provider.calls if call.startswith("redeliver")]


def test_what_failed_is_asked_for_again_once_each_and_the_oldest_first(folder: Path) -> None:
    provider = Provider()
    provider.past = [
        past(9, "g-1", NOW_S - 10, is_success=False),
        past(8, "g-2", NOW_S - 20, is_success=True),
        past(7, "g-1", NOW_S - 30, is_success=False),
        past(6, "g-3", NOW_S - 40, is_success=False),
        past(5, "g-2", NOW_S - 50, is_success=False),
        past(4, "g-4", NOW_S - 60, is_success=False),
        past(3, "g-5", NOW_S - 4 * DAY_S, is_success=False),
    ]
    history_with(folder, "g-4")
    scene = backfilled(folder, provider)
    assert asked(provider) == ["6", "9"]
    assert [(event.asked, event.total) for event in scene.events if isinstance(event, BackfillAsked)] == [
        (0, 2),
        (2, 2),
    ]


def test_behind_a_relay_that_answers_early_success_counts_only_when_it_was_seen(folder: Path) -> None:
    provider = Provider()
    provider.there["h-old"] = Hook("h-old", URL, ("push",))
    provider.past = [
        past(3, "g-3", NOW_S - 10, is_success=True),
        past(2, "g-2", NOW_S - 20, is_success=True),
        past(1, "g-1", NOW_S - 2 * DAY_S, is_success=True),
    ]
    leftover(folder)
    history_with(folder, "g-3")
    backfilled(folder, provider, is_answered_early=True)
    assert asked(provider) == ["2"]


def test_success_is_enough_otherwise_and_progress_is_told_now_and_then(folder: Path) -> None:
    provider = Provider()
    provider.past = [
        past(number, f"g-{number}", NOW_S - number, is_success=number % 2 == 0) for number in range(50)
    ]
    scene = backfilled(folder, provider)
    assert len(asked(provider)) == 25
    told = [event.asked for event in scene.events if isinstance(event, BackfillAsked)]
    assert told == [0, 10, 20, 25]


def test_without_a_webhook_there_is_nothing_to_ask_for(folder: Path) -> None:
    scene = Scene(folder, Provider())
    run(scene.registering.backfill())
    assert scene.events == []


def test_damaged_notes_count_as_none(folder: Path) -> None:
    state = ProjectState(folder)
    leftover(folder)
    for text in (
        "{",
        "[1]",
        "{}",
        '[{"place": "x"}]',
        '[{"place":"github:sample/app","hook_id":"1","url":"","pid":"x","seen_at_s":0,"is_ours":true}]',
    ):
        (state.folder / "registrations.json").write_text(text)
        assert Registrations(state).find(PLACE) is None


def test_a_history_that_cannot_be_read_knows_nothing(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    assert known_deliveries(path, "github", ["a"]) == frozenset()
    path.write_bytes(b"no database at all, but long enough to be looked at" * 10)
    assert known_deliveries(path, "github", ["a"]) == frozenset()
    assert known_deliveries(path, "github", []) == frozenset()


@pytest.mark.parametrize("place", ["github", "github:", "gitlab:a/b", "a/b"])
def test_another_provider_is_refused(folder: Path, place: str) -> None:
    with pytest.raises(UsageError) as caught:
        registering(
            RegisterPlan(place),
            open_project(folder),
            secrets=(),
            emit=lambda _: None,
            is_answered_early=False,
        )
    assert caught.value.code == "register-invalid"


def test_the_token_comes_from_the_environment_or_a_reference(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from webhookctl.config import github_access

    assert github_access(None, environ={"GH_TOKEN": "b", "GITHUB_TOKEN": "a"})[0].reveal() == "a"
    secret, url = github_access(None, environ={"GH_TOKEN": "b ", "GITHUB_API_URL": "http://x"})
    assert (secret.reveal(), secret.origin, url) == ("b", "env:GH_TOKEN", "http://x")
    assert github_access("env:MINE", environ={"MINE": "c", "GITHUB_TOKEN": "a"})[0].reveal() == "c"
    with pytest.raises(UsageError) as caught:
        github_access(None, environ={"GITHUB_TOKEN": " "})
    assert caught.value.code == "register-token-missing"
    monkeypatch.setenv("GITHUB_TOKEN", "sample")
    made = registering(
        RegisterPlan(PLACE), open_project(folder), secrets=(), emit=lambda _: None, is_answered_early=False
    )
    assert isinstance(made, Registering)
