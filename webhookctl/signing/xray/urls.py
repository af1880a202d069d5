"""The URLs that a sender may have called: another scheme, host, port, slash, query or path than is seen here.

Must not know signatures: a URL and headers in, URLs with their deviations out.
"""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from webhookctl.model import Headers, header_value
from webhookctl.signing.xray.causes import Deviation

MAX_DEVIATIONS = 3  # behind a proxy scheme, host and port change together
MAX_QUERY_CHARACTERS = 4_000

_HOSTS = ("X-Forwarded-Host", "X-Original-Host", "Host")
_PATHS = ("X-Forwarded-Uri", "X-Original-Uri", "X-Original-URL", "X-Rewrite-URL")
_PORTS = {"http": "80", "https": "443"}


class UrlForm(NamedTuple):
    """One URL that may have been signed, its path and query as in a request line, and how it deviates."""

    url: str
    path: str
    deviations: tuple[Deviation, ...]


_Options = list[tuple[str, Deviation | None]]


def url_forms(url: str, target: str, headers: Headers) -> Iterator[UrlForm]:
    """Each URL, with few deviations first. With `url` empty only the path and query of `target` vary."""
    try:
        (url + target).encode("utf-8")
        parts = urlsplit(url or target)
        host, port = parts.hostname or "", str(parts.port or "")
    except ValueError:  # no URL that could have been called
        return
    named: list[_Options] = [
        _schemes(parts.scheme) if url else [(parts.scheme, None)],
        _hosts(host, headers) if url else [(host, None)],
        _ports(port, headers) if url else [(port, None)],
        _paths(parts.path, headers),
        _queries(parts.query, has_query="?" in (url or target)),
    ]
    forms = []
    for choice in product(*named):
        deviations = tuple(deviation for _, deviation in choice if deviation is not None)
        if 0 < len(deviations) <= MAX_DEVIATIONS:
            scheme, name, number, path, query = (text for text, _ in choice)
            forms.append(_form((scheme, name, number), path + query, deviations))
    forms.sort(key=lambda form: len(form.deviations))
    yield from forms


def _form(authority: tuple[str, str, str], line: str, deviations: tuple[Deviation, ...]) -> UrlForm:
    scheme, host, port = authority
    shown = f"[{host}]" if ":" in host else host
    origin = f"{scheme}://{shown}{':' + port if port else ''}"
    return UrlForm(origin + line if scheme else line, line, deviations)


def _schemes(scheme: str) -> _Options:
    other = "http" if scheme == "https" else "https"
    return [(scheme, None), (other, Deviation("url-scheme", f"with {other}://"))]


def _hosts(host: str, headers: Headers) -> _Options:
    options: _Options = [(host, None)]
    for name in _HOSTS:
        value = header_value(headers, name)
        if value:
            text = value.decode("latin-1").split(",")[0].strip()
            bare = text if text.endswith("]") else text.rpartition(":")[0] or text
            if bare.lower() not in {known.lower() for known, _ in options}:
                options.append((bare.strip("[]"), Deviation("url-host", f"with the host of {name}")))
    return options


def _ports(port: str, headers: Headers) -> _Options:
    ports = ["", *_PORTS.values()]
    forwarded = header_value(headers, "X-Forwarded-Port")
    if forwarded:
        ports.append(forwarded.decode("latin-1").strip())
    for name in _HOSTS:
        text = (header_value(headers, name) or b"").decode("latin-1")
        number = text.rpartition(":")[2]
        if ":" in text and number.isdigit():
            ports.append(number)
    options: _Options = [(port, None)]
    for number in dict.fromkeys(ports):
        if number != port and (not number or number.isdigit()):
            words = f"with the port {number}" if number else "without a port"
            options.append((number, Deviation("url-port", words)))
    return options


def _paths(path: str, headers: Headers) -> _Options:
    options: _Options = [(path, None)]
    if path.endswith("/"):
        options.append((path[:-1], Deviation("url-slash", "without the slash at its end")))
    else:
        options.append((path + "/", Deviation("url-slash", "with a slash at its end")))
    rest = path
    for _ in range(3):
        rest = "/" + rest.lstrip("/").partition("/")[2] if "/" in rest.lstrip("/") else ""
        if rest:
            options.append((rest, Deviation("url-path", f"with the path {rest}")))
    prefix = header_value(headers, "X-Forwarded-Prefix")
    if prefix:
        whole = prefix.decode("latin-1").rstrip("/") + path
        options.append((whole, Deviation("url-path", "with the path of X-Forwarded-Prefix before it")))
    for name in _PATHS:
        value = header_value(headers, name)
        if value:
            text = value.decode("latin-1")
            if "://" in text:
                text = "/" + text.partition("://")[2].partition("/")[2]
            options.append((text.partition("?")[0], Deviation("url-path", f"with the path of {name}")))
    for text, words in ((unquote(path), "with the path unescaped"), (quote(path), "with the path escaped")):
        if text != path:
            options.append((text, Deviation("url-path", words)))
    return options


def _queries(query: str, *, has_query: bool) -> _Options:
    mark = "?" if has_query else ""
    options: _Options = [(mark + query, None)]
    if has_query:
        options.append(("", Deviation("url-query", "without its query")))
    if not query or len(query) > MAX_QUERY_CHARACTERS:
        return options
    pairs = parse_qsl(query, keep_blank_values=True)
    others = (
        (unquote(query), "with its query unescaped"),
        (urlencode(pairs), "with its query escaped anew"),
        (urlencode(pairs, quote_via=quote), "with its query escaped anew, %20 for a blank"),
        (urlencode(sorted(pairs)), "with its query sorted"),
        (quote(query, "=&%"), "with its query escaped"),
    )
    for text, words in others:
        if text != query and text not in {known[1:] for known, _ in options}:
            options.append(("?" + text, Deviation("url-query", words)))
    return options
