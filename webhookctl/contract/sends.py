"""Reads ``[[sends]]`` of contract files: how a sender is set off, what it is answered, what it has to do then.

Must not know how senders are played.
"""

from collections.abc import Callable

from webhookctl.address import parse_endpoint
from webhookctl.contract.context import Context
from webhookctl.contract.expectation import body_expectation, header_expectations, json_text, parse_duration_s
from webhookctl.contract.model import Call, Case, Expectation, Reply, Sender, SenderExpectation
from webhookctl.contract.table import Table
from webhookctl.errors import UsageError

LISTENER = "listener"
"""What ``{listener.url}`` names: where senders have to send."""

_FLAGS = ("same_id", "fresh_timestamp", "backoff", "no_redirect_followed")


def read_send(table: Table, context: Context, read_reply: Callable[[Table], Reply]) -> Case:
    """One of ``[[sends]]`` as a case without steps. Raises UsageError `contract-invalid`."""
    place = table.place
    name = table.need("name", str, "each needs a name: reports and --case use it")
    if not name.strip() or "\n" in name:
        table.refuse("name", "has to be one line")
    if table.has("run") == table.has("call"):
        problem = "says both run and call" if table.has("run") else "says neither run nor call"
        hint = 'how is the sender set off? run = "python notify.py {listener.url}", or call = { url = "…" }'
        raise table.source.fault(table.path, problem, hint)
    trigger = _call(table, context) if table.has("call") else context.command(table, "run")
    assert trigger is not None
    within_s = table.parsed("within", parse_duration_s)
    sender = Sender(
        trigger=trigger,
        answers=tuple(read_reply(each) for each in table.tables("answers")) or (Reply(),),
        within_s=10.0 if within_s is None else within_s,
        quiet_s=table.parsed("quiet", parse_duration_s),
        expect=_expectation(table.table("expect")),
    )
    case = Case(name, (), skip=table.take("skip", str) or "", place=place, sender=sender)
    table.finish()
    return case


def _call(table: Table, context: Context) -> Call:
    inner = table.table("call")
    assert inner is not None
    url = context.filled(inner, "url", inner.need("url", str))
    if not url.startswith("/") and "{" not in url:
        try:
            parse_endpoint(url)
        except UsageError as error:
            inner.refuse("url", error.message.partition(": ")[2] or error.message, error.hint)
    document = inner.raw("json")
    text = json_text(inner, "json", document) if document is not None else inner.take("body", str) or ""
    headers = [(name, context.filled(inner, "headers", str(value))) for name, value in inner.pairs("headers")]
    if document is not None and not any(name.lower() == "content-type" for name, _ in headers):
        headers.insert(0, ("Content-Type", "application/json"))
    call = Call(
        inner.take("method", str) or "POST", url, tuple(headers), context.filled(inner, "body", text).encode()
    )
    inner.finish()
    return call


def _expectation(table: Table | None) -> SenderExpectation:
    if table is None:
        return SenderExpectation()
    place = {"": table.place}
    for key in ("attempts", "signature", "headers", "body", *_FLAGS):
        if table.has(key):
            place[key] = table.place_of(key)
    attempts = table.take("attempts", int)
    if attempts is not None and attempts < 0:
        table.refuse("attempts", f"{attempts} is below 0")
    flags = {key: table.take(key, bool) or False for key in _FLAGS}
    expect = SenderExpectation(
        attempts=attempts,
        is_signed=table.choice("signature", ("valid",)) is not None,
        same_id=flags["same_id"],
        fresh_timestamp=flags["fresh_timestamp"],
        backoff=flags["backoff"],
        no_redirect_followed=flags["no_redirect_followed"],
        content=Expectation(headers=header_expectations(table), body=body_expectation(table), place=place),
        place=place,
    )
    table.finish()
    return expect
