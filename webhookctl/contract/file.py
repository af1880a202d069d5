"""Reads a contract file into a Contract. Every key is known, and what is wrong is shown where it is written.

Must not open files: the text and the environment come in.
"""

import json
import re
from collections.abc import Mapping
from itertools import count

from webhookctl.contract.model import (
    BodyExpectation,
    Case,
    Command,
    CommandEffect,
    Contract,
    Effect,
    Expectation,
    HangUp,
    HttpEffect,
    Mock,
    MockEffect,
    Ready,
    Receiver,
    Reply,
    Signer,
    SignMode,
    Statuses,
    Step,
    Timing,
)
from webhookctl.contract.result import Place
from webhookctl.contract.table import Source, Table, parse, suggestion
from webhookctl.signing.attack import ATTACKS

VERSION = 1
MAX_TIMES = 1_000
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_UNITS_S = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0}
_STEP_HINT = 'write send = "fixtures/stripe/…" or trigger = "payment_intent.succeeded"'


def read_contract(toml: bytes, *, origin: str, environment: Mapping[str, str]) -> Contract:
    """The contract in a TOML text. `origin` is its path as the user knows it; `environment` fills ``${NAME:-default}``.

    Raises UsageError `contract-invalid` with file, line, column and what was probably meant.
    """
    return _Reader(environment).contract(parse(toml, origin))


def read_expectation(content: Mapping[str, object], *, origin: str) -> Expectation:
    """The expectation in a table without places, such as ``[expect]`` of a fixture. Raises UsageError as above."""
    return _Reader({}).expectation(Table(Source(origin, (), {}), ("expect",), content))


