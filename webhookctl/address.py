"""Endpoints from what people type, and what a request looks like once it is addressed to one.

Pure text work: resolves no name and opens no connection.
"""

import re
from ipaddress import IPv6Address, ip_address

from webhookctl.errors import UsageError
from webhookctl.model import Capture, Endpoint, Headers, Request

_URL = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?P<authority>[^/?#]*)(?P<path>[^#]*)(?P<fragment>#.*)?\Z"
)
_AUTHORITY = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\]|(?P<host>[^\s:@\[\]]*))(?::(?P<port>[0-9]*))?\Z"
)
_HOST = re.compile(r"[A-Za-z0-9._-]+\Z")
_MAX_NAME, _MAX_LABEL = 254, 63  # of a host name with a dot at its end, and of each part: RFC 1035 §2.3.4
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_UNWRITABLE = re.compile(r"[^\x21-\x7e]")


def parse_endpoint(text: str) -> Endpoint:
    """An endpoint from `http://localhost:3000/hooks`, `localhost:3000/hooks`, `:3000/hooks`, `3000` or `3000/hooks`.

    Without a path (or with `/` alone) each request keeps its own target. The path is taken as written, unchanged.
    Raises UsageError `url-invalid` saying what is wrong with it.
    """
    stripped = text.strip()
    match = _URL.match(stripped)
    if match is None or not stripped:
        raise _invalid(text, "it is empty" if not stripped else "it is not a URL")
    scheme = (match["scheme"] or "http").lower()
    if scheme not in ("http", "https"):
        raise _invalid(text, f"{scheme}:// is not something webhookctl can deliver to")
    authority, path = match["authority"], match["path"]
    if match["scheme"] is None and authority.isdecimal():
        authority = f":{authority}"
    parts = _AUTHORITY.match(authority)
    if parts is None:
        raise _invalid(
            text, "a user name or a password in a URL is not sent" if "@" in authority else "the host is odd"
        )
    if match["scheme"] is not None and not (parts["host"] or parts["v6"]):
        raise _invalid(text, "it names no host")
    if _UNWRITABLE.search(path):
        raise _invalid(text, "the path holds a space or a character that has to be percent-encoded")
    host = _ascii_host(parts["v6"] or parts["host"] or "localhost", text)
    port = int(parts["port"]) if parts["port"] else (443 if scheme == "https" else 80)
    if not 0 < port < 65_536:
        raise _invalid(text, f"{port} is not a port number")
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port == (443 if scheme == "https" else 80) else f":{port}"
    if path.startswith("?"):
        path = "/" + path
    return Endpoint(host, port, scheme == "https", shown_host + shown_port, "" if path == "/" else path)


def _ascii_host(host: str, text: str) -> str:
    try:
        name = (host if host.isascii() else host.encode("idna").decode("ascii")).lower()
        if ":" in name:
            return str(IPv6Address(name))
    except ValueError as error:
        raise _invalid(text, f"the host cannot be resolved as a name ({error})") from error
    if not _HOST.match(name):
        raise _invalid(text, "the host is odd")
    if len(name) > _MAX_NAME or not all(
        0 < len(label) <= _MAX_LABEL for label in name.removesuffix(".").split(".")
    ):
        raise _invalid(text, "a part of the host name is empty or too long")
    return name


def _invalid(text: str, why: str) -> UsageError:
    return UsageError(
        "url-invalid",
        f"{text!r} is not an endpoint: {why}",
        "write http://localhost:3000/webhooks, or just 3000",
    )


def is_local(endpoint: Endpoint) -> bool:
    """True for this machine and private networks: where test traffic may go without a second thought."""
    if endpoint.host == "localhost" or endpoint.host.endswith((".localhost", ".local", ".internal", ".test")):
        return True
    try:
        address = ip_address(endpoint.host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private or address.is_link_local


def addressed(request: Request, endpoint: Endpoint) -> Request:
    """`request` with the target it takes at `endpoint`.

    An endpoint with a path decides the path, and the request keeps its query (appended when both have one).
    An absolute-form target (`POST http://host/x`) becomes origin-form: the target never chooses the host.
    """
    target = request.target
    if not target.startswith("/") and target != "*":
        target = _origin_form(target)
    if endpoint.path:
        _, has_query, query = target.partition("?")
        joint = "&" if "?" in endpoint.path else "?"
        target = endpoint.path + (joint + query if has_query and (query or joint == "?") else "")
    if target == request.target:
        return request
    return Request(request.method, target, request.headers, request.body)  # replace takes three times as long


def _origin_form(target: str) -> str:
    if not _ABSOLUTE.match(target):
        return "/" + target
    rest = target.partition("://")[2]
    cut = min((position for position in (rest.find("/"), rest.find("?")) if position >= 0), default=-1)
    if cut < 0:
        return "/"
    return rest[cut:] if rest[cut] == "/" else "/" + rest[cut:]


def forwarded_headers(capture: Capture) -> Headers:
    """What a proxy owes the app: X-Forwarded-For with the peer appended; -Proto and -Host where nobody set them.

    An earlier proxy's -Proto and -Host stay: they tell the URL that the provider called, which some sign.
    """
    headers = capture.request.headers
    peer = capture.peer.rpartition(":")[0].strip("[]").encode("ascii", "ignore")
    before = host = proto = None
    forwarded_host = None
    for name, value in headers:
        lower = name.lower()
        if lower == b"x-forwarded-for":
            before = value if before is None else before + b", " + value
        elif lower == b"x-forwarded-proto":
            proto = value
        elif lower == b"x-forwarded-host":
            forwarded_host = value
        elif lower == b"host" and host is None:
            host = value
    added = [(b"X-Forwarded-For", before + b", " + peer if before else peer)] if peer else []
    if proto is None:
        is_tls = capture.url.startswith("https:") if capture.url else capture.is_tls
        added.append((b"X-Forwarded-Proto", b"https" if is_tls else b"http"))
    if forwarded_host is None and host:
        added.append((b"X-Forwarded-Host", host))
    return (*added, *_relay_headers(capture))


def _relay_headers(capture: Capture) -> Headers:
    """How an app tells a delivery that it may have had before: by the relay's id, and how often it was sent."""
    relayed = capture.relayed
    if relayed is None:
        return ()
    first = ((b"Webhookctl-Delivery-Id", relayed.delivery_id.encode("latin-1", "ignore")),)
    if relayed.attempt == 1:
        return first
    return (*first, (b"Webhookctl-Attempt", b"%d" % relayed.attempt))


def public_url(capture: Capture) -> str:
    """The URL the provider called: what the relay says, else what the request tells (X-Forwarded-*, Host)."""
    if capture.url:
        return capture.url
    proto = host = forwarded = None
    for name, value in capture.request.headers:
        width = len(name)
        if width == 4 and name.lower() == b"host":
            host = host or value
        elif width == 16 and name.lower() == b"x-forwarded-host":
            forwarded = value
        elif width == 17 and name.lower() == b"x-forwarded-proto":
            proto = value
    scheme = (proto or (b"https" if capture.is_tls else b"http")).decode("latin-1")
    return f"{scheme}://{(forwarded or host or b'').decode('latin-1')}{capture.request.target}"
