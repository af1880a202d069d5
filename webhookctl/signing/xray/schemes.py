"""The other schemes that a request may be signed by, told from the names of its headers.

Must not judge signatures.
"""

from collections.abc import Iterator, Mapping
from functools import cache

from webhookctl.model import Request
from webhookctl.signing.index import index
from webhookctl.signing.scheme import Scheme
from webhookctl.signing.scheme_file import load
from webhookctl.signing.xray.search import Search

MAX_SCHEMES = 12


def other_schemes(scheme: Scheme, request: Request, search: Search) -> Iterator[Scheme]:
    """The schemes, the user's own first, that a header of `request` speaks for; `scheme` itself left out."""
    names = {name.lower() for name, _ in request.headers}
    seen = {scheme.id}
    for own in search.schemes:
        if own.id not in seen and not names.isdisjoint(own.headers_by_name):
            seen.add(own.id)
            yield own
    ranked = sorted({entry for name in names for entry in _by_header().get(name, ())})
    for _, provider in ranked[: MAX_SCHEMES + 1]:
        if provider not in seen:
            yield load(provider)


@cache
def _by_header() -> Mapping[bytes, list[tuple[int, str]]]:
    """The packaged providers, with their ranks, that each header speaks for."""
    found: dict[bytes, list[tuple[int, str]]] = {}
    for provider, rules in index():
        for recognition in rules.headers:
            found.setdefault(recognition.name, []).append((rules.rank, provider))
    return found
