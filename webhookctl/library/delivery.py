"""A delivery in a program's hands: forged or loaded, signed, sent, and the answer with what a test asks of it.

Must not know pytest.
"""

import json
import secrets as randomness
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import time  # noqa: TID251  (deliveries are signed now)
from typing import Any

from webhookctl import catalogue, jsontext, signing
from webhookctl.address import addressed, parse_endpoint
from webhookctl.delivery import prepare
from webhookctl.delivery.prepare import Edits
from webhookctl.errors import EndpointError, UsageError
from webhookctl.fixture import Fixture
from webhookctl.library.background import sending
from webhookctl.model import Attempt, Headers, Request, Secret
from webhookctl.signing.attack import Attack, NotApplicable, attack_named, forge_attack

_NO_URL = "http://localhost/"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered. `elapsed_s` is from the first byte sent to the last one received."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    elapsed_s: float
    delivery: "Delivery" = field(repr=False)

    @property
    def is_accepted(self) -> bool:
        """2xx: a webhook sender counts nothing else as delivered."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def assert_accepted(self, *, within_s: float | None = None) -> None:
        """Raises AssertionError unless it is 2xx, and came within `within_s`."""
        if not self.is_accepted:
            raise AssertionError(f"not accepted: {self._shown()}")
        if within_s is not None and self.elapsed_s > within_s:
            raise AssertionError(
                f"accepted after {self.elapsed_s:.3f} s, the limit is {within_s:g} s: {self._shown()}"
            )

    def assert_refused(self) -> None:
        """Raises AssertionError unless it is 4xx: what is not trusted is refused, without failing over it."""
        if not 400 <= self.status < 500:
            what = self.delivery.attack or "it"
            raise AssertionError(f"{what} was not refused: {self._shown()}")

    def _shown(self) -> str:
        what = " ".join(filter(None, (self.delivery.provider, self.delivery.event))) or self.delivery.method
        body = self.text if len(self.body) <= 500 else self.text[:500] + "…"
        return f"{what} was answered {self.status} {self.reason}: {body}".rstrip(": ")

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first value of the header `name`, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery, whole and signed: what would go over the wire, or goes with `send`.

    `headers` are (name, value) pairs without Host and Content-Length.
    """

    provider: str | None
    event: str | None
    id: str | None
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    attack: str | None = None
    _saved: Fixture | None = field(default=None, repr=False, compare=False)
    _message_id: str = field(default="msg_sample", repr=False, compare=False)

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        return json.loads(self.body)

    @property
    def header_map(self) -> dict[str, str]:
        """The headers as a dictionary, as HTTP clients take them."""
        return dict(self.headers)

    def signed(
        self, *, secret: str, url: str = _NO_URL, at_s: float | None = None, has_new_id: bool = False
    ) -> "Delivery":
        """The same delivery with a signature made now (or at `at_s`) with `secret`, on request with a new id.

        Raises UsageError `provider-missing` when nobody knows whose it is.
        """
        if self.provider is None:
            raise UsageError(
                "provider-missing",
                "the delivery says no provider that webhookctl knows",
                "forge or save another",
            )
        saved = self._saved or self._as_fixture()
        prepared = prepare.resign(
            saved,
            Edits(),
            scheme=signing.load(self.provider),
            secrets=(Secret(secret),),
            now_s=time() if at_s is None else at_s,
            url=url,
            fresh_id=(lambda old: prepare.renewed(old, randomness.choice)) if has_new_id else None,
        )
        made = _of_request(prepared.request, self)
        return replace(made, id=prepared.detection.delivery_id or self.id, attack=None)

    def edited(self, changes: Mapping[str, Any] | None = None, *, unset: Sequence[str] = ()) -> "Delivery":
        """The same delivery with other values at dotted paths of its JSON body; the old signature no longer fits.

        Raises UsageError `path-unknown`, `body-not-json`.
        """
        edits = Edits(_assignments(changes or {}), tuple(unset), True)
        body = edits.body(self.body)
        return replace(self, body=body, _saved=None)

    def send(self, url: str, *, timeout_s: float = 30.0) -> Answer:
        """Send it to `url` byte for byte and return the answer. Raises EndpointError when there is none."""
        attempt = sending().run(_send(self, url, timeout_s))
        return _answer(self, attempt)

    async def send_async(self, url: str, *, timeout_s: float = 30.0) -> Answer:
        """As `send`, for code that runs on an asyncio loop."""
        import asyncio

        attempt = await asyncio.wrap_future(sending().submit(_send(self, url, timeout_s)))
        return _answer(self, attempt)

    def _as_fixture(self) -> Fixture:
        request = Request(self.method, self.target, _wire(self.headers), self.body)
        return Fixture(
            name=self.event or "delivery",
            request=request,
            provider=self.provider,
            event=self.event,
            delivery_id=self._message_id if self.id is None else self.id,
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
    scheme, key = signing.load(template.provider), Secret(secret)
    now_s = time() if at_s is None else at_s
    edits = Edits(_assignments(set or {}), tuple(unset), True)
    number = randomness.randbits(48) if seed is None else seed

    def make(scheme: signing.Scheme, key: Secret, made_at_s: float) -> prepare.Prepared:
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
    about = Delivery(template.provider, detection.event, detection.delivery_id, "POST", "/", (), b"", attack)
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
        raise UsageError("attack-not-applicable", f"{attack}: {forged.reason}")
    return _of_request(forged.request, about)


def load_fixture(path: str | Path) -> Delivery:
    """A saved delivery: its `.toml` file, or either of its files. Its redacted signature needs `signed` before `send`.

    Raises FixtureError `fixture-unknown`, `fixture-invalid`.
    """
    from webhookctl.store.fixtures import FixtureFolder

    path = Path(path)
    if path.suffix != ".toml":
        stem, mark, _ = path.name.rpartition(".body.")
        path = path.with_name(f"{stem if mark else path.name}.toml")
    saved = FixtureFolder(path.parent).load(path)
    about = Delivery(saved.provider, saved.event, saved.delivery_id, "POST", "/", (), b"", _saved=saved)
    return _of_request(saved.request, about)


def _of_request(request: Request, about: Delivery) -> Delivery:
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers)
    return replace(about, method=request.method, target=request.target, headers=headers, body=request.body)


