"""A delivery in a program's hands: forged or loaded, edited, signed, sent.

Must not know pytest.
"""

import json
import secrets as randomness
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from time import time  # noqa: TID251  (deliveries are signed now)
from typing import Any

from webhookctl import catalogue
from webhookctl.address import addressed, parse_endpoint
from webhookctl.delivery import prepare
from webhookctl.delivery.prepare import Edits
from webhookctl.errors import EndpointError, FixtureError, UsageError
from webhookctl.fixture import Fixture
from webhookctl.library.answer import Answer, first_value
from webhookctl.library.background import sending
from webhookctl.library.bell import result_of
from webhookctl.library.scheme import scheme_of
from webhookctl.model import Attempt, Headers, Request, Secret
from webhookctl.signing import Scheme
from webhookctl.signing.attack import ATTACKS as _ATTACKS
from webhookctl.signing.attack import Attack, NotApplicable, attack_named, forge_attack

ATTACKS = tuple(attack.name for attack in _ATTACKS)
"""The names of the attacks that `forge` and `WebhookClient.send` take."""

_NO_URL = "http://localhost/"


@dataclass(frozen=True, slots=True, repr=False)
class Delivery:
    """One delivery, whole and signed: what would go over the wire, or goes with `send`.

    `headers` are (name, value) pairs without Host and Content-Length. `secrets` are what it was signed with, to be
    left out of reports; they do not show themselves.
    """

    provider: str | None
    event: str | None
    id: str | None
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    attack: str | None = None
    secrets: tuple[Secret, ...] = field(default=(), compare=False)
    _saved: Fixture | None = field(default=None, compare=False)

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first value of the header `name`, in any case."""
        return first_value(self.headers, name)

    @property
    def header_map(self) -> dict[str, str]:
        """The headers as a dictionary, as HTTP clients take them."""
        return dict(self.headers)

    @property
    def is_redacted(self) -> bool:
        """Whether its signature was taken out when it was saved: then it has to be `signed` first."""
        return any(value in ("{resign}", "{redacted}") for _, value in self.headers)

    def __repr__(self) -> str:
        about = (self.provider, self.event, self.attack and f"[{self.attack}]", self.id)
        return f"<Delivery {' '.join(filter(None, about)) or self.method}, {len(self.body):,} bytes>"

    def signed(
        self, *, secret: str, url: str = _NO_URL, at_s: float | None = None, has_new_id: bool = False
    ) -> "Delivery":
        """The same delivery with a signature made now (or at `at_s`) with `secret`, on request with a new id.

        Raises UsageError `provider-missing` when nobody knows whose it is.
        """
        if self.provider is None:
            raise UsageError(
                "provider-missing",
                "the delivery says no provider that webhookctl knows, so it cannot be signed",
                "send it as it is",
            )
        saved, key = self._saved or self._as_fixture(), Secret(secret)
        prepared = prepare.resign(
            saved,
            Edits(),
            scheme=scheme_of(self.provider),
            secrets=(key,),
            now_s=time() if at_s is None else at_s,
            url=url,
            fresh_id=(lambda old: prepare.renewed(old, randomness.choice)) if has_new_id else None,
        )
        made = _of_request(prepared.request, self)
        new_id = prepared.detection.delivery_id or self.id
        return replace(made, id=new_id, attack=None, secrets=(key,), _saved=None)

    def edited(self, changes: Mapping[str, Any] | None = None, *, unset: Sequence[str] = ()) -> "Delivery":
        """The same delivery with other values at dotted paths of its JSON body; the old signature no longer fits.

        Raises UsageError `path-unknown`, `body-not-json`.
        """
        edits = Edits(_assignments(changes or {}), tuple(unset), True)
        body = edits.body(self.body)
        return replace(self, body=body, _saved=None)

    def send(self, url: str, *, timeout_s: float = 30.0) -> Answer:
        """Send it to `url` byte for byte and return the answer.

        Raises EndpointError when there is none, FixtureError `fixture-redacted` when it has to be `signed` first,
        UsageError `url-invalid`.
        """
        return _answer(self, sending().run(self._attempt(url, timeout_s)))

    async def send_async(self, url: str, *, timeout_s: float = 30.0) -> Answer:
        """As `send`, for a receiver that runs on the very loop of the caller: asyncio or trio."""
        return _answer(self, await result_of(sending().submit(self._attempt(url, timeout_s))))

    async def _attempt(self, url: str, timeout_s: float) -> Attempt:
        from webhookctl.net.forwarder import Forwarder, tls_context

        if self.is_redacted:
            raise FixtureError(
                "fixture-redacted",
                "what the delivery was signed with was redacted when it was saved",
                "make a new signature: delivery.signed(secret=…), or webhook.replay(delivery)",
            )
        endpoint = parse_endpoint(url)
        tls = tls_context(insecure=False, ca_file=None) if endpoint.is_tls else None
        forwarder = Forwarder(tls=tls, now_s=time)
        request = Request(self.method, self.target, _wire(self.headers), self.body)
        try:
            return await forwarder.send(endpoint, addressed(request, endpoint), timeout_s=timeout_s)
        finally:
            forwarder.close()

    def _as_fixture(self) -> Fixture:
        request = Request(self.method, self.target, _wire(self.headers), self.body)
        return Fixture(
            name=self.event or "delivery",
            request=request,
            provider=self.provider,
            event=self.event,
            delivery_id=self.id,
        )


def forge(
    provider: str,
    event: str,
    *,
    secret: str,
    set: Mapping[str, Any] | None = None,  # noqa: A002  (the word of the command line: trigger --set)
    unset: Sequence[str] = (),
    url: str = _NO_URL,
    attack: str | None = None,
    seed: int | None = None,
    at_s: float | None = None,
) -> Delivery:
    """A delivery of `provider`'s `event` as it would send it, signed with `secret` for the receiver at `url`.

    `set` gives values at dotted paths of the payload. `attack` forges it instead: `webhookctl.ATTACKS` names them all.
    With a `seed` the payload is the same each time. Raises UsageError `event-unknown`, `provider-unknown`,
    `attack-unknown`, `attack-not-applicable`, `path-unknown`.
    """
    template = catalogue.resolve(event, provider=provider)
    scheme, key = scheme_of(template.provider), Secret(secret)
    now_s = time() if at_s is None else at_s
    edits = Edits(_assignments(set or {}), tuple(unset), True)
    number = randomness.randbits(48) if seed is None else seed

    def make(scheme: Scheme, key: Secret, made_at_s: float) -> prepare.Prepared:
        return prepare.forge(
            template,
            edits,
            scheme=scheme,
            secrets=(key,),
            seed=number,
            payload_time_s=now_s,
            now_s=made_at_s,
            url=url,
        )

    prepared = make(scheme, key, now_s)
    detection = prepared.detection
    about = Delivery(
        template.provider, detection.event, detection.delivery_id, "POST", "/", (), b"", attack, (key,)
    )
    if attack is None:
        return _of_request(prepared.request, about)
    forged = forge_attack(
        _attack(attack),
        scheme,
        key,
        lambda other, secret_, made_at_s: make(other, secret_, made_at_s).request,
        now_s=now_s,
        url=url,
        random=randomness.token_bytes,
    )
    if isinstance(forged, NotApplicable):
        raise UsageError("attack-not-applicable", f"{attack}: {forged.reason}", "leave this attack out")
    return _of_request(forged.request, about)


def load_fixture(path: str | Path) -> Delivery:
    """A saved delivery: its `.toml` file, or either of its files. Its redacted signature needs `signed` before `send`.

    Raises FixtureError `fixture-unknown`, `fixture-invalid`.
    """
    from webhookctl.store.fixtures import FixtureFolder

    path = Path(path)
    if path.suffix != ".toml":
        stem, mark, _ = path.name.rpartition(".body.")
        path = path.with_name(f"{stem}.toml") if mark else Path(f"{path}.toml")
    saved = FixtureFolder(path.parent).load(path)
    about = Delivery(saved.provider, saved.event, saved.delivery_id, "POST", "/", (), b"", _saved=saved)
    return _of_request(saved.request, about)


def _of_request(request: Request, about: Delivery) -> Delivery:
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers)
    return replace(about, method=request.method, target=request.target, headers=headers, body=request.body)


def _wire(headers: Sequence[tuple[str, str]]) -> Headers:
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)


def _assignments(values: Mapping[str, Any]) -> tuple[tuple[str, bytes], ...]:
    try:
        return tuple(
            (path, json.dumps(value, allow_nan=False).encode("ascii")) for path, value in values.items()
        )
    except (TypeError, ValueError) as error:
        raise UsageError("set-invalid", f"a value to set is not JSON: {error}") from error


def _attack(name: str) -> Attack:
    found = attack_named(name)
    if found is None:
        close = get_close_matches(name, ATTACKS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(ATTACKS)}"
        raise UsageError("attack-unknown", f"there is no attack {name!r}", hint)
    return found


def _answer(delivery: Delivery, attempt: Attempt) -> Answer:
    response = attempt.response
    if response is None:
        assert attempt.failure is not None
        raise EndpointError("endpoint-failed", f"{attempt.url}: {attempt.failure.message}")
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers)
    return Answer(
        response.status,
        response.reason,
        headers,
        response.body,
        attempt.latency_ms / 1000,
        delivery,
        url=attempt.url,
    )
