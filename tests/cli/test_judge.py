"""The judge of `listen`: causes in its verdicts, other secrets of the project, and what a flood may cost."""

import json

import pytest

from tests.cli.commands import NOW_S, Project
from webhookctl import signing
from webhookctl.model import Capture, Request, Secret, Verdict, VerdictKind
from webhookctl.wiring.allowance import CHEAP_PER_S, FULL_PER_S, Allowance
from webhookctl.wiring.project import Judge, open_project

BODY = json.dumps(
    {"id": "evt_1", "type": "demo", "list": [{"n": n, "name": "sample"} for n in range(60)]}
).encode()


def judge(project: Project, secret: str = "test_secret_1") -> Judge:
    project.write("webhookctl.toml", f'[secrets]\nstripe = "{secret}"\n')
    return open_project().judge(provider=None, flag=())


def delivery(
    secret: str, body: bytes = BODY, *, arrived: bytes | None = None, at_s: float = NOW_S
) -> Capture:
    scheme = signing.load("stripe")
    headers = signing.sign(scheme, Secret(secret), body=body, timestamp_s=at_s, message_id="m")
    return Capture(Request("POST", "/", headers, body if arrived is None else arrived), at_s, "127.0.0.1:1")


def cause(verdict: Verdict) -> str:
    assert verdict.finding is not None
    return verdict.finding.cause


def test_a_bad_delivery_comes_with_its_cause(project: Project) -> None:
    compact = json.dumps(json.loads(BODY), separators=(",", ":")).encode()
    _, verdict = judge(project)(delivery("test_secret_1", arrived=compact))
    assert (verdict.kind, cause(verdict)) == (VerdictKind.BODY_CHANGED, "json-layout")


def test_a_secret_of_another_variable_is_found(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET_LIVE", "the_live_one")
    _, verdict = judge(project)(delivery("the_live_one"))
    assert cause(verdict) == "secret-other"
    assert "env:STRIPE_WEBHOOK_SECRET_LIVE" in verdict.reason


def test_a_secret_of_another_provider_is_found(project: Project) -> None:
    project.write("webhookctl.toml", '[secrets]\nstripe = "test_one_secret"\nslack = ["test_two_secret"]\n')
    _, verdict = open_project().judge(provider=None, flag=())(delivery("test_two_secret"))
    assert cause(verdict) == "secret-other"
    assert "(slack)" in verdict.reason


def test_a_reference_that_leads_nowhere_is_no_secret(project: Project) -> None:
    project.write("webhookctl.toml", '[secrets]\nstripe = "test_one_secret"\nslack = "env:NOT_THERE"\n')
    _, verdict = open_project().judge(provider=None, flag=())(delivery("test_two_secret"))
    assert cause(verdict) == "unexplained"


def test_with_the_development_secret_alone_an_unknown_secret_is_no_finding(project: Project) -> None:
    project.development_secret()
    development = open_project()
    _, verdict = development.judge(provider=None, flag=())(delivery("somebody's"))
    assert verdict.kind is VerdictKind.NO_SECRET
    text = development.state.development_secret().reveal()
    _, explained = development.judge(provider=None, flag=())(delivery(text + "\n"))
    assert cause(explained) == "secret-white-space"


def test_each_second_has_its_allowance() -> None:
    allowance = Allowance()
    given = [allowance.signatures(at_s=5.1, body_bytes=100) for _ in range(CHEAP_PER_S + 5)]
    assert given[:FULL_PER_S] == [signing.MAX_SIGNATURES] * FULL_PER_S
    assert given[FULL_PER_S:CHEAP_PER_S] == [signing.CHEAP_SIGNATURES] * (CHEAP_PER_S - FULL_PER_S)
    assert given[CHEAP_PER_S:] == [0] * 5
    assert allowance.signatures(at_s=6.0, body_bytes=100) == signing.MAX_SIGNATURES


@pytest.mark.parametrize(
    ("size", "expected"),
    [(32 << 10, signing.MAX_SIGNATURES), (128 << 10, signing.CHEAP_SIGNATURES), ((128 << 10) + 1, 0)],
)
def test_longer_bodies_have_less(size: int, expected: int) -> None:
    assert Allowance().signatures(at_s=1.0, body_bytes=size) == expected


def test_in_a_flood_the_later_ones_are_judged_and_not_examined(project: Project) -> None:
    judging = judge(project)
    verdicts = [judging(delivery("test_secret_1", arrived=BODY + b"\n"))[1] for _ in range(CHEAP_PER_S + 1)]
    assert [cause(verdict) for verdict in verdicts[:CHEAP_PER_S]] == ["body-newline"] * CHEAP_PER_S
    assert cause(verdicts[CHEAP_PER_S]) == "unexplained"
    assert verdicts[CHEAP_PER_S].is_bad
    assert (
        cause(judging(delivery("test_secret_1", arrived=BODY + b"\n", at_s=NOW_S + 1))[1]) == "body-newline"
    )
