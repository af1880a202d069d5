"""Requests that went wrong in one way, for the tests of the X-ray."""

from collections.abc import Sequence

from webhookctl.model import Headers, Request, Secret, Verdict
from webhookctl.signing import Scheme, Search, load, sign, verify

NOW_S = 1_790_000_000.0
TEXT = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"
SECRET = Secret(TEXT, "env:OURS")
BODY = (
    '{"id":"evt_1","type":"demo.created","amount":10.5,"url":"https://example.com/a","name":"café"}'.encode()
)
URL = "https://example.com/hooks?x=1"
SCHEMES = ("stripe", "github", "shopify", "slack", "standardwebhooks")


def request(
    provider: str | Scheme,
    *,
    signed: bytes = BODY,
    arrived: bytes | None = None,
    secret: Secret | None = SECRET,
    url: str = "",
    more: Headers = (),
) -> Request:
    """A request of `provider` that signed one body and sent another."""
    scheme = load(provider) if isinstance(provider, str) else provider
    headers = sign(scheme, secret or SECRET, body=signed, timestamp_s=NOW_S, message_id="msg_1", url=url)
    return Request("POST", "/hooks?x=1", (*headers, *more), signed if arrived is None else arrived)


def judged(
    provider: str | Scheme,
    given: Request,
    *,
    secrets: Sequence[Secret] = (SECRET,),
    search: Search | None = None,
    url: str = "",
    now_s: float = NOW_S,
) -> Verdict:
    """The verdict on `given`."""
    scheme = load(provider) if isinstance(provider, str) else provider
    return verify(scheme, secrets, given, now_s=now_s, url=url, search=lambda: search or Search())


def causes(verdict: Verdict) -> tuple[str, ...]:
    """The causes that the verdict names."""
    assert verdict.finding is not None
    return (verdict.finding.cause, *verdict.finding.also)


def with_value(given: Request, name: str, change: "Sequence[bytes]") -> Request:
    """`given` with one part of the value of a header replaced."""
    old, new = change
    lower = name.lower().encode()
    headers = tuple(
        (key, value.replace(old, new) if key.lower() == lower else value) for key, value in given.headers
    )
    assert headers != given.headers
    return Request(given.method, given.target, headers, given.body)
