"""The index of what gives the packaged providers away, so that recognising one reads no other's file.

`index_text` makes it anew from the scheme files; a test compares. Must not know requests.
"""

import json
from functools import cache

from webhookctl.signing.scheme import DetectionRules
from webhookctl.signing.scheme_file import load, parse_field_recognition, parse_recognition, provider_ids

NAME = "index.json"


def index_text() -> str:
    """The index as it should stand in ``data/index.json``: a line for each provider that a request can give away.

    Made by ``python -c 'from webhookctl.signing.index import index_text; print(index_text(), end="")'``.
    """
    lines = []
    for provider in provider_ids():
        rules = load(provider).detection
        if rules.headers or rules.fields:
            headers = [_text(entry.text, entry.prefix.decode("utf-8")) for entry in rules.headers]
            fields = [_text(entry.text, entry.prefix) for entry in rules.fields]
            lines.append(json.dumps([provider, rules.rank, headers, fields], ensure_ascii=False))
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _text(name: str, prefix: str) -> str:
    return f"{name}: {prefix}" if prefix else name


@cache
def index() -> tuple[tuple[str, DetectionRules], ...]:
    """Each provider of the index with what gives it away and its rank; its other rules are in its own file."""
    from importlib.resources import files

    entries = json.loads(files("webhookctl.signing").joinpath("data", NAME).read_text(encoding="utf-8"))
    return tuple(
        (
            provider,
            DetectionRules(
                headers=tuple(parse_recognition(text) for text in headers),
                fields=tuple(parse_field_recognition(text) for text in fields),
                rank=rank,
            ),
        )
        for provider, rank, headers, fields in entries
    )
