"""Sends deliveries to one receiver and keeps what was said, for a test's report.

Must not know pytest.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from webhookctl.errors import EndpointError, UsageError
from webhookctl.formats import safe_text
from webhookctl.library.answer import Answer, erased, shown_answer, shown_delivery
from webhookctl.library.delivery import ATTACKS, Delivery, forge, load_fixture
from webhookctl.library.target import Target
from webhookctl.signing.attack import attack_named

_POLL_S = 0.02
_SETTLE_S = 1.0  # an application may take so long to end what it began, before its exceptions are asked for

Texts = str | Mapping[str, str]
"""One text for all providers, or a dictionary by provider."""


class WebhookClient:
    """Forges, replays and sends to `target`, signed with `secret`, at `path` (both may be dictionaries by provider).

    `answers` are all so far, oldest first. `problems` are the exceptions of an application of this process: a test
    that means them clears the list. `log` is what was said, without secrets; `record` gets a line for each answer.
    """

    def __init__(
        self,
        target: Target,
        *,
        path: Texts = "",
        secret: Texts | None = None,
        record: Callable[[str, object], None] | None = None,
    ) -> None:
        self.answers: list[Answer] = []
        self.problems: list[BaseException] = []
        self.log: list[str] = []
        self._target = target
        self._path = path
        self._secret = secret
        self._record = record

    @property
    def url(self) -> str:
        """Where the receiver is; with its path, where that is one for all providers."""
        return self.url_of(None)

    def url_of(self, provider: str | None) -> str:
        """Where deliveries of `provider` go."""
        path = self._path if isinstance(self._path, str) else self._path.get(provider or "", "")
        return self._target.url + (f"/{path.lstrip('/')}" if path else "")

    def forge(
        self,
        provider: str,
        event: str,
        *,
        set: Mapping[str, Any] | None = None,  # noqa: A002  (the word of the command line: trigger --set)
        unset: Sequence[str] = (),
        attack: str | None = None,
        secret: str | None = None,
    ) -> Delivery:
        """A delivery for this receiver, not sent yet. Raises what `webhookctl.forge` raises, `secret-missing`."""
        return forge(
            provider,
            event,
            secret=secret or self._secret_of(provider),
            set=set,
            unset=unset,
            url=self.url_of(provider),
            attack=attack,
        )

    def send(
        self,
        provider: str,
        event: str,
        *,
        set: Mapping[str, Any] | None = None,  # noqa: A002  (the same)
        unset: Sequence[str] = (),
        attack: str | None = None,
        secret: str | None = None,
        timeout_s: float = 30.0,
    ) -> Answer:
        """Forge `provider`'s `event` and send it. Raises what `forge` raises, EndpointError."""
        delivery = self.forge(provider, event, set=set, unset=unset, attack=attack, secret=secret)
        return self.deliver(delivery, timeout_s=timeout_s)

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
        """Send a saved delivery, signed now and with a new id; as `exact` it goes out as it was saved.

        Raises what `webhookctl.load_fixture` raises, FixtureError `fixture-redacted`, `secret-missing`, EndpointError.
        """
        delivery = saved if isinstance(saved, Delivery) else load_fixture(saved)
        if set or unset:
            delivery = delivery.edited(set, unset=unset)
        if not exact and delivery.provider is not None:
            delivery = self._signed(delivery, secret=secret, has_new_id=new_id)
        return self.deliver(delivery, timeout_s=timeout_s)

    def deliver(self, delivery: Delivery, *, timeout_s: float = 30.0) -> Answer:
        """Send `delivery` as it is. Raises EndpointError, FixtureError `fixture-redacted`."""
        url = self.url_of(delivery.provider)
        try:
            return self._noted(delivery.send(url, timeout_s=timeout_s), url)
        except EndpointError as error:
            raise self._missed(delivery, url, error) from None

    async def deliver_async(self, delivery: Delivery, *, timeout_s: float = 30.0) -> Answer:
        """As `deliver`, for a receiver that runs on the very loop of the test: asyncio or trio."""
        url = self.url_of(delivery.provider)
        try:
            return self._noted(await delivery.send_async(url, timeout_s=timeout_s), url)
        except EndpointError as error:
            raise self._missed(delivery, url, error) from None

    def assert_idempotent(
        self,
        delivery: "Delivery | str | Path",
        event: str | None = None,
        *,
        times: int = 3,
        concurrent: bool = False,
        effect: Callable[[], int] | None = None,
        settle_s: float = 0.2,
        set: Mapping[str, Any] | None = None,  # noqa: A002  (the word of the command line)
    ) -> list[Answer]:
        """Send the same delivery `times`, one after another or all at once: each has to be accepted.

        With an `event` the first argument is the provider it is forged for, as in `send`, with `set` in its payload.
        `effect` counts what a delivery brings about (calls of a mock, rows): all of them together may bring it about
        once. It is read when it has not changed for `settle_s`. A saved one is signed first, with a new id.
        Raises AssertionError.
        """
        if event is not None:
            delivery = self.forge(str(delivery), event, set=set)
        elif not isinstance(delivery, Delivery):
            delivery = load_fixture(delivery)
        if not delivery.secrets and delivery.provider is not None:
            delivery = self._signed(delivery, secret=None, has_new_id=True)
        before = 0 if effect is None else effect()
        if concurrent:
            with ThreadPoolExecutor(times) as pool:
                answers = list(pool.map(self.deliver, [delivery] * times))
        else:
            answers = [self.deliver(delivery) for _ in range(times)]
        for answer in answers:
            answer.assert_accepted()
        if effect is not None:
            count = _settled(effect, settle_s) - before
            if count != 1:
                raise AssertionError(
                    f"not idempotent: {times} copies of one delivery took effect {count} times"
                )
        return answers

    def assert_refuses_forgeries(
        self,
        provider: str,
        event: str,
        *,
        attacks: Sequence[str] = ATTACKS,
        set: Mapping[str, Any] | None = None,  # noqa: A002  (the same)
    ) -> list[Answer]:
        """Send each of `attacks` that the provider's scheme knows: all have to be refused. The answers to them.

        A rightly signed delivery goes first and has to be accepted, for who refuses everything proves nothing.
        Raises AssertionError that names each attack that was not refused.
        """
        genuine = self.send(provider, event, set=set)
        genuine.assert_accepted()
        answers, findings = [], []
        for name in attacks:
            try:
                delivery = self.forge(provider, event, set=set, attack=name)
            except UsageError as error:
                if error.code != "attack-not-applicable":
                    raise
                continue
            answer = self.deliver(delivery)
            answers.append(answer)
            if not 400 <= answer.status < 500:
                attack = attack_named(name)
                assert attack is not None
                findings.append(f"{name} was answered {answer.status}: {attack.finding}")
        if findings:
            raise AssertionError("not refused:\n" + "\n".join(findings))
        return answers

    def take_problems(self) -> list[BaseException]:
        """`problems`, and those that came after the last answer; each is told once."""
        self.problems += self._target.take_problems(settle_s=_SETTLE_S)
        problems, self.problems = self.problems, []
        return problems

    def _noted(self, answer: Answer, url: str) -> Answer:
        """`answer` with the exception behind it, written down."""
        problems = self._target.take_problems() if answer.status >= 500 else []
        if problems:
            self.problems += problems
            answer = replace(answer, problem=problems[-1])
        delivery = answer.delivery
        self.log.append(f"{shown_delivery(delivery, url)}\n{shown_answer(answer)}")
        self._note(delivery, f"{answer.status} {answer.elapsed_s * 1000:.0f} ms")
        self.answers.append(answer)
        return answer

    def _missed(self, delivery: Delivery, url: str, error: EndpointError) -> EndpointError:
        """`error` with the last output of a command that should have answered."""
        output = erased(self._target.output, delivery.secrets)
        self.log.append(f"{shown_delivery(delivery, url)}\n< no answer: {error.message}")
        self._note(delivery, "no answer")
        if output:
            self.log.append(f"last output of the receiver:\n{safe_text(output)}")
        return error

    def _note(self, delivery: Delivery, text: str) -> None:
        if self._record is not None:
            about = (delivery.provider, delivery.event, delivery.attack and f"[{delivery.attack}]", text)
            self._record("webhook", " ".join(filter(None, about)))

    def _signed(self, delivery: Delivery, *, secret: str | None, has_new_id: bool) -> Delivery:
        provider = delivery.provider
        assert provider is not None
        key = secret or self._secret_of(provider)
        return delivery.signed(secret=key, url=self.url_of(provider), has_new_id=has_new_id)

    def _secret_of(self, provider: str) -> str:
        """The secret of the test, else the one that is configured for `provider`: never one that is made up."""
        if isinstance(self._secret, str):
            return self._secret
        if self._secret is not None and provider in self._secret:
            return self._secret[provider]
        from webhookctl.wiring.project import open_project

        project = open_project()
        known = project.known_secrets(provider)
        if known:
            return known[0].reveal()
        variables = project.scheme(provider).secret_variables
        raise UsageError(
            "secret-missing",
            f"no secret to sign for {provider}",
            "override the fixture webhook_secret" + (f", or export {variables[0]}=…" if variables else ""),
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
