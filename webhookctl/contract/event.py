"""Puts what a delivery says into the texts that ask about it: ``{event.data.object.id}``.

Pure. Must not know how a delivery was made or sent.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from shlex import quote as quoted_for_shell
from urllib.parse import parse_qsl
from urllib.parse import quote as quoted_for_url

from webhookctl.contract.model import (
    BodyExpectation,
    CommandEffect,
    Effect,
    Expectation,
    HttpEffect,
    Json,
    MockEffect,
)
from webhookctl.errors import UsageError

Quote = Callable[[str], str]
_EVENT = re.compile(r"\{event\.([^{}]+)\}")


def document(body: bytes) -> Json:
    """What a body says: JSON, else the fields of a form by name, else None."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace")
        return dict(parse_qsl(text)) if "=" in text else None


def filled_effect(effect: Effect, event: Json) -> Effect:
    """`effect` with every ``{event.path}`` in it replaced. Raises UsageError `event-field-missing`."""
    if isinstance(effect, MockEffect):
        path = None if effect.path is None else filled(effect.path, event, _url)
        return replace(effect, path=path, body=_body(effect.body, event))
    if isinstance(effect, HttpEffect):
        expect = replace(effect.expect, body=_body(effect.expect.body, event))
        return replace(effect, url=filled(effect.url, event, _url), expect=expect)
    return _command(effect, event)


def filled_expectation(expect: Expectation, body: bytes) -> Expectation:
    """`expect` of an answer with every ``{event.path}`` in its body filled in from the delivery with this `body`.

    Raises UsageError `event-field-missing`.
    """
    if expect.body.is_empty or "{event." not in f"{expect.body}":
        return expect
    return replace(expect, body=_body(expect.body, document(body)))


def _command(effect: CommandEffect, event: Json) -> CommandEffect:
    quote = quoted_for_shell if effect.command.is_shell else str
    command = replace(
        effect.command,
        arguments=tuple(filled(text, event, quote) for text in effect.command.arguments),
        environment={name: filled(text, event) for name, text in effect.command.environment.items()},
    )
    return replace(
        effect,
        command=command,
        stdout=None if effect.stdout is None else filled(effect.stdout, event),
        matches=None if effect.matches is None else filled(effect.matches, event, re.escape),
    )


def _body(expect: BodyExpectation, event: Json) -> BodyExpectation:
    return replace(
        expect,
        subset=_json(expect.subset, event),
        exactly=_json(expect.exactly, event),
        text=None if expect.text is None else filled(expect.text, event),
        matches=None if expect.matches is None else filled(expect.matches, event, re.escape),
    )


def _json(value: Json, event: Json) -> Json:
    if isinstance(value, str):
        whole = _EVENT.fullmatch(value)
        return _at(event, whole[1]) if whole else filled(value, event)  # alone it keeps its type
    if isinstance(value, dict):
        return {key: _json(each, event) for key, each in value.items()}
    return [_json(each, event) for each in value] if isinstance(value, list) else value


def filled(text: str, event: Json, quote: Quote = str) -> str:
    """`text` with ``{event.path}`` replaced by what `event` says there, through `quote`; JSON for what is no text.

    Raises UsageError `event-field-missing`.
    """

    def value(match: re.Match[str]) -> str:
        found = _at(event, match[1])
        return quote(found if isinstance(found, str) else json.dumps(found))

    return _EVENT.sub(value, text)


def _url(text: str) -> str:
    return quoted_for_url(text, safe="")


def _at(event: Json, path: str) -> Json:
    found = event
    for step in path.split("."):
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif (
            isinstance(found, Sequence)
            and not isinstance(found, str)
            and step.isdecimal()
            and int(step) < len(found)
        ):
            found = found[int(step)]
        else:
            raise UsageError(
                "event-field-missing",
                f"{{event.{path}}}: the delivery has no {path}",
                "webhookctl fixtures show prints what a fixture holds",
            )
    return found
