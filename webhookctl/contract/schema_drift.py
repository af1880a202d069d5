"""How a provider's schema differs from what is read of an event: breaking, notice, nothing.

Pure. Must not know where schemas come from, nor how a finding is shown.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from webhookctl.contract.drift import Change, EventDrift, Finding, Weight
from webhookctl.contract.model import Json
from webhookctl.contract.profile import Type, parse_type
from webhookctl.contract.schema_shape import Document, Each, Step, View, is_unsaid, kinds, type_of

ANYTHING = "anything"
ANY_TEXT = "any string"
Steps: TypeAlias = tuple[Step, ...]
_STEP = re.compile(r'("(?:[^"\\]|\\.)*")|(\[[0-9]*\])|([^.\[\]"]+)')
_METHODS = ("post", "put", "patch", "get")


def is_openapi(document: Json) -> bool:
    """Whether `document` is a whole OpenAPI document: one that may describe several events."""
    return isinstance(document, dict) and "openapi" in document


def event_schema(document: Document, event: str) -> Json | None:
    """The schema that an OpenAPI document has among its `webhooks` for `event`; None when it has no such webhook.

    Raises ValueError when the webhook says nothing of a JSON body.
    """
    webhooks = document.root.get("webhooks") if isinstance(document.root, dict) else None
    if not isinstance(webhooks, dict) or event not in webhooks:
        return None
    return body_schema(document, webhooks[event])


def body_schema(document: Document, found: Json) -> Json:
    """The schema of the body where `found` is a webhook or an operation of OpenAPI; else `found`, a schema itself.

    Raises ValueError when it says nothing of a JSON body.
    """
    place = _followed(document, found)
    operation = next((place[method] for method in _METHODS if method in place), place)
    asked = _followed(document, operation)
    if operation is place and "requestBody" not in asked:
        return found
    contents = _followed(document, asked.get("requestBody", {})).get("content")
    for media_type, content in contents.items() if isinstance(contents, dict) else ():
        if "json" in media_type.lower() and isinstance(content, dict) and "schema" in content:
            schema: Json = content["schema"]
            return schema
    raise ValueError("the webhook says nothing of a JSON body")


def _followed(document: Document, found: Json) -> dict[str, Json]:
    """`found`, or what it refers to; an object without members for what is none."""
    for _ in range(10):
        if not isinstance(found, dict):
            return {}
        reference = found.get("$ref")
        if not isinstance(reference, str):
            return found
        found = document.target(reference)
    raise ValueError("its references lead round in a circle")


def compare_schema(
    event: str, schema: Json, *, document: Document, reads: Mapping[str, str], label: str
) -> EventDrift:
    """What `schema`, a part of `document`, promises no more of the paths that are read of `event`.

    `label` says where it was found. Raises ValueError for a schema that cannot be used, a type of `reads` that is none.
    """
    wanted = {_steps(path): (path, parse_type(text)) for path, text in reads.items()}
    root = document.views(schema)
    if any(is_unsaid(view) for view in root):
        raise ValueError("it does not say what a body looks like: name the schema with #/pointer")
    look = _Look(document, root, wanted, label)
    for steps in sorted(wanted, key=len):
        look.at(steps)
    findings = sorted(look.findings, key=lambda each: (each.weight is not Weight.BREAKING, each.path))
    changed = {finding.path for finding in findings}
    return EventDrift(event, 0, tuple(findings), len(reads), len(reads.keys() - changed))


@dataclass(slots=True)
class _Look:
    """One schema looked at."""

    document: Document
    root: tuple[View, ...]
    reads: Mapping[Steps, tuple[str, Type]]
    label: str
    findings: list[Finding] = field(default_factory=list)
    _broken: set[Steps] = field(default_factory=set)

    def at(self, steps: Steps) -> None:
        """Add what is found at a path that is read; those that lead there come first."""
        path, wanted = self.reads[steps]
        before = len(self.findings)
        self._judge(steps, path, wanted)
        if any(each.weight is Weight.BREAKING for each in self.findings[before:]):
            self._broken.add(steps)

    def _judge(self, steps: Steps, path: str, wanted: Type) -> None:
        views, is_missing, is_open = self._reached(steps)
        may_be_absent = "absent" in wanted.kinds
        if not views and not is_open:
            if not may_be_absent and not any(steps[: len(each)] == each for each in self._broken):
                self._found(path, Change.VANISHED, wanted, "absent")
            return
        if is_missing and not may_be_absent:
            self._found(path, Change.OPTIONAL, wanted, "absent")
        if is_open or any(is_unsaid(view) for view in views):
            self._found(path, Change.RETYPED, wanted, ANYTHING, Weight.NOTICE)
        offered = type_of([view for view in views if not is_unsaid(view)])
        unread = {kind for kind in offered.kinds if not wanted.allows(kind)}
        if unread:
            is_null = unread == {"null"} and len(offered.kinds) > 1
            self._found(path, Change.NULL if is_null else Change.RETYPED, wanted, str(offered))
        if wanted.texts is not None and "string" in offered.kinds:
            self._judge_texts(path, wanted, wanted.texts, offered.texts)

    def _judge_texts(
        self, path: str, wanted: Type, read: frozenset[str], offered: frozenset[str] | None
    ) -> None:
        if offered is None:
            self._found(path, Change.VALUE, wanted, ANY_TEXT)
            return
        if gained := offered - read:
            self._found(path, Change.VALUE, wanted, _texts(gained))
        if lost := read - offered:
            self._found(path, Change.VALUE_GONE, wanted, _texts(lost), Weight.NOTICE)

    def _reached(self, steps: Steps) -> tuple[tuple[View, ...], bool, bool]:
        """What may be at a path, whether it may be missing, whether some of it is left open.

        A place on the way that is read itself answers for being there and for what kind it is.
        """
        views, is_missing, is_open = self.root, False, False
        for index, step in enumerate(steps):
            is_answered = steps[:index] in self.reads
            is_next_answered = index + 1 < len(steps) and steps[: index + 1] in self.reads
            holder = "array" if step is Each.ELEMENT else "object"
            reached: dict[tuple[int, ...], View] = {}
            for view in views:
                if is_unsaid(view):
                    is_open = True
                    continue
                is_missing |= not is_answered and kinds(view) != {holder}
                if holder in kinds(view):
                    children = self.document.child(view, step)
                    is_missing |= children.is_missing and not is_next_answered
                    is_open |= children.is_open
                    reached |= {tuple(map(id, each)): each for each in children.views}
            views = tuple(reached.values())
        return views, is_missing, is_open

    def _found(
        self, path: str, change: Change, wanted: Type, received: str, weight: Weight = Weight.BREAKING
    ) -> None:
        self.findings.append(Finding(path, change, weight, str(wanted), received, self.label, self.label))


def _texts(texts: frozenset[str]) -> str:
    return str(Type(frozenset({"string"}), texts))


def _steps(path: str) -> Steps:
    return tuple(_step(match) for match in _STEP.finditer(path))


def _step(match: re.Match[str]) -> Step:
    quoted, bracket, name = match.groups()
    if quoted:
        return str(json.loads(quoted))
    if bracket:
        return Each.ELEMENT
    return Each.ENTRY if name == "{*}" else str(name)
