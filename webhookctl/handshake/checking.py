"""What is wrong with an app's answer to a handshake, in words. Pure; must not know who asked the app.

A secret that a handshake brings is never quoted.
"""

from dataclasses import dataclass

from webhookctl.handshake.answering import Known, Slots, answer, expected_slots, rendered, rendered_headers
from webhookctl.handshake.place import Reader, parsed
from webhookctl.handshake.table import Form, Handshake
from webhookctl.model import Request, Response, header_value

_QUOTED = 60
_PAGES = ("text/html", "application/xhtml+xml", "image/svg+xml")
_REFUSALS = (400, 401, 403)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is wrong with an answer; nothing when it is right. `is_refusal`: the app rightly or arguably refused."""

    complaints: tuple[str, ...] = ()
    is_refusal: bool = False

    @property
    def is_right(self) -> bool:
        return not self.complaints


def check(
    handshake: Handshake, request: Request, response: Response, known: Known, *, took_s: float | None = None
) -> Judgement:
    """Judge the app's `response` to `request` by what is `known`. `took_s` is compared with the provider's limit.

    What has to be refused has to be refused; where nobody here can tell, a refusal is as right as an answer.
    """
    own = answer(handshake, request, known)
    if own.refusal and own.is_sure:
        return check_refusal(handshake, response, own.response.status)
    if not own.is_sure and response.status in _REFUSALS:
        return Judgement(is_refusal=True)
    complaints = _status_complaints(handshake, response) + _type_complaints(handshake, response)
    complaints += _time_complaints(handshake, took_s)
    if response.status in handshake.statuses:
        complaints += _content_complaints(handshake, request, response, known)
    return Judgement(tuple(complaints))


def check_refusal(handshake: Handshake, response: Response, status: int) -> Judgement:
    """Judge an answer that has to be a refusal with `status`; where the provider does not test, any 4xx will do."""
    if response.status == status or (not handshake.is_tested and 400 <= response.status < 500):
        return Judgement(is_refusal=True)
    what = (
        f"{handshake.name} wants {status}" if handshake.is_tested else f"refuse it, for example with {status}"
    )
    return Judgement((f"answered {response.status} to what has to be refused: {what}",))


def _status_complaints(handshake: Handshake, response: Response) -> list[str]:
    if response.status in handshake.statuses:
        return []
    wanted = handshake.statuses
    shown = "2xx" if isinstance(wanted, range) else " or ".join(str(status) for status in wanted)
    return [f"answered {response.status}: {handshake.name} wants {shown}"]


def _type_complaints(handshake: Handshake, response: Response) -> list[str]:
    if response.status not in handshake.statuses:
        return []
    kind = _media_type(response)
    if kind in _PAGES and response.body:
        return [f"answered as a page ({kind}): an echoed challenge has to be text/plain or application/json"]
    wanted = handshake.answer.media_type.partition(";")[0]
    if handshake.is_type_strict and wanted and kind != wanted:
        return [f"the content type is {kind or 'missing'}: {handshake.name} wants {wanted}"]
    return []


def _time_complaints(handshake: Handshake, took_s: float | None) -> list[str]:
    limit_s = handshake.time_limit_s
    if took_s is None or limit_s is None or took_s <= limit_s:
        return []
    return [f"took {took_s:.1f} s: {handshake.name} waits {limit_s:g} s"]


def _content_complaints(
    handshake: Handshake, request: Request, response: Response, known: Known
) -> list[str]:
    """The complaints about the form that the answer comes closest to: none when it has one of them."""
    slots = expected_slots(handshake, request, known)
    if slots is None:
        return []
    reader = Reader(request)
    is_key_known = handshake.keyed is None or known.has_own_secret
    found = [
        _form_complaints(handshake, form, response, slots, reader, is_key_known=is_key_known)
        for form in (handshake.answer, *handshake.accepts)
    ]
    return [] if [] in found else found[0]


def _form_complaints(
    handshake: Handshake, form: Form, response: Response, slots: Slots, reader: Reader, *, is_key_known: bool
) -> list[str]:
    complaints = _header_complaints(handshake, form, response, slots, reader)
    if form.json is not None:
        complaints += _json_complaints(form, response.body, slots, is_key_known=is_key_known)
    elif form.text is not None:
        complaints += _text_complaints(form, response.body, slots, is_key_known=is_key_known)
    return complaints


def _header_complaints(
    handshake: Handshake, form: Form, response: Response, slots: Slots, reader: Reader
) -> list[str]:
    complaints = []
    for name, wanted in rendered_headers(form, slots, reader):
        found = header_value(response.headers, name)
        if found is None:
            complaints.append(f"the header {name} is missing")
        elif found.strip() != wanted.encode("utf-8"):
            shown = "the secret that was sent" if handshake.is_learnt else repr(_shortened(wanted))
            complaints.append(f"the header {name} is not {shown}")
    return complaints


def _json_complaints(form: Form, body: bytes, slots: Slots, *, is_key_known: bool) -> list[str]:
    document = parsed(body)
    if not isinstance(document, dict):
        return [f"the body is not the JSON object that was asked for: {_shown(body)}"]
    expected = rendered(form.json, slots)
    assert isinstance(expected, dict)
    complaints = []
    for name, wanted in expected.items():
        if name not in document:
            complaints.append(f"the body has no field {name}")
        elif document[name] != wanted and (is_key_known or not _is_keyed(form, name)):
            why = ": another secret, or not the HMAC that was asked for" if _is_keyed(form, name) else ""
            found = _shortened(str(document[name]))
            complaints.append(f"the field {name} is {found!r}, not {_shortened(str(wanted))!r}{why}")
    return complaints


def _is_keyed(form: Form, name: str) -> bool:
    assert isinstance(form.json, dict)
    return "{keyed}" in str(form.json[name])


def _text_complaints(form: Form, body: bytes, slots: Slots, *, is_key_known: bool) -> list[str]:
    assert form.text is not None
    wanted = str(rendered(form.text, slots)).encode("utf-8")
    if body == wanted or (form.needle and form.needle.encode("utf-8") in body):
        return []
    if "{keyed}" in form.text and not is_key_known:
        return [] if body else ["the body is empty"]
    if not wanted:
        return [f"the body has to be empty, and is {_shown(body)}"]
    if parsed(body) == wanted.decode("utf-8"):
        return ["the value stands in quotes: plain text was asked for, not JSON"]
    if body.strip() == wanted:
        return ["there is white space around the value"]
    return [f"the body is {_shown(body)}, not {_shown(wanted)}"]


def _media_type(response: Response) -> str:
    value = header_value(response.headers, "Content-Type") or b""
    return value.partition(b";")[0].strip().lower().decode("latin-1")


def _shown(body: bytes) -> str:
    return "empty" if not body else repr(_shortened(body.decode("utf-8", "replace")))


def _shortened(text: str) -> str:
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…"
