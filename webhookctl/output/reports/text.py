"""One case in words, for the reports that carry text: what went wrong, the exchange, the line to copy.

Must not know any report's format; the text is not escaped for one.
"""

from webhookctl.contract.result import CaseResult, Complaint, Delivered
from webhookctl.formats import safe_line, safe_text

MAX_ANSWER_CHARACTERS = 4_000
# Of a body that the line to copy makes again; the answer is what a reviewer has not seen.
MAX_SENT_CHARACTERS = 600
MAX_OUTPUT_CHARACTERS = 8_000
MAX_DETAILS_CHARACTERS = 100_000
_DELIVERIES = 10  # shown of one case, the last ones


def headline(case: CaseResult, *, limit: int = 200) -> str:
    """The first thing that went wrong, in one line of at most `limit` characters; "" when nothing did."""
    if case.complaints and not (case.reason and case.outcome == "error"):
        complaint = case.complaints[0]
        text = f"{complaint.what}: {complaint.message}"
    else:
        text = case.reason
    text = " ".join(safe_text(text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def details(case: CaseResult) -> str:
    """Complaints with their places, the last deliveries, the receiver's output, the line that plays it again."""
    parts = [case.reason] if case.reason else []
    parts += [_complaint(each) for each in case.complaints]
    before = b""
    for delivered in case.deliveries[-_DELIVERIES:]:
        parts.append(_delivered(delivered, before))
        before = delivered.request.body
    if case.output:
        parts.append("last output of the receiver:\n" + case.output[-MAX_OUTPUT_CHARACTERS:])
    if case.reproduction:
        parts.append(f"again: {case.reproduction}")
    text = safe_text("\n\n".join(parts))
    return text if len(text) <= MAX_DETAILS_CHARACTERS else f"{text[:MAX_DETAILS_CHARACTERS]}…"


def title(case: CaseResult) -> str:
    """The name of the case and its variant, in one line that steers no terminal and no viewer."""
    return safe_line(case.id)


def where(case: CaseResult) -> str:
    """The path of the contract, as safe as `title`."""
    return safe_line(case.contract.path)


def _complaint(complaint: Complaint) -> str:
    text = f"{complaint.what}: {complaint.message}"
    if complaint.expected or complaint.received:
        text += f"\n  expected: {complaint.expected}\n  received: {complaint.received}"
    if complaint.place is not None and complaint.place.line:
        text += f"\n  asked for in {complaint.place.path}:{complaint.place.line}"
    return text


def _delivered(delivered: Delivered, before: bytes) -> str:
    """Request and answer. A long body that is the one sent `before` is not shown again."""
    request, attempt = delivered.request, delivered.attempt
    lines = [
        f"> {request.method} {request.target}   ({delivered.label}, +{delivered.offset_s * 1000:,.0f} ms)"
    ]
    lines += [f"> {name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in request.headers]
    is_again = request.body == before and len(before) > MAX_SENT_CHARACTERS
    lines.append("(the same body)" if is_again else _body(request.body, MAX_SENT_CHARACTERS))
    response = attempt.response
    if response is None:
        assert attempt.failure is not None
        lines.append(f"< {attempt.failure.message}")
    else:
        lines.append(f"< {response.status} {response.reason}   ({attempt.latency_ms:,.0f} ms)")
        lines += [
            f"< {name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in response.headers
        ]
        lines.append(_body(response.body, MAX_ANSWER_CHARACTERS))
    return "\n".join(line for line in lines if line)


def _body(body: bytes, limit: int) -> str:
    text = body.decode("utf-8", "replace")
    return text if len(text) <= limit else f"{text[:limit]}… ({len(body):,} bytes)"
