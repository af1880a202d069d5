"""Whose answer goes back, what is kept, and which URLs are opened: decided without a network."""

import asyncio
import json
from pathlib import Path

import pytest

from webhookctl.errors import UsageError
from webhookctl.handshake import resolve
from webhookctl.model import (
    Attempt,
    Capture,
    Detection,
    Endpoint,
    Exchange,
    Failure,
    FailureKind,
    Headers,
    LargeBody,
    Request,
    Response,
    Verdict,
    VerdictKind,
)
from webhookctl.wiring.handshaking import Greeter, HandshakePlan
from webhookctl.wiring.project import Project, open_project

UNJUDGED = Verdict(VerdictKind.NO_SECRET, "sample", "no secret is known")
URL = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=a&Token=b"
CONFIRMED = b"<r><SubscriptionArn>arn:aws:sns:eu-west-1:1:t:1</SubscriptionArn></r>"


class Aws:
    """Stands for AWS; writes down what it is asked."""

    def __init__(self, outcome: Response | Failure) -> None:
        self.outcome = outcome
        self.asked: list[tuple[Endpoint, Request]] = []

    async def send(
        self,
        endpoint: Endpoint,
        request: Request,
        *,
        timeout_s: float | None,
        added: Headers = (),
        keep_host: bool = False,
        large_body: LargeBody | None = None,
    ) -> Attempt:
        self.asked.append((endpoint, request))
        if isinstance(self.outcome, Response):
            return Attempt(endpoint.url, 1.0, 2.0, response=self.outcome)
        return Attempt(endpoint.url, 1.0, 2.0, failure=self.outcome)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return open_project(tmp_path)


def greeter(
    project: Project,
    *,
    mode: str = "auto",
    is_open: bool = False,
    is_sns_confirmed: bool = False,
    aws: Aws | None = None,
) -> Greeter:
    return Greeter(
        project,
        HandshakePlan(mode, is_sns_confirmed=is_sns_confirmed),
        judge=project.judge(provider=None, flag=()),
        sender=aws or Aws(Response(200, "OK", (), b"")),
        is_open=is_open,
    )


def exchange(request: Request, provider: str, verdict: Verdict = UNJUDGED) -> Exchange:
    return Exchange(7, Capture(request, 1.0, "127.0.0.1:5"), Detection(provider), verdict)


def sns(url: str) -> Exchange:
    return exchange(Request("POST", "/", (), json.dumps({"SubscribeURL": url}).encode()), "aws_sns")


def asana(secret: str) -> Exchange:
    return exchange(Request("POST", "/", ((b"X-Hook-Secret", secret.encode()),), b"{}"), "asana")


def test_the_app_has_most_of_the_sender_s_patience_and_all_of_it_when_it_answers_alone(
    project: Project,
) -> None:
    slack, meta = resolve("slack"), resolve("meta")
    assert greeter(project).patience_s(slack, 30.0) == pytest.approx(1.8)
    assert greeter(project).patience_s(slack, 1.0) == 1.0
    assert greeter(project).patience_s(meta, 30.0) == 30.0
    assert greeter(project, mode="app").patience_s(slack, 30.0) == 30.0


def test_a_url_of_sns_is_shown_unless_it_may_be_opened(project: Project) -> None:
    shown = greeter(project).settle(resolve("aws_sns"), sns(URL), None)
    assert shown.visit == ""
    assert any(URL in note and "--confirm-sns" in note for note in shown.notes)
    allowed = greeter(project, is_sns_confirmed=True).settle(resolve("aws_sns"), sns(URL), None)
    assert allowed.visit == URL


def test_no_other_url_is_opened_even_when_sns_may_be(project: Project) -> None:
    settled = greeter(project, is_sns_confirmed=True).settle(
        resolve("aws_sns"), sns("https://example.com/?Action=ConfirmSubscription"), None
    )
    assert settled.visit == ""
    assert any("is not opened" in note for note in settled.notes)


def test_an_app_that_took_the_subscription_confirms_it_itself(project: Project) -> None:
    attempt = Attempt("http://app.example.com/", 1.0, 2.0, response=Response(200, "OK", (), b""))
    settled = greeter(project, is_sns_confirmed=True).settle(resolve("aws_sns"), sns(URL), attempt)
    assert (settled.response, settled.visit) == (None, "")


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Response(200, "OK", (), CONFIRMED), "the subscription is confirmed"),
        (Response(200, "OK", (), b"<html>"), "NOT confirmed: AWS answered 200"),
        (Response(403, "Forbidden", (), CONFIRMED), "NOT confirmed: AWS answered 403"),
        (Failure(FailureKind.DNS, "no such host"), "NOT confirmed: no such host"),
    ],
)
def test_what_came_of_opening_the_url_is_told(
    project: Project, outcome: Response | Failure, said: str
) -> None:
    aws = Aws(outcome)
    assert said in asyncio.run(greeter(project, aws=aws).visit(URL))
    ((endpoint, request),) = aws.asked
    assert (endpoint.host, endpoint.port, endpoint.is_tls) == ("sns.eu-west-1.amazonaws.com", 443, True)
    assert request.target == "/?Action=ConfirmSubscription&TopicArn=a&Token=b"


def test_a_learnt_secret_verifies_from_then_on_and_joins_earlier_ones(project: Project) -> None:
    answering = greeter(project)
    first = answering.settle(resolve("asana"), asana("first-secret"), None)
    answering.settle(resolve("asana"), asana("second-secret"), None)
    again = answering.settle(resolve("asana"), asana("first-secret"), None)
    assert any("is kept" in note for note in first.notes)
    assert any("not kept" in note for note in again.notes)
    known = [secret.reveal() for secret in project.known_secrets("asana")]
    assert known == ["second-secret", "first-secret"]


