"""What a receiver answered, with what a test asks of it, and one exchange in words for a test's report.

Must not know pytest, nor how deliveries are made or sent.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from webhookctl import redact
from webhookctl.formats import safe_text
from webhookctl.model import Secret

if TYPE_CHECKING:
    from webhookctl.library.delivery import Delivery

_BODY_CHARACTERS = 1_000
_MASK = "****"
_SHORTEST_SECRET = 6  # a shorter one would be found in ordinary words

HeaderTexts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What a receiver answered. `elapsed_s` is from the first byte sent to the last one received.

    `url` is where the delivery went. `problem` is the exception of an application of this process that answered so,
    where there was one.
    """

    status: int
    reason: str
    headers: HeaderTexts
    body: bytes
    elapsed_s: float
    delivery: "Delivery"
    problem: BaseException | None = field(default=None, compare=False)
    url: str = ""

    @property
    def is_accepted(self) -> bool:
        """2xx: a webhook sender counts nothing else as delivered."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none becomes replacement characters."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first value of the header `name`, in any case."""
        return first_value(self.headers, name)

    def assert_accepted(self, *, within_s: float | None = None) -> None:
        """Raises AssertionError unless it is 2xx, and came within `within_s`."""
        if not self.is_accepted:
            raise AssertionError(f"not accepted: {self._shown()}") from self.problem
        if within_s is not None and self.elapsed_s > within_s:
            raise AssertionError(
                f"accepted after {self.elapsed_s:.3f} s, the limit is {within_s:g} s: {self._shown()}"
            )

    def assert_refused(self) -> None:
        """Raises AssertionError unless it is 4xx: what is not trusted is refused, without failing over it."""
        if not 400 <= self.status < 500:
            what = f"{self.delivery.attack}: " if self.delivery.attack else ""
            raise AssertionError(f"{what}not refused: {self._shown()}") from self.problem

    def _shown(self) -> str:
        what = " ".join(filter(None, (self.delivery.provider, self.delivery.event))) or self.delivery.method
        body = safe_text(_short(erased(self.text, self.delivery.secrets)))
        shown = f"{what} was answered {self.status} {self.reason}: {body}".rstrip(": \n")
        return f"{shown}\nhint: {self._no_route()}" if self.status in (404, 405) else shown

    def _no_route(self) -> str:
        asked = f"it was sent to {self.delivery.method} {safe_text(urlsplit(self.url).path or '/')}"
        return f"{asked}; the fixture webhook_path (WebhookClient: path) says where deliveries go"

    def __repr__(self) -> str:
        return f"<Answer {self.status} after {self.elapsed_s * 1000:.0f} ms, {len(self.body):,} bytes>"


def first_value(headers: HeaderTexts, name: str) -> str | None:
    """The first value of the header `name`, in any case; None when it is absent."""
    return next((value for key, value in headers if key.lower() == name.lower()), None)


def shown_delivery(delivery: "Delivery", url: str) -> str:
    """The request as a report shows it: without secrets, the body shortened."""
    target, _ = redact.redact_target(url)
    return _shown(">", f"{delivery.method} {target}", delivery.headers, delivery.body, delivery.secrets)


def shown_answer(answer: Answer) -> str:
    """The answer as a report shows it, the same."""
    line = f"{answer.status} {answer.reason}".rstrip()
    return _shown("<", line, answer.headers, answer.body, answer.delivery.secrets)


def _shown(mark: str, line: str, headers: HeaderTexts, body: bytes, secrets: Sequence[Secret]) -> str:
    fields = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)
    kept, _ = redact.redact_headers(fields, signature_names=())
    content, _ = redact.redact_body(body, content_type=first_value(headers, "content-type"))
    head = [line, *(f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in kept)]
    text = "\n".join(f"{mark} {each}" for each in head)
    shown = _short(erased(content.decode("utf-8", "replace"), secrets))
    return safe_text(f"{erased(text, secrets)}\n{shown}".rstrip("\n"))


def erased(text: str, secrets: Iterable[Secret]) -> str:
    """`text` without any of `secrets`, wherever they stand."""
    values = [secret.reveal() for secret in secrets]
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, _MASK)
    return text


def _short(text: str) -> str:
    if len(text) <= _BODY_CHARACTERS:
        return text
    return f"{text[:_BODY_CHARACTERS]}… ({len(text):,} characters)"
