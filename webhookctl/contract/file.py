"""Reads a contract file into a Contract. Every key is known, and what is wrong is shown where it is written.

Must not open files: the text and the environment come in.
"""

import re
from collections.abc import Mapping
from itertools import count

from webhookctl.address import parse_endpoint
from webhookctl.contract.context import Context
from webhookctl.contract.effects import read_effect
from webhookctl.contract.expectation import (
    expectation,
    json_text,
    parse_duration_s,
    parse_statuses,
)
from webhookctl.contract.model import (
    Case,
    Contract,
    Expectation,
    HangUp,
    Mock,
    Ready,
    Receiver,
    Reply,
    Signer,
    SignMode,
    Step,
)
from webhookctl.contract.reads import take_reads
from webhookctl.contract.result import Place
from webhookctl.contract.schedule import SCHEDULES
from webhookctl.contract.sends import LISTENER, read_send
from webhookctl.contract.table import Table, parse, suggestion
from webhookctl.errors import UsageError
from webhookctl.signing.attack import FORGERIES

VERSION = 1
MAX_TIMES = 1_000
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_STEP_HINT = 'write send = "fixtures/stripe/…" or trigger = "payment_intent.succeeded"'


def read_contract(toml: bytes, *, origin: str, environment: Mapping[str, str]) -> Contract:
    """The contract in a TOML text. `origin` is its path as the user knows it; `environment` fills ``${NAME:-default}``.

    Raises UsageError `contract-invalid` with file, line, column and what was probably meant.
    """
    top = parse(toml, origin)
    version = top.need("version", int, "write version = 1 in its first line")
    if version != VERSION:
        top.refuse("version", f"{version} is not known", f"this webhookctl reads version {VERSION}")
    mocks = tuple(_mock(name, table) for name, table in top.named_tables("mocks"))
    receiver = top.table("receiver")
    sends = top.tables("sends")
    if receiver is None and (top.has("cases") or not sends):
        hint = 'for example: [receiver] url = "http://localhost:3000"'
        top.refuse_missing("receiver", "[receiver] is missing", hint)
    names = (*(mock.name for mock in mocks), *((LISTENER,) if sends else ()))
    context = Context(environment, names, receiver is not None and receiver.has("start"))
    defaults = expectation(top.table("expect"))
    contract = Contract(
        origin=top.source.origin,
        receiver=_receiver(receiver, context) if receiver is not None else Receiver(f"{{{LISTENER}.url}}"),
        signer=_signer(top.table("signer")),
        mocks=mocks,
        cases=tuple(_case(table, defaults, context) for table in top.tables("cases")),
        settle_s=_given(top.parsed("settle", parse_duration_s), 0.3),
        is_parallel=_is_parallel(top, names),
        speed=_speed(top),
        reads=take_reads(top),
        sends=tuple(read_send(each, context, _reply) for each in sends),
        listener_port=_listener_port(top),
    )
    _refuse_same_names(top, "cases", contract.cases)
    _refuse_same_names(top, "sends", contract.sends)
    top.finish()
    return contract


def _is_parallel(top: Table, names: tuple[str, ...]) -> bool:
    is_parallel = top.take("parallel", bool) or False
    if is_parallel and names:
        hint = "leave one of them out, or put the cases without mocks into a file of their own"
        top.refuse(
            "parallel",
            "does not go with mocks and sends: nobody could tell which case a call belongs to",
            hint,
        )
    return is_parallel


def _speed(top: Table) -> float | None:
    speed = top.take("speed", float)
    if speed is not None and not 0 < speed < float("inf"):
        top.refuse("speed", "has to be more than 0: how many times faster than the provider")
    return speed


def _listener_port(top: Table) -> int:
    table = top.table(LISTENER)
    if table is None:
        return 0
    port = table.take("port", int) or 0
    if not 0 <= port <= 65_535:
        table.refuse("port", f"{port} is no port")
    table.finish()
    return port


def _receiver(table: Table, context: Context) -> Receiver:
    url = context.filled(table, "url", table.need("url", str))
    if "{" not in url:
        try:
            parse_endpoint(url)
        except UsageError as error:
            table.refuse("url", error.message.partition(": ")[2] or error.message, error.hint)
    receiver = Receiver(
        url=url,
        start=context.command(table, "start"),
        ready=_ready(table.table("ready")),
        stop_after_s=_given(table.parsed("stop_after", parse_duration_s), 5.0),
        place=table.place,
    )
    table.finish()
    return receiver