def _wire(headers: Sequence[tuple[str, str]]) -> Headers:
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)


def _assignments(values: Mapping[str, Any]) -> tuple[tuple[str, bytes], ...]:
    texts = tuple((path, json.dumps(value).encode("utf-8")) for path, value in values.items())
    assert all(jsontext.is_json(text) for _, text in texts)
    return texts


def _attack(name: str) -> Attack:
    from webhookctl.signing.attack import ATTACKS

    found = attack_named(name)
    if found is None:
        known = ", ".join(attack.name for attack in ATTACKS)
        raise UsageError("attack-unknown", f"there is no attack {name!r}", f"known: {known}")
    return found


async def _send(delivery: Delivery, url: str, timeout_s: float) -> Attempt:
    from webhookctl.net.forwarder import Forwarder
    from webhookctl.wiring.listening import client_tls

    endpoint = parse_endpoint(url)
    tls = client_tls(is_insecure=False, ca_file=None) if endpoint.is_tls else None
    forwarder = Forwarder(tls=tls, now_s=time)
    request = Request(delivery.method, delivery.target, _wire(delivery.headers), delivery.body)
    try:
        return await forwarder.send(endpoint, addressed(request, endpoint), timeout_s=timeout_s)
    finally:
        forwarder.close()


def _answer(delivery: Delivery, attempt: Attempt) -> Answer:
    response = attempt.response
    if response is None:
        assert attempt.failure is not None
        raise EndpointError("endpoint-failed", f"{attempt.url}: {attempt.failure.message}")
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers)
    return Answer(
        response.status, response.reason, headers, response.body, attempt.latency_ms / 1000, delivery
    )
