"""Contract files: everything they may say is read, and what is wrong is shown where it is written."""

import pytest

from webhookctl.contract.file import read_contract
from webhookctl.contract.model import (
    Case,
    Command,
    CommandEffect,
    Contract,
    HangUp,
    HttpEffect,
    Mock,
    MockEffect,
    SignMode,
)
from webhookctl.errors import UsageError

HEAD = 'version = 1\n[receiver]\nurl = "http://localhost:3000/hooks"\n'
STARTED = 'version = 1\n[receiver]\nurl = "http://localhost:{port}/"\nstart = ["app"]\n'
CASE = '[[cases]]\nname = "one"\nsend = "stripe/paid"\n'


def read(text: str, **environment: str) -> Contract:
    return read_contract(text.encode(), origin="x.contract.toml", environment=environment)


def case(text: str, head: str = HEAD) -> Case:
    (found,) = read(f'{head}[[cases]]\nname = "one"\n{text}').cases
    return found


def fault(text: str, **environment: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        read(text, **environment)
    assert caught.value.code == "contract-invalid"
    return caught.value


def test_the_smallest_contract_has_the_usual_defaults() -> None:
    contract = read(HEAD + CASE)
    assert (contract.origin, contract.settle_s, contract.speed) == ("x.contract.toml", 0.3, None)
    assert contract.receiver.start is None
    assert not contract.is_parallel
    (one,) = contract.cases
    (step,) = one.steps
    assert (step.send, step.times, step.sign, step.keeps_id) == ("stripe/paid", 1, SignMode.FRESH, False)
    assert (one.place.path, one.place.line) == ("x.contract.toml", 4)


def test_a_receiver_that_is_started_is_read_whole() -> None:
    receiver = read(
        'version = 1\n[receiver]\nurl = "http://localhost:{port}/"\nstart = "run \'the app\' --port {port}"\n'
        'folder = "app"\nstop_after = "500ms"\nenv = { CRM = "{crm.url}", KEY = "${KEY:-none}", N = 3 }\n'
        'ready = { http = "/health", output = "up", within = "1m" }\n[mocks.crm]\n',
        KEY="given",
    ).receiver
    assert receiver.start is not None
    assert receiver.start.arguments == ("run", "the app", "--port", "{port}")
    assert receiver.start.environment == {"CRM": "{crm.url}", "KEY": "given", "N": "3"}
    assert (receiver.start.folder, receiver.stop_after_s) == ("app", 0.5)
    assert (receiver.ready.http, receiver.ready.output, receiver.ready.within_s) == ("/health", "up", 60.0)


def test_a_shell_is_there_when_it_is_asked_for() -> None:
    start = read(STARTED.replace('["app"]', '"a | b"') + "shell = true\n").receiver.start
    assert start is not None
    assert (start.arguments, start.is_shell) == (("a | b",), True)


def test_mocks_answer_what_is_written() -> None:
    mocks = read(
        HEAD
        + '[mocks.a]\n[mocks.b]\nstatus = 201\njson = { id = 1 }\nheaders = { X-A = "1" }\ndelay = "1s"\n'
        '[[mocks.c.replies]]\nstatus = 500\nbody = "no"\n[[mocks.c.replies]]\n'
    ).mocks
    assert [mock.name for mock in mocks] == ["a", "b", "c"]
    plain, reply = mocks[0].replies[0], mocks[1].replies[0]
    assert (plain.status, plain.body, plain.headers) == (200, b"{}", (("Content-Type", "application/json"),))
    assert (reply.status, reply.body, reply.delay_s) == (201, b'{"id": 1}', 1.0)
    assert reply.headers == (("Content-Type", "application/json"), ("X-A", "1"))
    assert [(each.status, each.body, each.headers) for each in mocks[2].replies[:1]] == [(500, b"no", ())]
    assert isinstance(mocks[2], Mock)
    assert len(mocks[2].replies) == 2


def test_a_delivery_is_read_whole() -> None:
    (step,) = case(
        'trigger = "github/push"\nwith = { "a.b" = 1, c = [true] }\nunset = "d"\nheaders = { X-A = "1" }\n'
        'times = 3\ngap = "1.5s"\nafter = "2m"\nhang_up = "after-headers"\nsign = "none"\nid = "keep"\n'
    ).steps
    assert step.edits == (("a.b", b"1"), ("c", b"[true]"))
    assert (step.removals, step.headers) == (("d",), ("X-A: 1",))
    assert (step.times, step.gap_s, step.after_s) == (3, 1.5, 120.0)
    assert (step.hang_up, step.sign, step.keeps_id) == (HangUp.AFTER_HEADERS, SignMode.NONE, True)
    assert step.label == "github/push"


def test_several_deliveries_have_expectations_of_their_own() -> None:
    found = case(
        'expect = { status = 200 }\n[[cases.deliver]]\nsend = "a"\nexpect = { status = 500 }\n'
        '[[cases.deliver]]\nsend = "b"\ngap = "concurrent"\nretry = "svix"\n'
    )
    first, second = found.steps
    assert first.expect.statuses is not None
    assert first.expect.statuses.allows(500)
    assert second.expect.over(found.expect).statuses == found.expect.statuses
    assert (second.is_concurrent, second.retry) == (True, "svix")


def test_deliveries_are_permuted_by_name_or_as_they_are_written() -> None:
    by_name = case('permute = ["a", "b"]\n')
    assert ([step.send for step in by_name.steps], by_name.is_permuted) == (["a", "b"], True)
    written = case('permute = true\n[[cases.deliver]]\nsend = "a"\n[[cases.deliver]]\ntrigger = "b"\n')
    assert ([step.label for step in written.steps], written.is_permuted) == (["a", "b"], True)


def test_the_defaults_of_the_file_hold_where_a_case_says_nothing() -> None:
    head = 'version = 1\nexpect = { status = "2xx", within = "2s", body = { ok = true } }\n' + HEAD[12:]
    plain = case('send = "a"\n', head).expect
    assert (plain.within_s, plain.body.subset) == (2.0, {"ok": True})
    own = case('send = "a"\nexpect = { status = 201, exactly = {} }\n', head).expect
    assert own.statuses is not None
    assert (own.statuses.text, own.within_s, own.body.subset, own.body.exactly) == ("201", 2.0, None, {})


def test_an_attack_is_expected_to_be_refused_unless_it_says_otherwise() -> None:
    head = 'version = 1\nexpect = { status = "2xx", within = "2s", body = { ok = true } }\n' + HEAD[12:]
    expect = case('send = "a"\nforge = ["unsigned", "replayed"]\n', head).expect
    assert expect.statuses is not None
    assert (expect.statuses.text, expect.within_s, expect.body.is_empty) == ("4xx", 2.0, True)
    assert list(expect.place) == ["within"]
    other = case('send = "a"\nforge = "unsigned"\nexpect = { status = 401 }\n', head).expect
    assert other.statuses is not None
    assert other.statuses.text == "401"


def test_effects_of_every_kind_are_read() -> None:
    found = case(
        'send = "a"\nsnapshot = true\nunstable = ["id"]\nskip = "later"\n'
        '[[cases.effects]]\nmock = "crm"\ncount = 0\nnever = "1s"\n'
        'request = { method = "PUT", path = "/x", body = { a = 1 } }\n'
        '[[cases.effects]]\ncommand = ["q", "{event.id}"]\nstdout = "1"\nmatches = "1"\nexit = 3\neventually = "2s"\n'
        '[[cases.effects]]\nget = "/state"\nstatus = 200\n',
        "version = 1\n[mocks.crm]\n" + HEAD[12:],
    )
    mock, command, state = found.effects
    assert isinstance(mock, MockEffect)
    assert (mock.count, mock.method, mock.path, mock.body.subset) == (0, "PUT", "/x", {"a": 1})
    assert mock.timing.never_s == 1.0
    assert isinstance(command, CommandEffect)
    assert isinstance(command.command, Command)
    assert (command.stdout, command.exit_code, command.timing.eventually_s) == ("1", 3, 2.0)
    assert isinstance(state, HttpEffect)
    assert (state.url, state.place and state.place.line) == ("/state", 22)
    assert (found.has_snapshot, found.unstable, found.skip) == (True, ("id",), "later")


def test_what_a_receiver_reads_is_kept_by_event() -> None:
    text = HEAD + '[reads."invoice.paid"]\n"data.id" = "string"\namount = "integer"\n'
    assert read(text).reads == {"invoice.paid": {"data.id": "string", "amount": "integer"}}


BROKEN = [
    ("", "version is missing"),
    ("version = 2\n", "1:11: version 2 is not known"),
    ("version = true\n", "1:11: version is True"),
    ("version = 1\n", "[receiver] is missing"),
    ("version = 1\n[reciever]\nurl = 'http://h'\n", "2:1: reciever is not known here"),
    ("version = 1\n[receiver]\nurls = 'http://h'\n", "3:1: urls is not known here"),
    ("version = 1\nreceiver = 3\n", "2:12: receiver is 3"),
    ("version = 1\n[receiver]\n", "2:1: url is missing"),
    (HEAD + "strat = 'x'\n", "4:1: strat is not known here"),
    (HEAD + "stop_after = '5 days'\n", "4:14: stop_after '5 days': a time is"),
    (HEAD + "start = []\n", "4:9: start has to be a command"),
    (HEAD + "start = 'a \"b'\n", "4:9: start cannot be split"),
    (HEAD + "start = ['a', 1]\n", "4:9: start has to be a command"),
    (HEAD + "start = ['a', 'b']\nshell = true\n", "4:9: start has to be one text"),
    (HEAD + 'start = "a\\u0000b"\n', "4:9: start holds NUL"),
    (HEAD + "folder = 'x'\n", "4:10: folder goes with start"),
    (HEAD + "ready = { http = 'health' }\n", "4:18: http has to be a path"),
    (HEAD.replace("3000", "{port}"), "3:7: url holds {port}"),
    (HEAD.replace("localhost", "a b"), "3:7: url the host is odd"),
    (HEAD.replace("localhost", "{crm.url}"), "3:7: url names no mock with {crm.url}"),
    (HEAD.replace("localhost", "${HOST}"), "3:7: url needs the environment variable HOST"),
    (HEAD + "[signer]\nsecret = 'whsec_real'\n", "secret holds a secret itself"),
    (HEAD + "[signer]\nsecret = 'env:A'\nsecrets = ['env:B']\n", "6:11: secrets stands beside secret"),
    (HEAD + "[signer]\nprovider = 3\n", "5:12: provider is 3"),
    (HEAD + "[mocks.event]\n", "4:1: 'event' cannot be a mock's name"),
    (HEAD + "[mocks.'a b']\n", "4:1: 'a b' cannot be a mock's name"),
    (HEAD + "[mocks.a]\nstatus = 99\n", "5:10: status 99 is not the status"),
    (HEAD + "[mocks.a]\nbody = ''\njson = 1\n", "5:8: body stands beside json"),
    (HEAD + "[mocks.a]\nheaders = { 'X A' = '1' }\n", "5:11: headers cannot hold X A"),
    (HEAD + "[mocks.a]\nreplies = [{}]\nstatus = 200\n", "6:1: status is not known here"),
    ("version = 1\nspeed = 0\n" + HEAD[12:], "2:9: speed has to be more than 0"),
    ("version = 1\nparallel = true\n[mocks.a]\n" + HEAD[12:], "2:12: parallel does not go with mocks"),
    (HEAD + "[[cases]]\nsend = 'a'\n", "4:1: name is missing"),
    (HEAD + "[[cases]]\nname = ' '\nsend = 'a'\n", "5:8: name has to be one line"),
    (HEAD + CASE + CASE, "8:8: a second case is called 'one'"),
    (HEAD + "[[cases]]\nname = 'a'\n", "4:1: says neither send nor trigger"),
    (HEAD + CASE + "trigger = 'b'\n", "4:1: says both send and trigger"),
    (HEAD + CASE + "times = 0\n", "7:9: times 0 is not from 1"),
    (HEAD + CASE + "gap = 'soon'\n", "7:7: gap 'soon': a time is a number with ms, s, m or h, or concurrent"),
    (HEAD + CASE + "sign = 'frsh'\n", "7:8: sign 'frsh' is not known here"),
    (
        HEAD + CASE + "sign = 'captured'\nwith = { a = 1 }\n",
        "7:8: sign cannot be captured for a body that is edited",
    ),
    (
        HEAD + CASE.replace("send", "trigger") + "sign = 'captured'\n",
        "7:8: sign cannot be captured for an event",
    ),
    (HEAD + CASE + "retry = 'svx'\n", "7:9: retry 'svx' is not known here"),
    (HEAD + CASE + "retry = 'svix'\ntimes = 2\n", "7:9: retry does not go with times"),
    (HEAD + CASE + "with = { a = 2026-01-01 }\n", "7:8: with holds a date"),
    (HEAD + CASE + "with = { a = nan }\n", "7:8: with holds nan"),
    (HEAD + CASE + "headers = { A = 'ä\\u0000' }\n".replace("'", '"'), "7:11: headers cannot hold A"),
    (HEAD + CASE + "headers = { A = '€' }\n", "7:11: headers cannot hold A"),
    (HEAD + CASE + "permute = ['a', 'b']\n", "7:11: permute stands beside"),
    (HEAD + "[[cases]]\nname = 'a'\npermute = ['a']\n", "6:11: permute has to be a list of two"),
    (HEAD + "[[cases]]\nname = 'a'\npermute = 'a'\n", "6:11: permute has to be a list of two"),
    (HEAD + CASE + "permute = true\n", "7:11: permute needs two or more"),
    (HEAD + CASE + "[[cases.deliver]]\nsend = 'b'\n", "6:8: send stands beside [[cases.deliver]]"),
    (HEAD + CASE + "forge = ['unsinged']\n", "7:9: forge 'unsinged' is not an attack"),
    (HEAD + CASE + "forge = ['stale']\nretry = 'svix'\n", "7:9: forge does not go with retry"),
    (HEAD + CASE + "forge = ['stale']\nsign = 'none'\n", "7:9: forge does not go with sign"),
    (HEAD + CASE + "forge = ['stale']\nhang_up = 'after-body'\n", "7:9: forge does not go with hang_up"),
    (
        HEAD + "[[cases]]\nname = 'a'\nforge = ['stale']\ndeliver = [{ send = 'a' }, { send = 'b' }]\n",
        "6:9: forge goes with one delivery",
    ),
    (HEAD + CASE + "unstable = ['a']\n", "7:12: unstable goes with snapshot"),
    (HEAD + CASE + "expect = { status = '2xy' }\n", "7:21: status '2xy' is not a status"),
    (HEAD + CASE + "expect = { status = 99 }\n", "7:21: status 99 is not a status"),
    (HEAD + CASE + "expect = { status = true }\n", "7:21: status True is not a status"),
    (HEAD + CASE + "expect = { status = [200, '!4xx'] }\n", "7:21: status has to be all with !"),
    (HEAD + CASE + "expect = { status = [] }\n", "7:21: status names no status"),
    (HEAD + CASE + "expect = { statsu = 200 }\n", "7:12: statsu is not known here"),
    (HEAD + CASE + "expect = { matches = '(' }\n", "7:22: matches '(' is not a regular expression"),
    (HEAD + CASE + "expect = { headers = { A = 1 } }\n", "7:22: headers A is neither"),
    (HEAD + CASE + "expect = { headers = { A = '(' } }\n", "7:22: headers '(' is not a regular"),
    (HEAD + CASE + "expect = { body = { a = 2026-01-01 } }\n", "7:19: body holds a date"),
    (HEAD + CASE + "effects = [{ }]\n", "7:12: an effect needs one of mock, command and get"),
    (HEAD + CASE + "effects = [{ get = '/', command = 'x' }]\n", "7:12: an effect needs one of"),
    (HEAD + CASE + "effects = [{ mock = 'crm' }]\n", "7:21: mock 'crm' is not one of the mocks"),
    (
        HEAD + "[mocks.crm]\n" + CASE + "effects = [{ mock = 'crm', count = -1 }]\n",
        "8:36: count -1 is below 0",
    ),
    (
        HEAD + CASE + "effects = [{ get = '/', eventually = '1s', never = '1s' }]\n",
        "never stands beside eventually",
    ),
    (HEAD + CASE + "effects = 3\n", "7:11: effects is 3"),
    (HEAD + CASE + "effects = [3]\n", "7:11: effects has to be tables"),
    (HEAD + CASE + "forge = 3\n", "7:9: forge has to be a list of texts"),
    (HEAD + "[reads.x]\na = 1\n", "5:5: a has to be the type"),
    (HEAD + "[reads]\nx = 1\n", "5:5: x is 1"),
    ("version = 1\ncaes = 1\n" + HEAD[12:], "2:1: caes is not known here"),
    ("a = " + "[" * 10_000, "nested too deeply"),
    ("a = \n", "1:5: not TOML: Invalid value"),
    ("a = 'x", "1:7: not TOML"),
    ("a = " + "1" * 5_000, "not TOML"),
]


@pytest.mark.parametrize(
    ("text", "words"), BROKEN, ids=[f"{number} {words}" for number, (_, words) in enumerate(BROKEN)]
)
def test_what_is_wrong_is_shown_where_it_is_written(text: str, words: str) -> None:
    error = fault(text)
    assert words in error.message
    assert error.message.startswith("x.contract.toml:")
    if words[0].isdecimal():
        line, column, _ = words.split(":", 2)
        shown, caret = error.message.split("\n")[1:]
        assert shown == "  " + text.split("\n")[int(line) - 1]
        assert caret == " " * (int(column) + 1) + "^"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (HEAD + "strat = 'x'\n", "did you mean start?"),
        (HEAD + CASE + "forge = 'unsinged'\n", "did you mean unsigned?"),
        (HEAD + CASE + "retry = 'svx'\n", "did you mean svix?"),
        (HEAD + "[mocks.crm]\n" + CASE + "effects = [{ mock = 'cmr' }]\n", "did you mean crm?"),
        (HEAD + CASE + "effects = [{ mock = 'crm' }]\n", "add [mocks.crm]"),
        (HEAD + CASE + "zzz = 1\n", "known here: name, forge, expect"),
    ],
)
def test_what_was_probably_meant_is_suggested(text: str, hint: str) -> None:
    assert hint in fault(text).hint


def test_a_long_line_is_shown_around_the_caret() -> None:
    lines = fault(
        HEAD + CASE + "x = 1\n".replace("x = 1", "times = " + " " * 500 + "0 # " + "y" * 500)
    ).message
    shown, caret = lines.split("\n")[1:]
    assert len(shown) == 102
    assert shown[len(caret) - 1] == "0"


def test_text_that_is_not_utf_8_and_marks_of_windows() -> None:
    with pytest.raises(UsageError, match="byte 4 is not UTF-8"):
        read_contract(b"a = \xff", origin="x", environment={})
    windows = b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode()
    assert read_contract(windows, origin="x", environment={}).receiver.url == "http://localhost:3000/hooks"


def test_variables_are_filled_in_with_their_defaults() -> None:
    head = HEAD.replace("localhost:3000", "${HOST:-localhost}:${PORT}")
    assert read(head, PORT="1").receiver.url == "http://localhost:1/hooks"
    assert read(head, PORT="1", HOST="h").receiver.url == "http://h:1/hooks"
    assert read(HEAD.replace("/hooks", "/${X:-}")).receiver.url == "http://localhost:3000/"