def _ready(table: Table | None) -> Ready:
    if table is None:
        return Ready()
    ready = Ready(
        http=table.take("http", str) or "",
        output=table.take("output", str) or "",
        within_s=_given(table.parsed("within", parse_duration_s), 20.0),
    )
    if ready.http and not ready.http.startswith("/"):
        table.refuse("http", "has to be a path, for example /health")
    table.finish()
    return ready


def _signer(table: Table | None) -> Signer:
    if table is None:
        return Signer()
    if table.has("secret") and table.has("secrets"):
        table.refuse("secrets", "stands beside secret", "one of them is enough")
    secrets = (*table.texts("secret"), *table.texts("secrets"))
    for secret in secrets:
        if not secret.startswith(("env:", "file:")):
            raise table.source.fault(
                (*table.path, "secret"),
                "secret holds a secret itself",
                "contract files are committed: write env:NAME or file:PATH",
            )
    signer = Signer(table.take("provider", str), secrets, table.parsed("tolerance", parse_duration_s))
    table.finish()
    return signer


def _mock(name: str, table: Table) -> Mock:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in ("event", LISTENER):
        raise table.source.fault(
            ("mocks", name), f"{name!r} cannot be a mock's name", "letters, digits and _"
        )
    replies = table.tables("replies")
    if replies:
        found = tuple(_reply(each) for each in replies)
        table.finish()
    else:
        found = (_reply(table),)
    return Mock(name, found, table.place)


def _reply(table: Table) -> Reply:
    document, text = table.raw("json"), table.take("body", str)
    if document is not None and text is not None:
        table.refuse("body", "stands beside json", "one of them is the body")
    body = (
        text if text is not None else json_text(table, "json", {} if document is None else document)
    ).encode()
    headers = tuple(_header_pairs(table))
    if text is None and not any(name.lower() == "content-type" for name, _ in headers):
        headers = (("Content-Type", "application/json"), *headers)
    status = table.take("status", int)
    if status is not None and not 200 <= status <= 599:
        table.refuse("status", f"{status} is not the status of an answer")
    delay_s = table.parsed("delay", parse_duration_s)
    table.finish()
    return Reply(200 if status is None else status, headers, body, delay_s or 0.0)


def _header_pairs(table: Table) -> list[tuple[str, str]]:
    pairs = []
    for name, value in table.pairs("headers"):
        text = str(value)
        if not _HEADER_NAME.fullmatch(name) or re.search(r"[\r\n\0]", text) or not _is_latin(text):
            table.refuse("headers", f"cannot hold {name}: {text!r} as a header field")
        pairs.append((name, text))
    return pairs


def _is_latin(text: str) -> bool:
    return all(ord(character) < 256 for character in text)


def _case(table: Table, defaults: Expectation, context: Context) -> Case:
    place = table.place
    name = table.need("name", str, "each case needs a name: reports and --case use it")
    if not name.strip() or "\n" in name:
        table.refuse("name", "has to be one line")
    attacks = _attacks(table)
    expect = _case_expectation(table, defaults, is_attack=bool(attacks))
    steps, is_permuted = _steps(table)
    if attacks:
        _refuse_with_attack(table, steps)
    case = Case(
        name=name,
        steps=steps,
        attacks=attacks,
        is_permuted=is_permuted,
        expect=expect,
        effects=tuple(read_effect(each, context) for each in table.tables("effects")),
        skip=table.take("skip", str) or "",
        place=place,
        has_snapshot=table.take("snapshot", bool) or False,
        unstable=table.texts("unstable"),
    )
    if case.unstable and not case.has_snapshot:
        table.refuse("unstable", "goes with snapshot = true")
    table.finish()
    return case


def _attacks(table: Table) -> tuple[str, ...]:
    attacks = table.texts("forge")
    known = [attack.name for attack in FORGERIES]
    for attack in attacks:
        if attack not in known:
            table.refuse("forge", f"{attack!r} is not an attack", suggestion(attack, known))
    return attacks


def _case_expectation(table: Table, defaults: Expectation, *, is_attack: bool) -> Expectation:
    expect = expectation(table.table("expect"))
    if not is_attack:
        return expect.over(defaults)
    # An attack is meant to be refused: the default of ordinary deliveries says nothing of it.
    expect = expect.over(Expectation(within_s=defaults.within_s, place=_only(defaults.place, "within")))
    return expect if expect.statuses else Expectation(parse_statuses("4xx")).over(expect)


def _only(places: Mapping[str, Place], key: str) -> dict[str, Place]:
    return {key: places[key]} if key in places else {}


