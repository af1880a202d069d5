"""Sends deliveries to one receiver and keeps what was said, for a test's report.

Must not know pytest.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from webhookctl import redact, signing
from webhookctl.errors import EndpointError, UsageError
from webhookctl.library.delivery import Answer, Delivery, forge, load_fixture
from webhookctl.signing.attack import ATTACKS

_BODY_CHARACTERS = 2_000
_POLL_S = 0.02


class WebhookClient:
    """What the fixture `webhook` gives. `url` is the receiver's; `answers` are all of this test, oldest first."""

    attacks = tuple(attack.name for attack in ATTACKS)

    def __init__(
        self, url: str, secret: object, log: list[str], properties: list[tuple[str, object]]
    ) -> None:
        self.url = url
        self.answers: list[Answer] = []
        self._secret = secret
        self._log = log
        self._properties = properties

    def send(
        self,
        provider: str,
        event: str,
        *,
        set: Mapping[str, Any] | None = None,  # noqa: A002  (the word of the command line: trigger --set)
        unset: Sequence[str] = (),
        attack: str | None = None,
        secret: str | None = None,
        timeout_s: float = 30.0,
    ) -> Answer:
        """Forge `provider`'s `event` and send it. Raises what `webhookctl.forge` raises, EndpointError."""
        delivery = forge(
            provider,
            event,
            secret=secret or self._secret_of(provider),
            set=set,
            unset=unset,
            url=self.url,
            attack=attack,
        )
        return self._send(delivery, timeout_s)

    def replay(
        self,
        saved: "Delivery | str | Path",
        *,
        set: Mapping[str, Any] | None = None,  # noqa: A002  (the same)
        unset: Sequence[str] = (),
        secret: str | None = None,
        exact: bool = False,
        new_id: bool = True,
        timeout_s: float = 30.0,
    ) -> Answer:
        """Send a saved delivery, signed now and with a new id (as `exact` it goes out as it was saved)."""
        delivery = saved if isinstance(saved, Delivery) else load_fixture(saved)
        if set or unset:
            delivery = delivery.edited(set, unset=unset)
        if not exact and delivery.provider is not None:
            key = secret or self._secret_of(delivery.provider)
            delivery = delivery.signed(secret=key, url=self.url, has_new_id=new_id)
        return self._send(delivery, timeout_s)

    def assert_idempotent(
        self,
        delivery: Delivery,
        *,
        times: int = 3,
        concurrent: bool = False,
        effect: Callable[[], int] | None = None,
        settle_s: float = 0.2,
    ) -> list[Answer]:
        """Send the same delivery `times`, one after another or all at once: each has to be accepted.

        `effect` counts what a delivery brings about (calls of a mock, rows): all of them together may bring it about
        once. It is read when it has not changed for `settle_s`. Raises AssertionError.
        """
        before = 0 if effect is None else effect()
        if concurrent:
            with ThreadPoolExecutor(times) as pool:
                answers = list(pool.map(lambda _: self._send(delivery, 30.0), range(times)))
        else:
            answers = [self._send(delivery, 30.0) for _ in range(times)]
        for answer in answers:
            answer.assert_accepted()
        if effect is not None:
            count = _settled(effect, settle_s) - before
            if count != 1:
                raise AssertionError(
                    f"not idempotent: {times} copies of one delivery took effect {count} times"
                )
        return answers

    def _send(self, delivery: Delivery, timeout_s: float) -> Answer:
        try:
            answer = delivery.send(self.url, timeout_s=timeout_s)
        except EndpointError as error:
            self._log.append(f"{_shown_request(delivery, self.url)}\n< no answer: {error.message}")
            raise
        self._log.append(f"{_shown_request(delivery, self.url)}\n{_shown_answer(answer)}")
        self._properties.append(
            (
                "webhook",
                f"{delivery.provider} {delivery.event} {answer.status} {answer.elapsed_s * 1000:.0f} ms",
            )
        )
        self.answers.append(answer)
        return answer

    def _secret_of(self, provider: str) -> str:
        if isinstance(self._secret, str):
            return self._secret
        if isinstance(self._secret, Mapping):
            found = self._secret.get(provider)
            if isinstance(found, str):
                return found
        variables = signing.load(provider).secret_variables
        for name in variables:
            if os.environ.get(name):
                return os.environ[name]
        raise UsageError(
            "secret-missing",
            f"no secret to sign for {provider}",
            f"override the fixture webhook_secret, or set {variables[0] if variables else 'secret='}",
        )


def _settled(effect: Callable[[], int], settle_s: float) -> int:
    """The value of `effect` once it has not changed for `settle_s`."""
    value, since_s = effect(), monotonic()
    while monotonic() - since_s < settle_s:
        sleep(_POLL_S)
        new = effect()
        if new != value:
            value, since_s = new, monotonic()
    return value


def _shown_request(delivery: Delivery, url: str) -> str:
    """The request as a report shows it: without secrets, the body shortened."""
    fields = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in delivery.headers)
    kept, _ = redact.redact_headers(fields, signature_names=())
    content_type = next((value for name, value in delivery.headers if name.lower() == "content-type"), None)
    body, _ = redact.redact_body(delivery.body, content_type=content_type)
    lines = [f"> {delivery.method} {url}"]
    lines += [f"> {name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in kept]
    return "\n".join([*lines, _short(body)])


def _shown_answer(answer: Answer) -> str:
    lines = [f"< {answer.status} {answer.reason}".rstrip()]
    lines += [f"< {name}: {value}" for name, value in answer.headers if name.lower() != "set-cookie"]
    return "\n".join([*lines, _short(answer.body)])


def _short(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    return text if len(text) <= _BODY_CHARACTERS else f"{text[:_BODY_CHARACTERS]}… ({len(body):,} bytes)"
