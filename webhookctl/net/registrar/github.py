"""Webhooks of a GitHub repository or organisation, through GitHub's REST API (docs.github.com/rest, webhooks).

Knows neither listener nor history; the token goes to the API alone and is never shown.
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp

from webhookctl import __version__
from webhookctl.errors import EndpointError, UsageError, WebhookctlError
from webhookctl.model import Secret
from webhookctl.net.dialling import is_loopback, why
from webhookctl.net.registrar import Hook, PastDelivery

API_URL = "https://api.github.com"
_VERSION = "2022-11-28"
_TIMEOUT_S = 30.0
_MAX_WAIT_S = 120.0  # a limit that is over sooner is waited for
_MAX_TRIES = 3
_MAX_BYTES = 16 * 1024 * 1024
_MAX_PAGES = 50
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_NEXT = re.compile(r'<([^<>]+)>\s*;[^,]*\brel="?next"?')
_RIGHTS_HINT = (
    "the token needs the right to manage webhooks: classic admin:repo_hook (admin:org_hook for an organisation), "
    "fine-grained Webhooks: read and write"
)


class GithubRegistrar:
    """The webhooks of `place`: ``owner/repo`` or ``org``. `now_s` gives Unix time, `sleep` waits for a limit to end.

    Raises UsageError `register-invalid` for another place.
    """

    def __init__(
        self,
        place: str,
        token: Secret,
        *,
        api_url: str,
        now_s: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        on_wait: Callable[[float], None] = lambda _: None,
    ) -> None:
        names = place.split("/")
        if len(names) > 2 or not all(_NAME.fullmatch(name) and name.strip(".") for name in names):
            raise UsageError(
                "register-invalid",
                f"--register github:{place}: that is no repository",
                "write github:OWNER/REPO, or github:ORGANISATION",
            )
        self._place = place
        self._token = token
        self._api_url = api_url.rstrip("/")
        self._root = f"{self._api_url}/{'repos' if len(names) == 2 else 'orgs'}/{place}/hooks"
        self._now_s = now_s
        self._sleep = sleep
        self._on_wait = on_wait
        self._session: aiohttp.ClientSession | None = None

    async def hooks(self) -> list[Hook]:
        return [
            hook
            async for page in self._pages(f"{self._root}?per_page=100")
            for hook in map(_hook, page)
            if hook
        ]

    async def create(self, url: str, *, secret: Secret, events: Sequence[str]) -> Hook:
        _, made, _ = await self._call("POST", self._root, {"name": "web", **_settings(url, secret, events)})
        return _required(_hook(made))

    async def update(self, hook_id: str, url: str, *, secret: Secret, events: Sequence[str]) -> Hook | None:
        status, made, _ = await self._call(
            "PATCH", self._url(hook_id), _settings(url, secret, events), is_absence_fine=True
        )
        return None if status == 404 else _required(_hook(made))

    async def remove(self, hook_id: str) -> None:
        await self._call("DELETE", self._url(hook_id), is_absence_fine=True)

    async def deliveries(self, hook_id: str, *, since_s: float) -> AsyncIterator[PastDelivery]:
        async for page in self._pages(f"{self._url(hook_id)}/deliveries?per_page=100"):
            for record in page:
                delivery = _delivery(record)
                if delivery is None:
                    continue
                if delivery.attempted_at_s < since_s:
                    return
                yield delivery

    async def redeliver(self, hook_id: str, attempt_id: str) -> None:
        await self._call("POST", f"{self._url(hook_id)}/deliveries/{quote(attempt_id, safe='')}/attempts")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _url(self, hook_id: str) -> str:
        return f"{self._root}/{quote(hook_id, safe='')}"

    async def _pages(self, url: str) -> AsyncIterator[list[Any]]:
        for _ in range(_MAX_PAGES):
            _, page, link = await self._call("GET", url)
            yield page if isinstance(page, list) else []
            following = _NEXT.search(link)
            # Only to the API itself: the token goes along.
            if following is None or urlsplit(following[1])[:2] != urlsplit(self._api_url)[:2]:
                return
            url = following[1]

    async def _call(
        self, method: str, url: str, body: dict[str, Any] | None = None, *, is_absence_fine: bool = False
    ) -> tuple[int, Any, str]:
        """Status, the answer's JSON, its Link field. Waits for a limit that is over soon. Raises for refusals."""
        status, headers, text = await self._exchange(method, url, body)
        tries = 1
        while (wait_s := _limited_s(status, headers, text, self._now_s())) is not None:
            if tries == _MAX_TRIES or wait_s > _MAX_WAIT_S:
                raise EndpointError(
                    "register-limited",
                    f"GitHub's limit of requests is used up for the next {wait_s:,.0f} s",
                    "wait for that long, then start again",
                )
            tries += 1
            self._on_wait(wait_s)
            await self._sleep(wait_s)
            status, headers, text = await self._exchange(method, url, body)
        if status >= 300 and not (is_absence_fine and status == 404):
            raise self._refusal(method, status, text)
        try:
            return status, json.loads(text) if text.strip() else None, headers.get("Link", "")
        except (ValueError, RecursionError) as error:
            raise EndpointError(
                "register-unreachable", f"{self._api_url} does not answer in JSON: is it GitHub's API?"
            ) from error

    async def _exchange(
        self, method: str, url: str, body: dict[str, Any] | None
    ) -> tuple[int, Mapping[str, str], str]:
        if self._session is None:
            self._session = self._new_session()
        try:
            async with self._session.request(method, url, json=body, allow_redirects=False) as response:
                data = await response.content.read(_MAX_BYTES)
                while more := await response.content.read(_MAX_BYTES - len(data)):
                    data += more
                return response.status, response.headers, data.decode("utf-8", "replace")
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            host = urlsplit(self._api_url).hostname or ""
            cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            raise EndpointError(
                "register-unreachable",
                f"GitHub's API at {self._api_url} cannot be reached: {why(cause, host)}",
                "check the network, and GITHUB_API_URL if you set it",
            ) from error

    def _new_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self._token.reveal()}",
                "User-Agent": f"webhookctl/{__version__}",
                "X-GitHub-Api-Version": _VERSION,
            },
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            trust_env=not is_loopback(urlsplit(self._api_url).hostname or ""),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def _refusal(self, method: str, status: int, text: str) -> WebhookctlError:
        said = _said(text)
        where = f"github:{self._place}"
        match status:
            case 401:
                return UsageError(
                    "register-unauthorised",
                    f"GitHub does not accept the token ({self._token.origin})",
                    "it may have expired: make a new one, and export GITHUB_TOKEN=…",
                )
            case 403:
                message = f"the token may not manage webhooks of {where}: {said}"
                return UsageError("register-forbidden", message, _RIGHTS_HINT)
            case 404:
                message = f"GitHub knows no {where}, or the token may not see its webhooks"
                return UsageError("register-unknown", message, f"check the name; {_RIGHTS_HINT}")
            case 422:
                return UsageError(
                    "register-refused",
                    f"GitHub refuses the webhook of {where}: {said}",
                    "check --register-events, and that the URL can be reached from the Internet",
                )
            case _ if 300 <= status < 400:
                return UsageError(
                    "register-unknown", f"{where} has moved or was renamed", "use its new name in --register"
                )
        return EndpointError(
            "register-unreachable", f"GitHub answered {status} to {method}: {said}", "try again in a while"
        )