def parse_duration_s(text: str) -> float:
    """Seconds from ``300ms``, ``2s``, ``1.5m``. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("a time is a number with ms, s, m or h")
    return float(match[1]) * _UNITS_S[match[2]]


def parse_statuses(value: object) -> Statuses:
    """Statuses from ``200``, ``"2xx"``, ``[200, 204]``, ``"!5xx"``. Raises ValueError."""
    values = value if isinstance(value, list) else [value]
    codes, classes, negations = set(), set(), set()
    for each in values:
        text = str(each)
        is_negated = text.startswith("!")
        bare = text.removeprefix("!")
        if re.fullmatch(r"[1-5]xx", bare):
            classes.add(int(bare[0]))
        elif re.fullmatch(r"[1-5]\d\d", bare) and not isinstance(each, bool):
            codes.add(int(bare))
        else:
            raise ValueError(f"{each!r} is not a status: 200, 2xx, [200, 204] or !5xx")
        negations.add(is_negated)
    if len(negations) != 1:
        raise ValueError("either all of them with ! or none")
    text = ", ".join(str(each) for each in values)
    return Statuses(text, frozenset(codes), frozenset(classes), negations.pop())


class _Reader:
    """Reads tables; holds what they refer to."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._mocks: tuple[str, ...] = ()

    def contract(self, top: Table) -> Contract:
        version = top.need("version", int, "write version = 1 in its first line")
        if version != VERSION:
            top.refuse("version", f"{version} is not known", f"this webhookctl reads version {VERSION}")
        mocks = tuple(self._mock(name, table) for name, table in top.named_tables("mocks"))
        self._mocks = tuple(mock.name for mock in mocks)
        receiver = top.table("receiver")
        if receiver is None:
            raise top.source.fault(
                ("receiver",),
                "[receiver] is missing",
                'for example: [receiver] url = "http://localhost:3000"',
            )
        defaults = self.expectation(top.table("expect"))
        contract = Contract(
            origin=top.source.origin,
            receiver=self._receiver(receiver),
            signer=self._signer(top.table("signer")),
            mocks=mocks,
            cases=tuple(self._case(table, defaults) for table in top.tables("cases")),
            settle_s=_given(top.parsed("settle", parse_duration_s), 0.3),
            is_parallel=top.take("parallel", bool) or False,
            speed=_given(top.take("speed", float), 1000.0),
            reads=self._reads(top),
        )
        self._refuse_same_names(top, contract.cases)
        top.finish()
        return contract

    def _receiver(self, table: Table) -> Receiver:
        receiver = Receiver(
            url=self._filled(table, "url", table.need("url", str)),
            start=self._command(table, "start"),
            ready=self._ready(table.table("ready")),
            stop_after_s=_given(table.parsed("stop_after", parse_duration_s), 5.0),
            place=table.place,
        )
        table.finish()
        return receiver

    def _ready(self, table: Table | None) -> Ready:
        if table is None:
            return Ready()
        ready = Ready(
            http=table.take("http", str) or "",
            output=table.take("output", str) or "",
            within_s=_given(table.parsed("within", parse_duration_s), 20.0),
        )
        table.finish()
        return ready

    def _command(self, table: Table, key: str) -> Command | None:
        """A command: a list of arguments, or one text that is split as a shell would, without a shell."""
        from shlex import split

        place = table.place_of(key)
        value = table.raw(key)
        environment = {name: self._filled(table, "env", str(text)) for name, text in table.pairs("env")}
        folder = table.take("folder", str) or ""
        if value is None:
            return None
        if isinstance(value, str):
            try:
                value = split(value)
            except ValueError as error:
                table.refuse(key, f"cannot be split into arguments: {error}")
        if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
            table.refuse(key, "has to be a command: a text, or a list of its arguments")
        arguments = tuple(self._filled(table, key, each) for each in value)
        return Command(arguments, environment, folder, place)

    def _signer(self, table: Table | None) -> Signer:
        if table is None:
            return Signer()
        secrets = (*table.texts("secret"), *table.texts("secrets"))
        for secret in secrets:
            if not secret.startswith(("env:", "file:")):
                table.refuse(
                    "secret",
                    "holds a secret itself",
                    "contract files are committed: write env:NAME or file:PATH",
                )
        signer = Signer(table.take("provider", str), secrets, table.parsed("tolerance", parse_duration_s))
        table.finish()
        return signer

    def _mock(self, name: str, table: Table) -> Mock:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise table.source.fault(("mocks", name), f"{name!r} is not a name", "letters, digits and _")
        place = table.place
        replies = table.tables("replies")
        if replies:
            found = tuple(self._reply(each) for each in replies)
            table.finish()
        else:
            found = (self._reply(table),)
        return Mock(name, found, place)

    def _reply(self, table: Table) -> Reply:
        document, text = table.raw("json"), table.take("body", str)
        if document is not None and text is not None:
            table.refuse("body", "stands beside json", "one of them is the body")
        headers = tuple((name, str(value)) for name, value in table.pairs("headers"))
        body = (
            text.encode() if text is not None else json.dumps({} if document is None else document).encode()
        )
        if text is None and not any(name.lower() == "content-type" for name, _ in headers):
            headers = (("Content-Type", "application/json"), *headers)
        status = table.take("status", int)
        if status is not None and not 100 <= status <= 599:
            table.refuse("status", f"{status} is not a status")
        delay_s = table.parsed("delay", parse_duration_s)
        table.finish()
        return Reply(200 if status is None else status, headers, body, delay_s or 0.0)

    def expectation(self, table: Table | None) -> Expectation:
        """The keys of an expectation; refuses all others."""
        if table is None:
            return Expectation()
        places: dict[str, Place] = {}
        statuses = None
        if table.has("status"):
            places["status"] = table.place_of("status")
            try:
                statuses = parse_statuses(table.raw("status"))
            except ValueError as error:
                table.refuse("status", str(error))
        if table.has("within"):
            places["within"] = table.place_of("within")
        within_s = table.parsed("within", parse_duration_s)
        if table.has("headers"):
            places["headers"] = table.place_of("headers")
        headers: dict[str, str | None] = {}
        for name, value in table.pairs("headers"):
            if value is not False and not isinstance(value, str):
                table.refuse("headers", f"{name} is neither a regular expression nor false (absent)")
            headers[name] = self._regular(table, "headers", value) if isinstance(value, str) else None
        for key in ("body", "exactly", "text", "matches", "schema", "absent"):
            if table.has(key):
                places.setdefault("body", table.place_of(key))
        expectation = Expectation(statuses, headers, self._body(table), within_s, places)
        table.finish()
        return expectation

    def _body(self, table: Table) -> BodyExpectation:
        matches = table.take("matches", str)
        return BodyExpectation(
            subset=table.raw("body"),
            exactly=table.raw("exactly"),
            text=table.take("text", str),
            matches=None if matches is None else self._regular(table, "matches", matches),
            schema=table.take("schema", dict),
            absent=table.texts("absent"),
        )

    def _regular(self, table: Table, key: str, text: str) -> str:
        try:
            re.compile(text)
        except re.error as error:
            table.refuse(key, f"{text!r} is not a regular expression: {error}")
        return text

    def _case(self, table: Table, defaults: Expectation) -> Case:
        place = table.place
        name = table.need("name", str, "each case needs a name: reports and --case use it")
        expect = self.expectation(table.table("expect"))
        attacks = table.texts("forge")
        known = [attack.name for attack in ATTACKS]
        for attack in attacks:
            if attack not in known:
                table.refuse("forge", f"{attack!r} is not an attack", suggestion(attack, known))
        # An attack is meant to be refused: the default of ordinary deliveries says nothing of it.
        expect = expect.over(Expectation(within_s=defaults.within_s) if attacks else defaults)
        if attacks and expect.statuses is None:
            expect = Expectation(parse_statuses("4xx")).over(expect)
        permuted = table.texts("permute")
        steps = self._steps(table, permuted)
        if attacks and len(steps) != 1:
            table.refuse("forge", "goes with one delivery", "make a case of its own for each")
        case = Case(
            name=name,
            steps=steps,
            attacks=attacks,
            is_permuted=bool(permuted),
            expect=expect,
            effects=tuple(self._effect(each) for each in table.tables("effects")),
            skip=table.take("skip", str) or "",
            place=place,
        )
        table.finish()
        return case

    def _steps(self, table: Table, permuted: tuple[str, ...]) -> tuple[Step, ...]:
        deliver = table.tables("deliver")
        if permuted:
            place = table.place_of("permute")
            if deliver or table.has("send") or table.has("trigger"):
                table.refuse("permute", "stands beside other deliveries", "it names them all itself")
            return tuple(Step(send=each, place=place) for each in permuted)
        if deliver:
            if table.has("send") or table.has("trigger"):
                table.refuse("send", "stands beside [[cases.deliver]]", "put it into a [[cases.deliver]] too")
            return tuple(self._step(each, is_own_table=True) for each in deliver)
        return (self._step(table, is_own_table=False),)

    def _step(self, table: Table, *, is_own_table: bool) -> Step:
        place = table.place
        send, trigger = table.take("send", str), table.take("trigger", str)
        if (send is None) == (trigger is None):
            problem = "says neither send nor trigger" if send is None else "says both send and trigger"
            raise table.source.fault(table.path, problem, _STEP_HINT)
        gap, is_concurrent = self._gap(table)
        sign, hang_up = table.choice("sign", list(SignMode)), table.choice("hang_up", list(HangUp))
        step = Step(
            send=send,
            trigger=trigger,
            edits=tuple((path, json.dumps(value).encode()) for path, value in table.pairs("with")),
            removals=table.texts("unset"),
            headers=table.texts("headers") if is_own_table else table.texts("header"),
            times=self._times(table),
            gap_s=gap,
            after_s=table.parsed("after", parse_duration_s) or 0.0,
            is_concurrent=is_concurrent,
            hang_up=HangUp(hang_up) if hang_up else None,
            sign=SignMode(sign) if sign else SignMode.FRESH,
            keeps_id=table.choice("id", ("auto", "keep")) == "keep",
            retry=table.take("retry", str),
            expect=self.expectation(table.table("expect")) if is_own_table else Expectation(),
            place=place,
        )
        if is_own_table:
            table.finish()
        return step

    def _gap(self, table: Table) -> tuple[float, bool]:
        text = table.take("gap", str)
        if text is None or text == "concurrent":
            return 0.0, text is not None
        try:
            return parse_duration_s(text), False
        except ValueError as error:
            table.refuse("gap", f"{text!r}: {error}, or concurrent")

    def _times(self, table: Table) -> int:
        times = table.take("times", int)
        if times is not None and not 1 <= times <= MAX_TIMES:
            table.refuse("times", f"{times} is not from 1 to {MAX_TIMES}")
        return times or 1

    def _effect(self, table: Table) -> Effect:
        place = table.place
        timing = Timing(table.parsed("eventually", parse_duration_s), table.parsed("never", parse_duration_s))
        kinds = [key for key in ("mock", "command", "get") if table.has(key)]
        if len(kinds) != 1:
            raise table.source.fault(table.path, "needs one of mock, command and get")
        effect: Effect
        if kinds == ["mock"]:
            effect = self._mock_effect(table, timing, place)
        elif kinds == ["command"]:
            effect = self._command_effect(table, timing, place)
        else:
            url = self._filled(table, "get", table.need("get", str))
            return HttpEffect(url, self.expectation(table), timing, place)
        table.finish()
        return effect

    def _mock_effect(self, table: Table, timing: Timing, place: Place) -> MockEffect:
        name = table.need("mock", str)
        if name not in self._mocks:
            table.refuse(
                "mock", f"{name!r} is not one of the mocks", suggestion(name, self._mocks or ("none",))
            )
        times = table.take("count", int)
        if times is not None and times < 0:
            table.refuse("count", f"{times} is below 0")
        request = table.table("request")
        if request is None:
            return MockEffect(name, times, timing=timing, place=place)
        effect = MockEffect(
            name,
            times,
            request.take("method", str),
            request.take("path", str),
            self._body(request),
            timing,
            place,
        )
        request.finish()
        return effect

    def _command_effect(self, table: Table, timing: Timing, place: Place) -> CommandEffect:
        command = self._command(table, "command")
        assert command is not None
        matches = table.take("matches", str)
        exit_code = table.take("exit", int)
        return CommandEffect(
            command,
            stdout=table.take("stdout", str),
            matches=None if matches is None else self._regular(table, "matches", matches),
            exit_code=exit_code or 0,
            timing=timing,
            place=place,
        )

    def _reads(self, top: Table) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for event, table in top.named_tables("reads"):
            paths: dict[str, str] = {}
            for path, kind in table.every_item():
                if not isinstance(kind, str):
                    table.refuse(path, "has to be the type of the field, for example string")
                paths[path] = kind
            found[event] = paths
        return found

    def _filled(self, table: Table, key: str, text: str) -> str:
        """`text` with ``${NAME}`` and ``${NAME:-default}`` filled in."""

        def value(match: re.Match[str]) -> str:
            found = self._environment.get(match[1]) or match[2]
            if found is None:
                table.refuse(
                    key,
                    f"needs the environment variable {match[1]}",
                    f"set it, or write ${{{match[1]}:-a default}}",
                )
            return found

        return _VARIABLE.sub(value, text)

    def _refuse_same_names(self, top: Table, cases: tuple[Case, ...]) -> None:
        seen: set[str] = set()
        for index, case in zip(count(), cases, strict=False):
            if case.name in seen:
                raise top.source.fault(
                    ("cases", index, "name"),
                    f"a second case is called {case.name!r}",
                    "names tell them apart",
                )
            seen.add(case.name)


def _given(value: float | None, default: float) -> float:
    return default if value is None else value
