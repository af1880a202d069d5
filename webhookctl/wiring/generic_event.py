"""Events of providers that the catalogue does not know: a plain payload that says its event and id where they look.

Knows schemes and templates; must not know sending.
"""

from dataclasses import replace

from webhookctl import catalogue
from webhookctl.catalogue import Template
from webhookctl.catalogue.template import Table
from webhookctl.signing import Scheme
from webhookctl.signing.place import Place, Rule

_GENERIC = "generic"


def generic_template(scheme: Scheme, event: str) -> Template:
    """The template of `event` for a provider without events of its own: any name will do."""
    template = catalogue.resolve(event, provider=_GENERIC)
    body = dict(template.body) if isinstance(template.body, dict) else {}
    headers = template.delivery["headers"]
    headers = dict(headers) if isinstance(headers, dict) else {}
    for rules, text in ((scheme.detection.event, "{event}"), (scheme.detection.delivery_id, "{delivery.id}")):
        place = _only_place(rules)
        if place is not None and place.source == "header":
            headers[place.header.decode("ascii").title()] = text
        elif place is not None and place.source == "body" and place.path:
            _set(body, place.path, text)
    return replace(
        template, provider=scheme.id, body=body, delivery={**template.delivery, "headers": headers}
    )


def _only_place(rules: tuple[Rule, ...]) -> Place | None:
    """The place that the first rule reads as a whole; None for rules that join or test."""
    if not rules or rules[0].condition is not None:
        return None
    pieces = rules[0].pieces
    if len(pieces) != 1 or pieces[0][0]:
        return None
    return pieces[0][1]


def _set(body: Table, path: tuple[str, ...], text: str) -> None:
    *above, last = path
    for step in above:
        inner = body.get(step)
        copy: Table = dict(inner) if isinstance(inner, dict) else {}  # the template's own tables are shared
        body[step] = copy
        body = copy
    body[last] = text