def test_a_secret_that_cannot_be_kept_is_told_and_answered(project: Project) -> None:
    project.state.folder.write_text("in the way")
    settled = greeter(project).settle(resolve("asana"), asana("first-secret"), None)
    assert settled.response is not None
    assert any("could not be kept" in note for note in settled.notes)


def test_a_secret_named_for_all_providers_is_not_joined(project: Project) -> None:
    judge = project.judge(provider=None, flag=("given",))
    sender = Aws(Response(200, "OK", (), b""))
    answering = Greeter(project, HandshakePlan(), judge=judge, sender=sender, is_open=False)
    answering.settle(resolve("asana"), asana("stranger"), None)
    assert project.state.learnt_secrets("asana") == ()


def test_a_damaged_file_of_learnt_secrets_counts_as_empty(project: Project) -> None:
    greeter(project).settle(resolve("asana"), asana("first-secret"), None)
    (project.state.folder / "learnt-secrets" / "asana.json").write_text('{"a": 1}')
    assert project.state.learnt_secrets("asana") == ()
    (project.state.folder / "learnt-secrets" / "asana.json").write_text("[")
    assert project.state.learnt_secrets("asana") == ()


def test_where_others_reach_the_listener_no_token_is_taken_unseen(project: Project) -> None:
    request = Request("GET", "/?hub.mode=subscribe&hub.challenge=1&hub.verify_token=a", (), b"")
    settled = greeter(project, is_open=True).settle(resolve("meta"), exchange(request, "meta"), None)
    assert settled.response is not None
    assert settled.response.status == 403
    assert "--verify-token" in settled.refusal


def test_a_secret_reference_that_leads_nowhere_leaves_a_keyed_answer_refused(project: Project) -> None:
    judge = project.judge(provider=None, flag=("env:NOT_THERE",))
    sender = Aws(Response(200, "OK", (), b""))
    answering = Greeter(project, HandshakePlan(), judge=judge, sender=sender, is_open=False)
    request = Request("GET", "/?crc_token=a", (), b"")
    settled = answering.settle(resolve("twitter"), exchange(request, "twitter"), None)
    assert settled.response is not None
    assert settled.response.status == 403


def test_an_acknowledgement_is_the_app_s_affair_where_it_answers_alone(project: Project) -> None:
    request = Request("POST", "/", (), b"{}")
    delivery = exchange(request, "adyen_item")
    assert greeter(project, mode="app").acknowledgement(resolve("adyen"), delivery) is None
    acknowledged = greeter(project).acknowledgement(resolve("adyen"), delivery)
    assert acknowledged is not None
    assert acknowledged.body == b"[accepted]"


def test_a_verify_token_that_leads_nowhere_is_told_at_the_start(project: Project) -> None:
    plan = HandshakePlan(verify_tokens=("env:NOT_THERE",))
    with pytest.raises(UsageError) as raised:
        Greeter(
            project,
            plan,
            judge=project.judge(provider=None, flag=()),
            sender=Aws(Response(200, "OK", (), b"")),
            is_open=False,
        )
    assert raised.value.code == "secret-missing"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, []),
        ({"WEBHOOKCTL_VERIFY_TOKEN": "all"}, ["all"]),
        ({"META_VERIFY_TOKEN": "own", "WEBHOOKCTL_VERIFY_TOKEN": "all"}, ["own"]),
    ],
)
def test_verify_tokens_come_from_the_provider_s_variable_else_the_common_one(
    project: Project, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], expected: list[str]
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert [token.reveal() for token in project.verify_tokens(("META_VERIFY_TOKEN",))] == expected


def test_the_setting_names_where_the_verify_token_is(tmp_path: Path, project: Project) -> None:
    (tmp_path / "token.txt").write_text("from-file\n")
    (tmp_path / "webhookctl.toml").write_text('verify_token = "file:token.txt"\n')
    assert [token.reveal() for token in open_project(tmp_path).verify_tokens(())] == ["from-file"]
    (tmp_path / "webhookctl.toml").write_text('verify_token = "openly-written"\n')
    with pytest.raises(UsageError) as raised:
        open_project(tmp_path)
    assert "env:NAME or file:PATH" in raised.value.message


def test_app_mode_without_an_app_complains(project: Project) -> None:
    settled = greeter(project, mode="app").settle(resolve("asana"), asana("secret"), None)
    assert settled.response is None
    assert any("--forward-to" in complaint for complaint in settled.complaints)
    assert project.state.learnt_secrets("asana") == ()


def test_an_app_that_gave_no_answer_is_answered_for(project: Project) -> None:
    failure = Failure(FailureKind.TIMEOUT, "no answer within 2 s")
    attempt = Attempt("http://app.example.com/", 1.0, 2.0, failure=failure)
    settled = greeter(project).settle(resolve("asana"), asana("secret"), attempt)
    assert settled.response is not None
    assert settled.complaints == ("no answer within 2 s",)


def test_nothing_is_learnt_from_what_the_app_refused(project: Project) -> None:
    refusal = Attempt("http://app.example.com/", 1.0, 2.0, response=Response(401, "", (), b""))
    request = Request("POST", "/", (), b'{"type":1}')
    settled = greeter(project).settle(resolve("discord"), exchange(request, "discord"), refusal)
    assert settled.response is None
    assert "was not checked" in settled.refusal


def test_a_request_is_found_by_what_is_known_of_its_sender(project: Project) -> None:
    request = Request("GET", "/?crc_token=a", (), b"")
    assert greeter(project).find(request, Detection()) is resolve("twitter")
    assert greeter(project).find(request, Detection("stripe")) is None
