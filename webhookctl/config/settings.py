"""The settings there are, in one table, with the types of their values; sizes and durations.

Must not know where values come from: no environment, no files.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webhookctl.errors import UsageError

_BLANK = re.compile(r"[\s\x00-\x1f\x7f]")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?(|[kmgt]i?)b?")
_SIZE_UNITS = {"": 1} | {
    letter + binary: step**power
    for power, letter in enumerate("kmgt", start=1)
    for binary, step in (("", 1000), ("i", 1024))
}
_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?(|ms|s|m|h|d)")
_DURATION_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(value: str | int, option: str = "size") -> int:
    """Bytes in ``10MB`` or ``500k`` (steps of 1000), ``32MiB`` (of 1024) or a plain number.

    Raises UsageError `size-invalid` that names `option`.
    """
    match = _SIZE.fullmatch(str(value).strip().lower())
    if match is None:
        raise UsageError(
            "size-invalid", f"{option} must be a size, not {value!r}", "write 500k, 10MB or 32MiB"
        )
    return int(float(match[1]) * _SIZE_UNITS[match[2]])


def parse_duration(value: str | float, option: str = "duration") -> float:
    """Seconds in ``250ms``, ``30s``, ``5m``, ``1h``, ``2d`` or a plain number.

    Raises UsageError `duration-invalid` that names `option`.
    """
    match = _DURATION.fullmatch(str(value).strip().lower())
    if match is None:
        message = f"{option} must be a duration, not {value!r}"
        raise UsageError("duration-invalid", message, "write 250ms, 30s, 5m or 1h")
    return float(match[1]) * _DURATION_UNITS[match[2]]


def path_from(base: Path, text: str) -> Path:
    """The path `text` with ``~`` expanded, relative to `base`."""
    try:
        return base / Path(text).expanduser()
    except RuntimeError:  # nobody has such a home folder: taken as it stands, as a shell does
        return base / text


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of setting.

    `check` turns a TOML value into ours (paths relative to the folder given), `read` a text into a TOML
    value; both raise ValueError when it is not what is `expected`.
    """

    expected: str
    check: Callable[[Any, Path], Any]
    read: Callable[[str], Any] = str
    is_secret: bool = False  # only a reference to it may be shown

    def check_text(self, text: str, base: Path) -> Any:
        """`check` of what the text of an environment variable means."""
        return self.check(self.read(text), base)


def _require(is_right: bool) -> None:
    if not is_right:
        raise ValueError


def _text(value: Any, _: Path) -> str:
    _require(isinstance(value, str) and value != "" and "\0" not in value)
    return str(value)


def _url(value: Any, base: Path) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(_text(value, base))
    _require(not _BLANK.search(value))  # urlsplit drops some of them silently
    _require(parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0)
    return str(value)


def _path(value: Any, base: Path) -> Path:
    return path_from(base, _text(value, base))


def _reference(value: Any, base: Path) -> str:
    """A secret by reference; the path of a file is made absolute."""
    kind, _, name = _text(value, base).partition(":")
    _require(kind in ("env", "file") and name != "")
    return f"file:{path_from(base, name)}" if kind == "file" else str(value)


def _list_of(check: Callable[[Any, Path], Any]) -> Callable[[Any, Path], Any]:
    def check_list(value: Any, base: Path) -> tuple[Any, ...]:
        _require(isinstance(value, str | list))
        return tuple(check(element, base) for element in ([value] if isinstance(value, str) else value))

    return check_list


def _number(least: int, most: int) -> Callable[[Any, Path], int]:
    def check_number(value: Any, _: Path) -> int:
        _require(type(value) is int and least <= value <= most)
        return int(value)

    return check_number


def _boolean(value: Any, _: Path) -> bool:
    _require(isinstance(value, bool))
    return bool(value)


def _acknowledgement(value: Any, _: Path) -> str:
    _require(value in ("response", "early"))
    return str(value)


