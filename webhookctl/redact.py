"""Secrets taken out of a request before it is saved, and found in what was saved; everything else stays as it is.

Must not know which provider a request is from: its signature headers and secret fields are passed in.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import pairwise
from urllib.parse import unquote_to_bytes

from webhookctl import jsontext
from webhookctl.model import Headers

RESIGN = b"{resign}"
"""Stands for a signature: replaying computes a fresh one."""
REDACTED = b"{redacted}"
"""Stands for any other secret: replaying leaves it so, or takes the user's own value."""

_HEADER_NAMES = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_HEADER_WORDS = frozenset(
    {"token", "tokens", "secret", "secrets", "password", "session", "apikey", "authorization"}
)
_CREDENTIAL_KEYS = (
    *("access_token", "refresh_token", "id_token", "auth_token", "bearer_token", "session_token"),
    *("secret", "secret_key", "secret_access_key", "api_key", "apikey", "private_key"),
    *("password", "passwd", "authorization"),
)
# A credential under a longer name is one as well: client_secret, bot_access_token.
_CREDENTIAL_SUFFIXES = tuple(f"_{key}" for key in _CREDENTIAL_KEYS)
_QUERY_CREDENTIALS = ("token", "sig", "signature")
_NEEDS_QUOTES = re.compile(r'[."\[\]]')
_CAMEL_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_FORM_TYPE = "application/x-www-form-urlencoded"
_FORM_FIELD = re.compile(rb"([^&=]*)=([^&]*)")
_FORM_CHARACTER = re.compile(rb"%[0-9A-Fa-f]{2}|[^%]|%", re.DOTALL)

_SECRET_FORMS = {
    "webhook secret (whsec_)": rb"\bwhsec_(?!test)[A-Za-z0-9+/_-]{24,}",
    "webhook private key (whsk_)": rb"\bwhsk_[A-Za-z0-9+/_-]{24,}",
    "Stripe live key (sk_live_)": rb"\bsk_live_[A-Za-z0-9]{16,}",
    "Stripe restricted key (rk_live_)": rb"\brk_live_[A-Za-z0-9]{16,}",
    "GitHub token (ghp_, gho_, ghu_, ghs_, ghr_)": rb"\bgh[opusr]_[A-Za-z0-9]{36,}",
    "GitHub token (github_pat_)": rb"\bgithub_pat_[A-Za-z0-9_]{22,}",
    "Slack token (xox)": rb"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    "Shopify secret (shpss_, shpat_)": rb"\bshp(?:ss|at)_[A-Fa-f0-9]{32}",
    "AWS access key id (AKIA)": rb"\bAKIA[A-Z0-9]{16}\b",
    "private key (PEM)": rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "JSON Web Token": rb"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}",
}

_JSON_STRING = re.compile(rb'"((?:[^"\\]++|\\.)*+)"(\s*:)?', re.DOTALL)  # with a colon behind it: a name

_Span = tuple[int, int, str]
"""Where a secret stands (start, end) and the dotted path of its field."""


def redact_headers(
    headers: Headers, *, signature_names: Collection[str], extra_names: Collection[str] = ()
) -> tuple[Headers, tuple[str, ...]]:
    """`headers` with secret values replaced, and the names redacted, each once, in order of appearance.

    Values of `signature_names` become ``{resign}``. Those of credentials, cookies, `extra_names` and of names
    with a word such as token, secret, api-key, password or session become ``{redacted}``. Names, order, case and
    duplicates stay; an empty value holds no secret and stays, as does one that is such a placeholder already.
    """
    signatures = {name.lower() for name in signature_names}
    extras = {name.lower() for name in extra_names}
    redacted: list[tuple[bytes, bytes]] = []
    names: dict[str, None] = {}
    for name, value in headers:
        text = name.decode("latin-1")
        placeholder = None
        if text.lower() in signatures:
            placeholder = RESIGN
        elif text.lower() in extras or _is_secret_header(text.lower()):
            placeholder = REDACTED
        if placeholder is None or value in (b"", RESIGN, REDACTED):
            redacted.append((name, value))
        else:
            redacted.append((name, placeholder))
            names[text] = None
    return tuple(redacted), tuple(names)


def redact_body(
    body: bytes, *, content_type: str | None, fields: Collection[str] = ()
) -> tuple[bytes, tuple[str, ...]]:
    """`body` with the secrets in JSON or form fields replaced by ``{redacted}``, and their dotted paths.

    `fields` are the provider's own secret fields as dotted paths (``token``, ``items.*.key``); besides these,
    any key that is unmistakably a credential (``client_secret``, ``accessToken``). Only strings that are not
    empty are replaced, also those in a list under such a key; JSON within a form field (``payload=``) is looked
    into. Every other byte stays; a body that is neither JSON nor a form is returned as it is. Never raises.
    """
    paths = [field.split(".") for field in fields]
    if (content_type or "").partition(";")[0].strip().lower() == _FORM_TYPE:
        return _replaced(body, list(_form_secrets(body, paths, is_secret_name=_is_credential)))
    return _replaced(body, _json_secrets(body, paths))


