"""Bodies that a relay parsed and printed again: the sender's own bytes found again where its signature proves them.

Pure; knows JSON's usual printers, no relay.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from webhookctl.jsontext import JsonTextError, compact, indented, spaced
from webhookctl.model import Capture, Detection, Request, Verdict, VerdictKind, header_value

_MAX_BYTES = 1024 * 1024
_MAX_BLIND_BYTES = 64 * 1024  # without knowing the length every form has to be tried
_UNSURE = frozenset({VerdictKind.WRONG_SECRET, VerdictKind.BODY_CHANGED, VerdictKind.NO_SECRET})
_NON_ASCII = re.compile(r"[^\x00-\x7f]")
_MARKUP = re.compile("[<>&\u2028\u2029]")

Judge = Callable[[Capture], tuple[Detection, Verdict]]


def restored(capture: Capture, judge: Judge, *, original_bytes: int | None) -> Capture:
    """`capture` with the body that its signature fits, when that is another usual print of the same JSON.

    `original_bytes`: the size the sender's body had, None when unknown. The capture itself when nothing fits better.
    """
    body = capture.request.body
    if len(body) > (_MAX_BYTES if original_bytes is not None else _MAX_BLIND_BYTES):
        return capture
    _, verdict = judge(capture)
    if verdict.kind not in _UNSURE or verdict.scheme is None:
        return capture
    for form in forms(body):
        if original_bytes in (None, len(form)):
            other = replace(capture, request=_with_body(capture, form))
            if judge(other)[1].is_ok:
                return other
    return capture


def forms(body: bytes) -> Iterator[bytes]:
    """`body` as the JSON printers of common languages write it, each once, without `body` itself; none if no JSON."""
    seen = {body}
    try:
        for laid_out in (compact(body), spaced(body), indented(body), indented(body, width=4)):
            for text in _escaped(laid_out.decode()):
                for form in (text.encode(), text.encode() + b"\n"):
                    if form not in seen:
                        seen.add(form)
                        yield form
    except (JsonTextError, UnicodeError):
        return


def _escaped(text: str) -> Iterator[str]:
    """`text` as it is, then with what printers like to escape: only inside of strings can any of it stand."""
    yield text
    markup = _MARKUP.sub(_escape, text)  # Go, Ruby on Rails
    yield markup
    for escape in (_escape, _escape_in_capitals):
        yield _NON_ASCII.sub(escape, text)  # Python
        yield _NON_ASCII.sub(escape, text).replace("/", "\\/")  # PHP
        yield _NON_ASCII.sub(escape, markup)
    yield text.replace("/", "\\/")


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _escape_in_capitals(match: re.Match[str]) -> str:
    return "\\u" + _escape(match)[2:].upper().replace("\\U", "\\u")


def _with_body(capture: Capture, body: bytes) -> Request:
    request = capture.request
    headers = request.headers
    if header_value(headers, "Content-Length") is None:
        headers = (*headers, (b"content-length", b"%d" % len(body)))
    return replace(request, headers=headers, body=body)
