"""Renders what `verify` found: the answer in a few lines, the whole derivation, and both as JSON shapes.

Must not know how anything was found. All that came from outside is escaped.
"""

from collections.abc import Iterator

from webhookctl.formats import safe_line
from webhookctl.model import Detection, Verdict, VerdictKind
from webhookctl.output.frameworks import FRAMEWORKS
from webhookctl.output.record import Record
from webhookctl.output.words import shortened
from webhookctl.signing.explanation import Explanation, Glimpse

_WIDTH = 200  # of a content shown in one line
_LABEL = 10


def answer(value: Verdict, scheme_name: str) -> str:
    """`valid Stripe signature`, or `invalid: ` and why; one line."""
    detail = "" if value.reason == "ok" else f" ({value.reason})"
    text = f"valid {scheme_name} signature{detail}" if value.is_ok else f"invalid: {value.reason}"
    return safe_line(text)


def why(explanation: Explanation) -> Iterator[str]:
    """The lines below `invalid`: cause, what was signed, both signatures as far as they may be shown, the fix."""
    finding = explanation.verdict.finding
    if finding is None:
        return
    yield _line("cause", ", ".join((finding.cause, *finding.also)))
    if finding.secret:
        yield _line("secret", finding.secret)
    yield from _signatures(explanation)
    yield _line("fix", finding.fix)


def _signatures(explanation: Explanation) -> Iterator[str]:
    """What was signed, else what should have been, and both signatures."""
    if explanation.signed is not None and explanation.scheme.algorithm != "token":
        yield _line("signed", _shown(explanation.signed))
    elif explanation.content and explanation.is_compared:
        yield _line("content", _shown(b"".join(slot.value for slot in explanation.content)))
    if explanation.is_compared and explanation.expected and explanation.received:
        yield _line("expected", _glimpsed(explanation.expected))
        yield _line("received", _glimpsed(explanation.received))


def derivation(explanation: Explanation, detection: Detection) -> Iterator[str]:
    """The whole way to the verdict, a step a line; the table of frameworks where the body is at fault."""
    scheme = explanation.scheme
    yield _line("scheme", f"{scheme.name} ({scheme.id}), {scheme.evidence}; {detection.reason}")
    for name, value in explanation.headers:
        yield _line("header", f"{name}: {shortened(value, _WIDTH)}")
    for note in explanation.keys:
        known = "" if note.is_judged else " (known, but not for this request)"
        yield _line("key", f"{note.origin}, as {note.derivation}: {note.outcome.replace('-', ' ')}{known}")
    others = "".join(f" or {template.text}" for template in scheme.other_templates)
    yield _line("signs", (scheme.template.text or "nothing: the secret itself is sent") + others)
    for slot in explanation.content:
        yield _line("", f"{'{' + slot.name + '}' if slot.name else 'text'} = {_shown(slot.value)}")
    yield _line("makes", f"{scheme.algorithm}, as {scheme.encoding}")
    yield _line("compared", "in constant time, each signature with what each key makes")
    yield _line("time", explanation.time)
    if explanation.tried:
        counts = (f"{cause} {count}" for cause, count in explanation.tried.items())
        yield _line("tried", ", ".join(counts) + ("; then the budget ended" * explanation.is_cut_short))
    yield from why(explanation)
    if explanation.verdict.kind is VerdictKind.BODY_CHANGED:
        yield ""
        for framework in FRAMEWORKS:
            yield f"  {framework.name:<12}{framework.raw_body}"
            yield f"  {'':<12}not: {framework.mistake}"


def shape(explanation: Explanation, detection: Detection) -> Record:
    """The derivation as JSON."""
    scheme = explanation.scheme
    return {
        "detected_by": detection.reason,
        "evidence": scheme.evidence,
        "headers": [list(header) for header in explanation.headers],
        "keys": [
            {
                "secret": note.origin,
                "derivation": note.derivation,
                "outcome": note.outcome,
                "is_judged": note.is_judged,
            }
            for note in explanation.keys
        ],
        "template": scheme.template.text,
        "content": [{"slot": slot.name or None, "value": _text(slot.value)} for slot in explanation.content],
        "algorithm": scheme.algorithm,
        "encoding": scheme.encoding,
        "time": explanation.time,
        "tried": dict(explanation.tried),
        "is_cut_short": explanation.is_cut_short,
    }


def comparison(explanation: Explanation | None) -> Record:
    """`signed`, `expected` and `received` as JSON; null where there is nothing to show."""
    if explanation is None:
        return {"signed": None, "expected": None, "received": None}
    signed = explanation.signed if explanation.scheme.algorithm != "token" else None
    return {
        "signed": None if signed is None else shortened(_text(signed), _WIDTH),
        "expected": _glimpse(explanation.expected),
        "received": _glimpse(explanation.received),
    }


def _glimpse(value: Glimpse | None) -> Record | None:
    return None if value is None else {"begins": value.begins or None, "length": value.length}


def _glimpsed(value: Glimpse) -> str:
    begins = f"{value.begins}… " if value.begins else "not shown: it is a secret "
    return f"{begins}({value.length} characters)"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _shown(data: bytes) -> str:
    return shortened(safe_line(_text(data)), _WIDTH)


def _line(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{safe_line(text)}"