def _settings(url: str, secret: Secret, events: Sequence[str]) -> dict[str, Any]:
    config = {"url": url, "content_type": "json", "insecure_ssl": "0", "secret": secret.reveal()}
    return {"active": True, "events": list(events), "config": config}


def _hook(record: object) -> Hook | None:
    match record:
        case {"id": int(identity), "config": {"url": str(url)}, "events": list(events)}:
            return Hook(str(identity), url, tuple(str(event) for event in events))
    return None


def _required(hook: Hook | None) -> Hook:
    if hook is None:
        raise EndpointError("register-unreachable", "GitHub's answer is not a webhook: is it GitHub's API?")
    return hook


def _delivery(record: object) -> PastDelivery | None:
    match record:
        case {
            "id": int(identity),
            "guid": str(delivery_id),
            "delivered_at": str(at),
            "status_code": int(status),
            "event": str(event),
        }:
            try:
                at_s = datetime.fromisoformat(at).timestamp()
            except (ValueError, OverflowError):
                return None
            return PastDelivery(str(identity), delivery_id, event, at_s, 200 <= status < 300)
    return None


def _limited_s(status: int, headers: Mapping[str, str], text: str, now_s: float) -> float | None:
    """How long a limit of requests still lasts, None when there is none (docs: rate limits, secondary limits)."""
    if status not in (403, 429):
        return None
    asked, left, reset = (
        headers.get(name, "") for name in ("Retry-After", "X-RateLimit-Remaining", "X-RateLimit-Reset")
    )
    if asked.isdecimal():
        return float(asked[:9])
    if left == "0" and reset.isdecimal():
        return max(1.0, float(reset[:12]) - now_s)
    return 60.0 if status == 429 or "rate limit" in text.lower() else None


def _said(text: str) -> str:
    """What the API says went wrong, in one line."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        return text.strip()[:200] or "(nothing said)"
    errors = record.get("errors")
    said = [record.get("message")] + [
        error.get("message") or error.get("field") if isinstance(error, dict) else error
        for error in (errors if isinstance(errors, list) else [])
    ]
    return "; ".join(each[:200] for each in said if isinstance(each, str)) or "(nothing said)"
