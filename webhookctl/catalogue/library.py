"""The catalogue's shelves: the data files in the package, the names in them, and finding an event by its name.

Knows nothing of what is inside a template; reads package data only.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable
from functools import cache, reduce
from importlib import resources

from webhookctl.catalogue.template import ANY_EVENT, Node, Table, Template, compose, merged, table
from webhookctl.errors import UsageError

_EVENT_HEADING = re.compile(r'^\[event\.(?:"([^"]+)"|([\w-]+))\]', re.MULTILINE)


def providers() -> tuple[str, ...]:
    """The ids of all providers with forgeable events, sorted."""
    return tuple(sorted({file.split(".")[0] for file in _files()}))


def names(provider: str | None = None) -> tuple[str, ...]:
    """The names of all forgeable events (``stripe/payment_intent.succeeded``), or of one provider's, sorted.

    Empty for a provider that takes any event, and for one that is not known.
    """
    wanted = providers() if provider is None else (provider,)
    return tuple(sorted(f"{one}/{event}" for one in wanted for event in _events(one) if event != ANY_EVENT))


def accepts_any_event(provider: str) -> bool:
    """True for the providers without a fixed list of events (``standardwebhooks``): every type can be forged."""
    return ANY_EVENT in _events(provider)


def resolve(name: str, *, provider: str | None = None) -> Template:
    """The template that `name` stands for, with or without its provider in front.

    Case and the choice between ``.`` and ``/`` do not matter (``pull_request/opened``); where a provider's names
    end in an action, the event alone stands for its first declared action.
    Raises UsageError: ``event-unknown``, ``event-ambiguous`` (several providers), ``provider-unknown``.
    """
    head, _, rest = name.partition("/")
    if provider is not None and provider not in providers():
        near = _near(provider, providers())
        raise UsageError(
            "provider-unknown", f"no forgeable events of a provider {provider!r}", near or _LIST_HINT
        )
    if rest and head in providers() and provider in (None, head):
        provider, name = head, rest
    if provider is not None:
        event = _found(name, provider)
        if event is None:
            raise _unknown(name, provider)
        return _template(provider, event)
    matches = {
        one: event for one in providers() if not accepts_any_event(one) and (event := _found(name, one))
    }
    if not matches:
        raise _unknown(name, None)
    if len(matches) > 1:
        full = ", ".join(f"{one}/{event}" for one, event in matches.items())
        raise UsageError("event-ambiguous", f"several providers have an event {name!r}", f"say which: {full}")
    return _template(*next(iter(matches.items())))


_LIST_HINT = "`webhookctl trigger --list` shows all events"


def _unknown(name: str, provider: str | None) -> UsageError:
    of_provider = f" of {provider}" if provider else ""
    near = _near(name, names(provider))
    hint = f"{near}; {_LIST_HINT}" if near else _LIST_HINT
    return UsageError("event-unknown", f"no forgeable event {name!r}{of_provider}", hint)


def _near(name: str, known: Iterable[str]) -> str:
    """``did you mean a, b or c?`` with up to three of `known`, "" when none is like `name`."""
    by_text = {form: full for full in known for form in (_folded(full), _folded(full.partition("/")[2]))}
    close = difflib.get_close_matches(_folded(name), by_text, n=6, cutoff=0.6)
    best = list(dict.fromkeys(by_text[text] for text in close))[:3]
    return f"did you mean {' or '.join(filter(None, (', '.join(best[:-1]), best[-1])))}?" if best else ""


def _found(name: str, provider: str) -> str | None:
    """The provider's event that `name` (without a provider) stands for, or None."""
    if not name or accepts_any_event(provider):
        return name or None
    wanted = _folded(name)
    events = _events(provider)
    exact = (event for event in events if _folded(event) == wanted)
    actions = (event for event in events if _folded(event).rpartition(".")[0] == wanted)
    has_actions = _document(provider).get("has_actions", False)
    return next(exact, None) or (next(actions, None) if has_actions else None)


def _folded(name: str) -> str:
    return name.casefold().replace("/", ".")


@cache
def _template(provider: str, event: str) -> Template:
    return compose(_document(provider), provider=provider, event=event)


@cache
def _document(provider: str) -> Table:
    """A provider's data: all its files (``stripe.toml``, ``stripe.billing.toml``) laid over each other by name."""
    parts: list[Node] = [tomllib.loads(_text(file)) for file in _files() if file.split(".")[0] == provider]
    return table(reduce(merged, parts))


@cache
def _events(provider: str) -> tuple[str, ...]:
    """Event names in the order declared, from the headings alone: parsing every file is too slow for completion."""
    texts = (_text(file) for file in _files() if file.split(".")[0] == provider)
    return tuple(quoted or bare for text in texts for quoted, bare in _EVENT_HEADING.findall(text))


@cache
def _files() -> tuple[str, ...]:
    folder = resources.files(__package__).joinpath("data")
    return tuple(sorted(file.name for file in folder.iterdir() if file.name.endswith(".toml")))


def _text(file: str) -> str:
    return resources.files(__package__).joinpath("data", file).read_text("utf-8")