def _handshake(value: Any, _: Path) -> str:
    _require(value in ("auto", "app", "off"))
    return str(value)


def _measure(parse: Callable[[Any], Any]) -> Callable[[Any, Path], Any]:
    def check_measure(value: Any, _: Path) -> Any:
        try:
            return parse(value)
        except UsageError:
            raise ValueError from None

    return check_measure


def _route(value: Any, base: Path) -> "Route":
    _require(isinstance(value, dict) and value.keys() == {"match", "to"})
    return Route(_text(value["match"], base), _text(value["to"], base))


def _read_boolean(text: str) -> bool:
    lower = text.lower()
    _require(lower in ("1", "true", "yes", "on", "0", "false", "no", "off"))
    return lower in ("1", "true", "yes", "on")


def _read_relay_key(text: str) -> str:
    """The variable may hold the key itself; the setting is where it is."""
    return text if text.startswith(("env:", "file:")) else "env:WEBHOOKCTL_RELAY_KEY"


def _read_list(text: str) -> list[str]:
    return [element.strip() for element in text.split(",") if element.strip()]


_TEXT = Kind("a text", _text)
_URL = Kind("an http:// or https:// URL", _url)
_PATH = Kind("a path", _path)
_TEXTS = Kind("a list of texts", _list_of(_text), _read_list)
_PATHS = Kind("a list of paths", _list_of(_path), _read_list)
_PORT = Kind("a port from 0 to 65535", _number(0, 65535), int)
_COUNT = Kind("a whole number, 0 or more", _number(0, 2**63 - 1), int)
_COUNT_FROM_1 = Kind("a whole number from 1 to 1000", _number(1, 1_000), int)
_BOOLEAN = Kind("true or false", _boolean, _read_boolean)
_SECONDS = Kind("seconds, or a duration like 30s", _measure(parse_duration))
_BYTES = Kind("a size like 32MiB", _measure(parse_size))
_RELAY_KEY = Kind("env:NAME or file:PATH", _reference, _read_relay_key, is_secret=True)
_ACKNOWLEDGEMENT = Kind('"response" or "early"', _acknowledgement)
_HANDSHAKE = Kind('"auto", "app" or "off"', _handshake)
_REFERENCE = Kind("env:NAME or file:PATH", _reference)
_ROUTES = Kind("[[route]] tables with match and to", _list_of(_route))


