"""GitHub's API through a stand-in: webhooks made, changed, removed; pages; limits; refusals in clear words."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest

from tests.net.github_api import TOKEN, GithubApi, github_api
from tests.ports import free_port
from webhookctl.errors import EndpointError, UsageError, WebhookctlError
from webhookctl.model import Secret
from webhookctl.net.registrar import Hook, PastDelivery
from webhookctl.net.registrar.github import GithubRegistrar

T = TypeVar("T")
URL = "https://hooks.example.com/abc"
SECRET = Secret("s3cret")
NOW_S = 1_795_441_771.0


@pytest.fixture
def api() -> Iterator[GithubApi]:
    with github_api() as found:
        yield found


class Scene:
    """A registrar whose waits take no time."""

    def __init__(self, api_url: str, place: str = "sample/app", token: str = TOKEN) -> None:
        self.waits: list[float] = []
        self.registrar = GithubRegistrar(
            place,
            Secret(token, "env:GITHUB_TOKEN"),
            api_url=api_url,
            now_s=lambda: NOW_S,
            sleep=self.sleep,
            on_wait=self.waits.append,
        )

    async def sleep(self, _: float) -> None:
        await asyncio.sleep(0)

    def do(self, work: Callable[[GithubRegistrar], Awaitable[T]]) -> T:
        async def limited() -> T:
            async with asyncio.timeout(20):
                try:
                    return await work(self.registrar)
                finally:
                    await self.registrar.close()

        return asyncio.run(limited())


def refused(api: GithubApi, status: int, answer: object, **headers: str) -> WebhookctlError:
    api.answers = [(status, headers, answer)]
    with pytest.raises(WebhookctlError) as caught:
        Scene(api.url).do(lambda registrar: registrar.create(URL, secret=SECRET, events=["push"]))
    assert TOKEN not in caught.value.message + caught.value.hint
    return caught.value


def test_a_webhook_is_made_with_url_secret_and_events(api: GithubApi) -> None:
    made = Scene(api.url).do(
        lambda registrar: registrar.create(URL, secret=SECRET, events=["push", "issues"])
    )
    assert made == Hook("1002", URL, ("push", "issues"))
    hook = api.hooks[1002]
    assert hook["config"] == {"url": URL, "content_type": "json", "insecure_ssl": "0", "secret": "s3cret"}
    assert hook["active"] is True
    assert api.calls == ["POST /repos/sample/app/hooks"]
    assert api.headers[0]["X-GitHub-Api-Version"]
    assert api.headers[0]["Accept"] == "application/vnd.github+json"


def test_an_organisation_has_webhooks_too(api: GithubApi) -> None:
    Scene(api.url, "sample").do(lambda registrar: registrar.hooks())
    assert api.calls == ["GET /orgs/sample/hooks?per_page=100"]


@pytest.mark.parametrize("place", ["", "a/b/c", "a/", "/a", "a b/c", "../x", "a/..", "a/b?x"])
def test_another_place_is_refused(place: str) -> None:
    with pytest.raises(UsageError, match="no repository"):
        Scene("http://127.0.0.1:1", place)


def test_all_pages_are_read_and_what_is_no_webhook_is_left_out(api: GithubApi) -> None:
    api.page = 2
    for number in range(5):
        api.add_hook(f"{URL}/{number}")
    api.add_hook(URL, config={})
    found = Scene(api.url).do(lambda registrar: registrar.hooks())
    assert [hook.url for hook in found] == [f"{URL}/{number}" for number in range(5)]
    assert len(api.calls) == 3


def test_a_next_page_on_another_host_never_gets_the_token(api: GithubApi) -> None:
    api.answers = [(200, {"Link": '<http://127.0.0.1:9/steal>; rel="next"'}, [])]
    assert Scene(api.url).do(lambda registrar: registrar.hooks()) == []


def test_a_webhook_is_changed_and_removed_and_its_absence_is_no_error(api: GithubApi) -> None:
    hook_id = str(api.add_hook("https://old.example.com/"))
    changed = Scene(api.url).do(lambda registrar: registrar.update(hook_id, URL, secret=SECRET, events=["*"]))
    assert changed == Hook(hook_id, URL, ("*",))
    Scene(api.url).do(lambda registrar: registrar.remove(hook_id))
    assert api.hooks == {}
    Scene(api.url).do(lambda registrar: registrar.remove(hook_id))
    gone = Scene(api.url).do(lambda registrar: registrar.update(hook_id, URL, secret=SECRET, events=["*"]))
    assert gone is None


def test_attempts_are_read_back_to_the_time_given(api: GithubApi) -> None:
    hook_id = str(api.add_hook(URL))
    api.page = 2
    api.add_attempt(1, "g-1", "2026-11-20T00:00:00Z", 200)
    api.add_attempt(2, "g-2", "2026-11-23T10:00:00Z", 502)
    api.add_attempt(3, "g-3", "2026-11-23T11:00:00.123+00:00", 200, "issues")
    api.attempts.insert(1, {"id": "odd"})
    api.attempts.insert(1, {**api.attempts[0], "delivered_at": "yesterday"})

    async def read(registrar: GithubRegistrar) -> list[PastDelivery]:
        return [each async for each in registrar.deliveries(hook_id, since_s=NOW_S - 86_400 * 2)]

    found = Scene(api.url).do(read)
    assert [(each.id, each.delivery_id, each.event, each.is_success) for each in found] == [
        ("3", "g-3", "issues", True),
        ("2", "g-2", "push", False),
    ]


def test_a_delivery_is_asked_for_again(api: GithubApi) -> None:
    hook_id = str(api.add_hook(URL))
    Scene(api.url).do(lambda registrar: registrar.redeliver(hook_id, "77"))
    assert api.redelivered == [77]


def test_a_limit_that_ends_soon_is_waited_for(api: GithubApi) -> None:
    api.answers = [
        (403, {"Retry-After": "7"}, {"message": "secondary"}),
        (429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW_S) + 30)}, {}),
    ]
    scene = Scene(api.url)
    assert scene.do(lambda registrar: registrar.hooks()) == []
    assert scene.waits == [7.0, 30.0]


@pytest.mark.parametrize(
    "headers",
    [{"Retry-After": "3600"}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW_S) + 3600)}],
    ids=["asked", "reset"],
)
def test_a_limit_that_lasts_is_an_error(api: GithubApi, headers: dict[str, str]) -> None:
    api.answers = [(403, headers, {})]
    with pytest.raises(EndpointError, match="3,600 s"):
        Scene(api.url).do(lambda registrar: registrar.hooks())


def test_a_limit_that_does_not_end_is_an_error(api: GithubApi) -> None:
    api.answers = [(403, {}, {"message": "You have exceeded a rate limit"})] * 3
    with pytest.raises(EndpointError) as caught:
        Scene(api.url).do(lambda registrar: registrar.hooks())
    assert caught.value.code == "register-limited"
    assert len(api.calls) == 3


@pytest.mark.parametrize(
    ("status", "answer", "code", "word"),
    [
        (401, {"message": "Bad credentials"}, "register-unauthorised", "env:GITHUB_TOKEN"),
        (403, {"message": "Resource not accessible"}, "register-forbidden", "not accessible"),
        (404, {}, "register-unknown", "github:sample/app"),
        (
            422,
            {"message": "Failed", "errors": [{"message": "too many"}, {"field": "events"}]},
            "register-refused",
            "Failed; too many; events",
        ),
        (422, {"message": "Failed", "errors": "none"}, "register-refused", "Failed"),
        (301, {}, "register-unknown", "moved"),
        (500, b"<html>", "register-unreachable", "<html>"),
        (502, b"", "register-unreachable", "nothing said"),
        (503, {"errors": [7]}, "register-unreachable", "nothing said"),
        (200, b"<html>", "register-unreachable", "JSON"),
        (201, {"id": "x"}, "register-unreachable", "not a webhook"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_refusals_are_told_in_clear_words(
    api: GithubApi, status: int, answer: object, code: str, word: str
) -> None:
    error = refused(api, status, answer)
    assert error.code == code
    assert word in error.message


def test_an_api_that_is_not_there_is_told() -> None:
    with pytest.raises(EndpointError, match="refuses connections"):
        Scene(f"http://127.0.0.1:{free_port()}").do(lambda registrar: registrar.hooks())
