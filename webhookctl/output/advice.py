"""What a failed delivery probably means and what to do about it, in one sentence.

Pure: reads an attempt and a verdict; must not know how advice is shown.
"""

from webhookctl.model import Attempt, FailureKind, Verdict, VerdictKind, header_value

_FAILURES = {
    FailureKind.REFUSED: "nothing listens there: is the app running, and on that port?",
    FailureKind.DNS: "check the host name in --forward-to or --to",
    FailureKind.TIMEOUT: "answer first and work later, or raise --timeout; for breakpoints: listen --ack early",
    FailureKind.TLS: "for a self-signed certificate: --ca-file, or --insecure",
    FailureKind.CLOSED: "the app crashed or restarted while it handled this: look at its log",
    FailureKind.PROTOCOL: "is that port HTTP, and not https or another service?",
    FailureKind.NETWORK: "check the address and the network",
}
_RELAYED = {kind.value.encode("ascii"): kind for kind in FailureKind}
_STATUSES = {
    404: "the app has no such route: check the path, for example --forward-to http://localhost:3000/webhooks",
    405: "the route is there but does not take this method: webhooks are POST",
    406: "the app cannot answer in a form the sender accepts: answer without looking at Accept",
    408: "the app gave up reading the request",
    410: "gone: many senders disable an endpoint that answers 410",
    411: "the app wants a Content-Length",
    413: "the app's own body limit is too small for this delivery",
    415: "the app does not take this content type: let the webhook route read any type",
    419: "CSRF protection is in the way: exempt the webhook route from it",
    421: "the app does not serve this host name",
    422: "the payload did not pass the app's validation: its answer above says what it wanted",
    429: "the app limits the rate: real senders slow down or give up too",
    503: "the app says it is not available now",
}


def advice(attempt: Attempt, verdict: Verdict | None) -> str:
    """One sentence about why the endpoint did not accept, or "" when there is nothing useful to say."""
    if attempt.failure is not None:
        return _FAILURES[attempt.failure.kind]
    response = attempt.response
    assert response is not None
    relayed = header_value(response.headers, "Webhookctl-Error")
    if relayed is not None:
        # The answer is a listener's own: what counts is why the app behind it gave none.
        return _FAILURES[_RELAYED[relayed]] if relayed in _RELAYED else ""
    if 300 <= response.status < 400:
        location = header_value(response.headers, "Location")
        where = f" (it points to {location.decode('latin-1')})" if location else ""
        return f"webhook senders do not follow redirects: forward to the final URL{where}"
    if b"csrf" in response.body[:4096].lower() and response.status in (400, 403, 419):
        return _STATUSES[419]
    if response.status in (400, 401, 403):
        return _refusal(response.status, verdict)
    if response.status >= 500 and response.status not in _STATUSES:
        return "the app failed: its log has the details"
    return _STATUSES.get(response.status, "")


def _refusal(status: int, verdict: Verdict | None) -> str:
    if verdict is not None and verdict.is_bad:
        return f"the signature is wrong: {verdict.reason}"
    if verdict is not None and verdict.is_ok:
        return (
            "the signature is right as sent: the app has another secret (webhookctl listen --print-secret shows "
            "ours), or it verified a parsed and re-encoded body instead of the raw one"
        )
    if verdict is not None and verdict.kind is VerdictKind.NO_SECRET:
        return f"the app may have another secret than the sender: here the signature was {verdict.reason}"
    if status == 400:
        return "the app did not like the request: its answer says why"
    return "the route is probably behind authentication: exempt it, webhooks authenticate by signature"