def _known(kind: Kind, default: object, meaning: str) -> dict[str, Any]:
    """A row of the table of settings; `default` is written as in TOML, None for no value."""
    return {"kind": kind, "default": default, "meaning": meaning}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting for people: its name, its value without secrets, where it came from, what it means."""

    name: str
    shown_value: str
    origin: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Route:
    """Deliveries that `match` are forwarded to the URL `to`."""

    match: str
    to: str


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where the configuration says a provider's secrets are; several while they are rotated.

    Each of `references` is ``env:NAME``, ``file:PATH`` (relative to `base`) or the secret itself.
    """

    provider: str
    references: tuple[str, ...] = field(repr=False)
    base: Path
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The merged configuration; paths are absolute, sizes in bytes. The fields below are the settings there are."""

    endpoint: str | None = field(
        metadata=_known(_URL, None, "where replay and trigger send when no listener runs")
    )
    provider: str | None = field(
        metadata=_known(_TEXT, None, "the provider, when a request does not show it")
    )
    host: str = field(metadata=_known(_TEXT, "127.0.0.1", "the address listen binds"))
    port: int = field(metadata=_known(_PORT, 4400, "the port listen binds; 0 takes a free one"))
    forward_to: tuple[str, ...] = field(metadata=_known(_TEXTS, [], "where listen forwards deliveries"))
    events: tuple[str, ...] = field(
        metadata=_known(_TEXTS, [], "the event types that are forwarded; empty for all")
    )
    fixtures: Path = field(metadata=_known(_PATH, "fixtures", "the folder of the fixtures"))
    save: bool = field(metadata=_known(_BOOLEAN, True, "save deliveries as fixtures"))
    save_limit: int = field(metadata=_known(_COUNT, 20, "fixtures saved per event type at most"))
    ack: str = field(
        metadata=_known(_ACKNOWLEDGEMENT, "response", "answer with the app's response, or early")
    )
    handshake: str = field(
        metadata=_known(_HANDSHAKE, "auto", "who answers handshakes: app, off (nobody), or auto")
    )
    verify_token: str | None = field(
        metadata=_known(_REFERENCE, None, "where the verify token of handshakes is")
    )
    confirm_sns: bool = field(
        metadata=_known(_BOOLEAN, False, "open the URL that AWS SNS sends to confirm a subscription")
    )
    timeout_s: float = field(metadata=_known(_SECONDS, 30.0, "how long the app may take to answer"))
    max_body: int = field(metadata=_known(_BYTES, "32MiB", "the largest body taken in"))
    insecure: bool = field(metadata=_known(_BOOLEAN, False, "forward over TLS without checking certificates"))
    ca_file: Path | None = field(
        metadata=_known(_PATH, None, "certificates (PEM) trusted when forwarding over TLS")
    )
    tolerance_s: float | None = field(
        metadata=_known(_SECONDS, None, "age a signature may have; none: the provider's")
    )
    history_max_count: int = field(metadata=_known(_COUNT, 100_000, "exchanges kept in the history at most"))
    history_max_age_days: int = field(metadata=_known(_COUNT, 30, "days an exchange is kept in the history"))
    history_max_bytes: int = field(metadata=_known(_BYTES, "2GiB", "size of the history at most"))
    redact_headers: tuple[str, ...] = field(
        metadata=_known(_TEXTS, [], "further headers redacted in fixtures")
    )
    redact_fields: tuple[str, ...] = field(
        metadata=_known(_TEXTS, [], "further payload fields redacted in fixtures")
    )
    providers: tuple[Path, ...] = field(
        metadata=_known(_PATHS, [], "files of signing schemes of your own (TOML)")
    )
    route: tuple[Route, ...] = field(metadata=_known(_ROUTES, [], "deliveries that are forwarded elsewhere"))
    relay: str | None = field(
        metadata=_known(_TEXT, None, "the relay that gives listen a public URL: https://relay.example.com")
    )
    channel: str | None = field(metadata=_known(_TEXT, None, "the channel on the relay, by its name"))
    relay_key: str | None = field(
        metadata=_known(_RELAY_KEY, None, "where the channel's key is; none: remembered in .webhookctl/")
    )
    relay_concurrency: int = field(
        metadata=_known(_COUNT_FROM_1, 1, "relayed deliveries forwarded at once; above 1 their order is lost")
    )
    headers: tuple[tuple[str, str], ...] = ()
    secrets: tuple[SecretSource, ...] = ()
    root: Path
    profile: str | None = None
    files: tuple[Path, ...] = ()
    _entries: tuple[Setting, ...] = field(default=(), repr=False)

    def entries(self) -> tuple[Setting, ...]:
        """Every setting, then each header and secret (``secrets.stripe``); secrets are not shown."""
        return self._entries

    def origin(self, name: str) -> str:
        """Where the setting `name` came from: ``default``, ``env WEBHOOKCTL_PORT``, ``webhookctl.toml:3``.

        Raises UsageError `config-unknown-key`, with a suggestion.
        """
        for entry in self._entries:
            if entry.name == name:
                return entry.origin
        raise unknown_name("setting", name, [entry.name for entry in self._entries])


def unknown_name(what: str, name: str, known: Iterable[str], *, place: str = "") -> UsageError:
    """The error `config-unknown-key` for a `what` called `name`, found at `place`, with a suggestion."""
    from difflib import get_close_matches

    close = get_close_matches(name, known := sorted(known), n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
    return UsageError("config-unknown-key", f"{place and place + ': '}unknown {what} {name}", hint)
