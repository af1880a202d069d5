"""Reads what has to have happened when a case is over: ``[[cases.effects]]`` as effects of the model.

Must not know how effects are looked at.
"""

from webhookctl.contract.context import Context
from webhookctl.contract.expectation import body_expectation, expectation, parse_duration_s, regular
from webhookctl.contract.model import CommandEffect, Effect, HttpEffect, MockEffect, Timing
from webhookctl.contract.result import Place
from webhookctl.contract.table import Table, suggestion

KINDS = ("mock", "command", "get")


def read_effect(table: Table, context: Context) -> Effect:
    """One effect. Raises UsageError `contract-invalid`."""
    place = table.place
    timing = Timing(table.parsed("eventually", parse_duration_s), table.parsed("never", parse_duration_s))
    if timing.eventually_s is not None and timing.never_s is not None:
        table.refuse("never", "stands beside eventually", "it is one or the other")
    kinds = [key for key in KINDS if table.has(key)]
    if len(kinds) != 1:
        raise table.source.fault(table.path, "an effect needs one of mock, command and get")
    if kinds == ["get"]:
        url = context.filled(table, "get", table.need("get", str))
        return HttpEffect(url, expectation(table), timing, place)
    effect = _mock(table, context, timing, place) if kinds == ["mock"] else _command(table, context, timing)
    table.finish()
    return effect


def _mock(table: Table, context: Context, timing: Timing, place: Place) -> MockEffect:
    name = table.need("mock", str)
    if name not in context.mocks:
        hint = suggestion(name, context.mocks) if context.mocks else f"add [mocks.{name}]"
        table.refuse("mock", f"{name!r} is not one of the mocks", hint)
    times = table.take("count", int)
    if times is not None and times < 0:
        table.refuse("count", f"{times} is below 0")
    request = table.table("request")
    if request is None:
        return MockEffect(name, times, timing=timing, place=place)
    method, path = request.take("method", str), request.take("path", str)
    effect = MockEffect(name, times, method, path, body_expectation(request), timing, place)
    request.finish()
    return effect


def _command(table: Table, context: Context, timing: Timing) -> CommandEffect:
    command = context.command(table, "command")
    assert command is not None
    matches = table.take("matches", str)
    return CommandEffect(
        command,
        stdout=table.take("stdout", str),
        matches=None if matches is None else regular(table, "matches", matches),
        exit_code=table.take("exit", int) or 0,
        timing=timing,
        place=table.place,
    )
