"""The handshakes there are, as frozen data read from the TOML files in ``data/``.

Knows nothing of requests beyond the places that values stand in.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from webhookctl.errors import UsageError
from webhookctl.handshake.place import Place, parse_place

_FILES = ("query", "header", "body")


class SignaturePolicy(StrEnum):
    """What a handshake's own signature decides."""

    NONE = "none"  # it is not signed
    CHECKED = "checked"  # a wrong one is refused; one that nobody here can judge is let pass
    REQUIRED = "required"  # only a right one is answered


@dataclass(frozen=True, slots=True)
class Condition:
    """`place` holds `value` (None: anything); with `is_absent` nothing stands there. Of a text `value` is a part."""

    place: Place
    value: str | None
    is_absent: bool


@dataclass(frozen=True, slots=True)
class Form:
    """One form of an answer: `text`, or `json` (a template, slots in its texts), or an empty body; and `headers`.

    Without text and json any body is taken. `needle` is what counts of a longer text.
    """

    text: str | None = None
    json: object = None
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = ""
    needle: str = ""

    @property
    def media_type(self) -> str:
        """The content type of this form, with charset; "" for an empty body."""
        if self.content_type:
            return self.content_type
        if self.json is not None:
            return "application/json"
        return "text/plain; charset=utf-8" if self.text else ""


@dataclass(frozen=True, slots=True)
class Keyed:
    """HMAC of the challenge: `algorithm` sha1 or sha256, `encoding` hex or base64.

    `key` is utf8 or sha1 (the secret's SHA-1 digest). `parts` stand before the key in the secret, each with a colon.
    """

    algorithm: str
    encoding: str
    key: str = "utf8"
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """What a challenge holds besides the values of its conditions, for making one."""

    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Handshake:
    """One challenge of a provider, when it is one, and what answers it.

    `challenge` is where the value stands that the answer needs; `visit` a URL that somebody has to open. `also`:
    providers that ask in the same words. `is_named_only`: only told from other requests where the provider is known.
    `is_acknowledgement`: not a challenge, but a text that every delivery wants to be answered with.
    `is_tested`: the provider sends wrong signatures on purpose. `statuses` are those that the provider takes.
    `consequence` is what the provider does when it dislikes the answer.
    """

    id: str
    name: str
    provider: str
    method: str
    conditions: tuple[Condition, ...]
    answer: Form
    accepts: tuple[Form, ...]
    statuses: range | tuple[int, ...]
    consequence: str
    evidence: str
    source: str
    challenge: Place | None = None
    visit: Place | None = None
    token: Place | None = None
    token_variables: tuple[str, ...] = ()
    keyed: Keyed | None = None
    signature: SignaturePolicy = SignaturePolicy.NONE
    status: int = 200
    refusal_status: int = 401
    adds: tuple[tuple[str, str], ...] = ()
    aliases: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    draw: str = "text"
    is_alone: bool = False
    is_learnt: bool = False
    is_tested: bool = False
    is_named_only: bool = False
    is_type_strict: bool = False
    is_acknowledgement: bool = False
    max_length: int = 1024
    time_limit_s: float | None = None
    note: str = ""
    sample: Sample = Sample()

    @property
    def is_signed(self) -> bool:
        return self.signature is not SignaturePolicy.NONE


@cache
def load_all() -> tuple[Handshake, ...]:
    """Every handshake, in the order in which they are tried."""
    data = files("webhookctl.handshake").joinpath("data")
    return tuple(
        parse_handshake(row)
        for name in _FILES
        for row in tomllib.loads(data.joinpath(f"{name}.toml").read_text("utf-8"))["handshake"]
    )


def resolve(name: str) -> Handshake:
    """The handshake called `name`, an id or an alias. Raises UsageError `handshake-unknown` with a suggestion."""
    known = {alias: each for each in load_all() for alias in (each.id, *each.aliases)}
    if name in known:
        return known[name]
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1)
    hint = f"did you mean handshake:{close[0]}?" if close else "webhookctl trigger --list shows what there is"
    raise UsageError("handshake-unknown", f"no handshake of {name} is known", hint)


def parse_handshake(row: Mapping[str, Any]) -> Handshake:
    """A handshake from its row of TOML. Raises ValueError, KeyError or TypeError for what is none."""
    known = dict(row)
    known["conditions"] = tuple(_condition(text) for text in known.pop("when"))
    known["answer"] = _form(known["answer"])
    known["accepts"] = tuple(_form(form) for form in known.pop("accepts", ()))
    known["statuses"] = _statuses(known.pop("accepted", None), known.get("status", 200))
    known["signature"] = SignaturePolicy(known.get("signature", "none"))
    known["sample"] = Sample(**known.get("sample", {}))
    for name in ("challenge", "token", "visit"):
        if name in known:
            known[name] = parse_place(known[name])
    for name in ("token_variables", "aliases", "also"):
        known[name] = tuple(known.get(name, ()))
    known["adds"] = tuple(known.get("adds", {}).items())
    if "keyed" in known:
        keyed = known["keyed"]
        known["keyed"] = Keyed(**{**keyed, "parts": tuple(keyed.get("parts", ()))})
    unknown = known.keys() - {each.name for each in fields(Handshake)}
    if unknown:
        raise ValueError(f"{row['id']}: unknown {', '.join(sorted(unknown))}")
    return Handshake(**known)


def _condition(text: str) -> Condition:
    place, equals, value = text.removeprefix("!").partition("=")
    return Condition(parse_place(place), value if equals else None, text.startswith("!"))


def _form(row: Mapping[str, Any]) -> Form:
    return Form(**{**row, "headers": tuple(row.get("headers", {}).items())})


def _statuses(accepted: object, status: int) -> range | tuple[int, ...]:
    if accepted == "2xx":
        return range(200, 300)
    return tuple(accepted) if isinstance(accepted, list) else (status,)