def redact_target(target: str, *, fields: Collection[str] = ()) -> tuple[str, tuple[str, ...]]:
    """The request target with the values of secret query parameters replaced, and the names of these.

    Secret are `fields`, credential names as in bodies, and ``token``, ``sig``, ``signature``. `target` is
    latin-1, as in `Request`.
    """
    path, mark, query = target.partition("?")
    spans = _form_secrets(
        query.encode("latin-1"),
        [field.split(".") for field in fields],
        is_secret_name=lambda name: name.lower() in _QUERY_CREDENTIALS or _is_credential(name),
    )
    replaced, names = _replaced(query.encode("latin-1"), list(spans))
    return f"{path}{mark}{replaced.decode('latin-1')}", names


def find_secrets(text: bytes) -> list[str]:
    """The kinds of well-known keys that occur in `text`, as names to show; never a value."""
    return [kind for kind, form in _SECRET_FORMS.items() if re.search(form, text)]


def _is_secret_header(name: str) -> bool:
    if name in _HEADER_NAMES:
        return True
    words = re.split(r"[-_.]", name)
    return not _HEADER_WORDS.isdisjoint(words) or ("api", "key") in pairwise(words)


@lru_cache(maxsize=1024)
def _is_credential(key: str) -> bool:
    name = _CAMEL_HUMP.sub("_", key).lower().replace("-", "_")
    return name in _CREDENTIAL_KEYS or name.endswith(_CREDENTIAL_SUFFIXES)


def _json_secrets(body: bytes, fields: Sequence[list[str]]) -> list[_Span]:
    """The insides of the secret strings of `body`; none when it is not a JSON object or array."""
    if not _may_hold_secrets(body, fields):
        return []
    spans: list[_Span] = []
    levels: list[_Level] = []
    with suppress(jsontext.JsonTextError):
        for kind, start, end in jsontext.iter_tokens(body):
            level = levels[-1] if levels else _NO_LEVEL
            if kind == "{":
                levels.append(_Level())
            elif kind == "[":
                levels.append(_Level("0", is_array=True, is_secret=level.is_secret))
            elif kind in "}]":
                levels.pop()
            elif kind == ",":
                level.advance()
            elif kind == "string" and level.is_before_name:
                level.enter(json.loads(body[start:end]))
            elif kind == "string" and body[start + 1 : end - 1] not in (b"", REDACTED):
                steps = [each.step for each in levels]
                if level.is_secret or any(_fits(steps, field) for field in fields):
                    spans.append((start + 1, end - 1, _dotted(steps)))
        return spans
    return []


def _may_hold_secrets(body: bytes, fields: Sequence[list[str]]) -> bool:
    """Whether a name in `body` could be one of a secret: reading it whole takes far longer than looking for names."""
    names = {_unquoted(name) for name in {match[1] for match in _JSON_STRING.finditer(body) if match[2]}}
    if any(map(_is_credential, names)):
        return True
    return any(all(step in names or step == "*" or step.isdigit() for step in field) for field in fields)


def _unquoted(name: bytes) -> str:
    try:
        return str(json.loads(b'"%b"' % name))
    except ValueError:
        return ""  # this is no JSON: nothing in it will be found


class _Level:
    """An object or array being read: the name or index it is at, and whether strings here are secret."""

    __slots__ = ("is_array", "is_before_name", "is_secret", "step")

    def __init__(self, step: str = "", *, is_array: bool = False, is_secret: bool = False) -> None:
        self.step = step
        self.is_array = is_array
        self.is_secret = is_secret
        self.is_before_name = not is_array

    def enter(self, name: str) -> None:
        self.step = name
        self.is_secret = _is_credential(name)
        self.is_before_name = False

    def advance(self) -> None:
        if self.is_array:
            self.step = str(int(self.step) + 1)
        else:
            self.is_before_name = True


_NO_LEVEL = _Level(is_array=True)  # what is around the document: a bare string has no name


def _fits(steps: Sequence[str], field: Sequence[str]) -> bool:
    if len(steps) != len(field):
        return False
    return all(wanted in ("*", step) for step, wanted in zip(steps, field, strict=True))


def _dotted(steps: Sequence[str]) -> str:
    return ".".join(json.dumps(step) if _NEEDS_QUOTES.search(step) else step for step in steps)


def _form_secrets(
    form: bytes, fields: Sequence[list[str]], *, is_secret_name: Callable[[str], bool]
) -> Iterator[_Span]:
    """The secret values of `form`, and those in JSON within a value, where they stand percent-encoded."""
    for match in _FORM_FIELD.finditer(form):
        start, end = match.span(2)
        name = _decoded(match[1]).decode("utf-8", "replace")
        innermost = name.rstrip("]").rpartition("[")[2]
        if match[2] in (b"", REDACTED):
            continue
        if is_secret_name(innermost) or [name] in fields:
            yield start, end, name
        elif (value := _decoded(match[2])).lstrip().startswith((b"{", b"[")):
            inner = _json_secrets(value, fields)
            offsets = [place.start() for place in _FORM_CHARACTER.finditer(match[2])] if inner else []
            for first, last, path in inner:
                yield start + offsets[first], start + offsets[last], f"{name}.{path}"


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _replaced(text: bytes, spans: Sequence[_Span]) -> tuple[bytes, tuple[str, ...]]:
    parts = []
    position = 0
    for start, end, _ in spans:
        parts += [text[position:start], REDACTED]
        position = end
    parts.append(text[position:])
    return b"".join(parts), tuple(dict.fromkeys(path for _, _, path in spans))
