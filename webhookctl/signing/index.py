"""The index of the packaged providers: what gives each away, its name, its variables; so that no file need be read.

`index_text` makes it anew from the scheme files; a test compares. Must not know requests.
"""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from webhookctl.signing.scheme import DetectionRules
from webhookctl.signing.scheme_file import load, parse_field_recognition, parse_recognition, provider_ids

NAME = "index.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a packaged provider without reading its file."""

    id: str
    name: str
    evidence: str
    secret_variables: tuple[str, ...]

    @property
    def is_verified(self) -> bool:
        return self.evidence == "verified"


def index_text() -> str:
    """The index as it should stand in ``data/index.json``: a line for each provider. `make docs` writes it."""
    lines = []
    for provider in provider_ids():
        scheme = load(provider)
        rules = scheme.detection
        headers = [_text(entry.text, entry.prefix.decode("utf-8")) for entry in rules.headers]
        fields = [_text(entry.text, entry.prefix) for entry in rules.fields]
        about = [scheme.name, scheme.evidence, list(scheme.secret_variables)]
        lines.append(json.dumps([provider, rules.rank, headers, fields, *about], ensure_ascii=False))
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _text(name: str, prefix: str) -> str:
    return f"{name}: {prefix}" if prefix else name


@cache
def index() -> tuple[tuple[str, DetectionRules], ...]:
    """Each provider that a request can give away, by what, and its rank; its other rules are in its own file."""
    return tuple(
        (
            provider,
            DetectionRules(
                headers=tuple(parse_recognition(text) for text in headers),
                fields=tuple(parse_field_recognition(text) for text in fields),
                rank=rank,
            ),
        )
        for provider, rank, headers, fields, *_ in _lines()
        if headers or fields
    )


@cache
def entries() -> dict[str, Entry]:
    """Name, evidence and variables of every packaged provider, by id."""
    return {
        provider: Entry(provider, name, evidence, tuple(variables))
        for provider, _, _, _, name, evidence, variables in _lines()
    }


@cache
def _lines() -> list[list[Any]]:  # Any: parsed JSON, in the order that `index_text` writes
    from importlib.resources import files

    text = files("webhookctl.signing").joinpath("data", NAME).read_text(encoding="utf-8")
    lines: list[list[Any]] = json.loads(text)
    return lines
