"""What an oracle is: code of others that accepts or refuses a delivery. Runs in `.venv-oracles` only."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

TEXT = "topsecret_key_of_ours"
WHSEC = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
BASE64 = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
HEXADECIMAL = b"0123456789abcdef0123456789abcdef".hex()
URL = "https://example.com/hooks?x=1"

BODY = json.dumps(
    {"id": "evt_1", "object": "event", "type": "demo.created", "data": {"name": "café"}}, ensure_ascii=False
).encode()


@dataclass(frozen=True)
class Delivery:
    """One request as it reaches the oracle; `headers` by lower-case name."""

    headers: Mapping[str, str]
    body: bytes
    secret: str
    url: str

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> str:
        return self.headers[name.lower()]


@dataclass(frozen=True)
class Oracle:
    """A package's judgement on the deliveries of `provider`.

    `accepts` says True or False; errors that it does not know are errors. `secret` signs; the package is given `shown`
    in its place where that is not empty (a public key). `change` is what tampering does to the body; `covers_body` is
    False where the package accepts that. `past_s` and `future_s`: an age that it refuses, None where it looks at no
    clock. `name` tells several of one provider apart. `package` is a
    name of PyPI, or of npm with ``npm:`` before it.
    """

    provider: str
    package: str
    accepts: Callable[[Delivery], bool]
    secret: str = TEXT
    body: bytes = BODY
    change: tuple[bytes, bytes] = (b"evt_1", b"evt_2")
    past_s: int | None = None
    future_s: int | None = None
    covers_body: bool = True
    shown: str = ""
    name: str = ""

    @property
    def id(self) -> str:
        return self.name or self.provider


def now_s() -> float:
    return datetime.now(UTC).timestamp()


def passes(call: Callable[[], object], *refusals: type[Exception]) -> bool:
    """True when `call` returns, False when it raises one of `refusals`."""
    try:
        call()
    except refusals:
        return False
    return True


def dump(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def form(**fields: str) -> bytes:
    return urlencode(fields).encode()