def _refuse_with_attack(table: Table, steps: tuple[Step, ...]) -> None:
    if len(steps) != 1:
        table.refuse("forge", "goes with one delivery", "make a case of its own for each")
    step = steps[0]
    for key, is_there in (
        ("retry", step.retry is not None),
        ("hang_up", step.hang_up is not None),
        ("sign", step.sign is not SignMode.FRESH),
    ):
        if is_there:
            table.refuse("forge", f"does not go with {key}")


def _steps(table: Table) -> tuple[tuple[Step, ...], bool]:
    """The deliveries of a case, and whether every order of them is to be tried."""
    deliver = table.tables("deliver")
    permute = table.raw("permute")
    has_own = table.has("send") or table.has("trigger")
    if isinstance(permute, list):
        if deliver or has_own:
            table.refuse("permute", "stands beside other deliveries", "permute = true means those")
        if len(permute) < 2 or not all(isinstance(each, str) for each in permute):
            table.refuse("permute", "has to be a list of two or more fixtures, or true")
        place = table.place_of("permute")
        return tuple(Step(send=each, place=place) for each in permute), True
    if permute not in (None, True, False):
        table.refuse("permute", "has to be a list of two or more fixtures, or true")
    if deliver and has_own:
        table.refuse("send", "stands beside [[cases.deliver]]", "put it into a [[cases.deliver]] too")
    if permute is True and len(deliver) < 2:
        table.refuse("permute", "needs two or more [[cases.deliver]]")
    if deliver:
        return tuple(_step(each, is_own_table=True) for each in deliver), permute is True
    return (_step(table, is_own_table=False),), False


def _step(table: Table, *, is_own_table: bool) -> Step:
    place = table.place
    send, trigger = table.take("send", str), table.take("trigger", str)
    if (send is None) == (trigger is None):
        problem = "says neither send nor trigger" if send is None else "says both send and trigger"
        raise table.source.fault(table.path, problem, _STEP_HINT)
    gap, is_concurrent = _gap(table)
    sign, hang_up = table.choice("sign", list(SignMode)), table.choice("hang_up", list(HangUp))
    step = Step(
        send=send,
        trigger=trigger,
        edits=tuple((path, json_text(table, "with", value).encode()) for path, value in table.pairs("with")),
        removals=table.texts("unset"),
        headers=tuple(f"{name}: {value}" for name, value in _header_pairs(table)),
        times=_times(table),
        gap_s=gap,
        after_s=table.parsed("after", parse_duration_s) or 0.0,
        is_concurrent=is_concurrent,
        hang_up=HangUp(hang_up) if hang_up else None,
        sign=SignMode(sign) if sign else SignMode.FRESH,
        keeps_id=table.choice("id", ("auto", "keep")) == "keep",
        retry=table.choice("retry", SCHEDULES),
        expect=expectation(table.table("expect")) if is_own_table else Expectation(),
        place=place,
    )
    _refuse_contradictions(table, step)
    if is_own_table:
        table.finish()
    return step


def _refuse_contradictions(table: Table, step: Step) -> None:
    if step.sign is SignMode.CAPTURED and (step.edits or step.removals):
        hint = 'leave it out, or sign the edited body: sign = "fresh"'
        table.refuse("sign", "cannot be captured for a body that is edited", hint)
    if step.sign is SignMode.CAPTURED and step.trigger is not None:
        table.refuse("sign", "cannot be captured for an event that is forged")
    if step.retry is not None and (step.times > 1 or step.hang_up is not None):
        table.refuse("retry", "does not go with times and hang_up: it is a schedule of its own")


def _gap(table: Table) -> tuple[float, bool]:
    text = table.take("gap", str)
    if text is None or text == "concurrent":
        return 0.0, text is not None
    try:
        return parse_duration_s(text), False
    except ValueError as error:
        table.refuse("gap", f"{text!r}: {error}, or concurrent")


def _times(table: Table) -> int:
    times = table.take("times", int)
    if times is not None and not 1 <= times <= MAX_TIMES:
        table.refuse("times", f"{times} is not from 1 to {MAX_TIMES}")
    return times or 1


def _refuse_same_names(top: Table, key: str, cases: tuple[Case, ...]) -> None:
    seen: set[str] = set()
    for index, case in zip(count(), cases, strict=False):
        if case.name in seen:
            raise top.source.fault(
                (key, index, "name"),
                f"a second case is called {case.name!r}",
                "names tell them apart",
                is_value=True,
            )
        seen.add(case.name)


def _given(value: float | None, default: float) -> float:
    return default if value is None else value
