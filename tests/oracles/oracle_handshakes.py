"""Receivers that nobody here wrote answer our challenges, and their answers are right by our check."""
# mypy: disable-error-code="import-not-found,import-untyped"

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from urllib.parse import parse_qsl

import judges_npm
import pytest
from judge import TEXT, now_s
from judges_special import ED25519, private_pem, raw_public
from oracle_sdks import release_of, witness

from webhookctl import handshake
from webhookctl.handshake import Known
from webhookctl.model import Request, Response, Secret, Verdict, VerdictKind
from webhookctl.signing import load, make_key, sign

TOKEN = "sample-token"
N8N = "npm:n8n-nodes-base"


def n8n_answers(provider: str, request: Request, secret: str) -> Response:
    made = judges_npm.ask_node(
        {
            "oracle": provider,
            "isChallenge": True,
            "method": request.method,
            "query": dict(parse_qsl(request.target.partition("?")[2])),
            "headers": {name.decode().lower(): value.decode() for name, value in request.headers},
            "body": base64.b64encode(request.body).decode(),
            "secret": secret,
            "url": "https://example.com/hooks",
            "token": TOKEN,
        }
    )
    headers = tuple((name.encode(), value.encode()) for name, value in made["headers"].items())
    return Response(made["status"], "", headers, made["body"].encode())


def braintree_answers(_: str, request: Request, secret: str) -> Response:
    import braintree

    public, _, private = secret.partition(":")
    gateway = braintree.BraintreeGateway(
        braintree.Configuration(braintree.Environment.Sandbox, "sample", public, private)
    )
    challenge = dict(parse_qsl(request.target.partition("?")[2]))["bt_challenge"]
    return Response(200, "", (), gateway.webhook_notification.verify(challenge).encode())


def discord_answers(_: str, request: Request, secret: str) -> Response:
    import flask
    from discord_interactions import verify_key_decorator

    app = flask.Flask("sample")
    app.post("/")(verify_key_decorator(raw_public().hex())(lambda: "not asked"))
    headers = [(name.decode(), value.decode()) for name, value in request.headers]
    answer = app.test_client().post("/", data=request.body, headers=headers)
    fields = tuple((name.encode(), value.encode()) for name, value in answer.headers.items())
    return Response(answer.status_code, "", fields, answer.data)


@dataclass(frozen=True)
class Greeter:
    """A package that answers the challenge `id`; `is_signed`: only where the provider's signature is right."""

    id: str
    package: str = N8N
    answers: Callable[[str, Request, str], Response] = n8n_answers
    secret: str = TEXT
    is_signed: bool = False


GREETERS = (
    Greeter("asana"),
    Greeter("mailchimp"),
    Greeter("meta"),
    Greeter("microsoft_graph"),
    Greeter("onfleet"),
    Greeter("slack", is_signed=True),
    Greeter("strava"),
    Greeter("trello"),
    Greeter("twitter", "npm:twitter-autohook"),
    Greeter("zoom", "npm:@zoom/rivet", is_signed=True),
    Greeter("braintree", "braintree", braintree_answers, "public:private"),
    Greeter("discord", "discord-interactions", discord_answers, private_pem(ED25519), is_signed=True),
)

# Zoom's receiver answers its challenge before it looks at the signature.
SIGNED = tuple(greeter for greeter in GREETERS if greeter.is_signed and greeter.id != "zoom")

every = pytest.mark.parametrize("greeter", GREETERS, ids=lambda greeter: greeter.id, indirect=True)
signed = pytest.mark.parametrize("greeter", SIGNED, ids=lambda greeter: greeter.id, indirect=True)


@pytest.fixture
def greeter(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Greeter:
    found: Greeter = request.param
    if not release_of(found.package):
        pytest.skip("npm is missing here: the judges of npm did not run")
    record_property("oracle", f"handshake:{found.id} by {found.package} {release_of(found.package)}")
    return found


def asked(greeter: Greeter, seed: int, *, signed_with: str = "") -> tuple[handshake.Handshake, Request]:
    row = handshake.resolve(greeter.id)
    request = handshake.challenge(row, seed=seed, token=TOKEN)
    if greeter.is_signed:
        scheme, secret = load(row.provider), Secret(signed_with or greeter.secret)
        made = sign(scheme, secret, body=request.body, timestamp_s=now_s(), message_id="msg_sample_1")
        request = replace(request, headers=(*request.headers, *made))
    return row, request


def known(greeter: Greeter) -> Known:
    verdict = Verdict(VerdictKind.OK, "sample", "ok") if greeter.is_signed else None
    return Known((Secret(greeter.secret, "env:SAMPLE"),), (Secret(TOKEN),), verdict)


@every
@pytest.mark.parametrize("seed", [1, 2])
def test_its_answer_is_right_by_our_check_and_ours_says_the_same(greeter: Greeter, seed: int) -> None:
    row, request = asked(greeter, seed)
    theirs = greeter.answers(greeter.id, request, greeter.secret)
    ours = handshake.answer(row, request, known(greeter)).response
    assert handshake.check(row, request, theirs, known(greeter)).complaints == ()
    assert theirs.status == ours.status
    if row.answer.json is not None or row.answer.text:
        assert said(theirs) == said(ours)


def said(response: Response) -> object:
    try:
        return json.loads(response.body)
    except ValueError:
        return response.body


@every
def test_an_answer_to_another_challenge_is_wrong_where_it_says_anything(greeter: Greeter) -> None:
    row, request = asked(greeter, 1)
    _, other = asked(greeter, 2)
    theirs = greeter.answers(greeter.id, other, greeter.secret)
    says_nothing = row.challenge is None or greeter.id in ("trello", "mailchimp")
    assert handshake.check(row, request, theirs, known(greeter)).is_right is says_nothing


@signed
def test_it_refuses_a_challenge_that_another_key_signed_and_so_do_we(greeter: Greeter) -> None:
    row = handshake.resolve(greeter.id)
    other = make_key(load(row.provider), Random(3).randbytes).secret
    row, request = asked(greeter, 1, signed_with=other)
    theirs = greeter.answers(greeter.id, request, greeter.secret)
    wrong = replace(known(greeter), verdict=Verdict(VerdictKind.WRONG_SECRET, "sample", "another key"))
    assert theirs.status in (401, 403)
    assert handshake.answer(row, request, wrong).refusal


def test_every_handshake_that_is_said_to_be_verified_is_answered_here() -> None:
    verified = {row.id for row in handshake.load_all() if row.evidence == "verified"}
    assert verified == {greeter.id for greeter in GREETERS}
    for greeter in GREETERS:
        if not release_of(greeter.package):
            pytest.skip("npm is missing here: the releases of its packages are not compared")
        assert handshake.resolve(greeter.id).source.startswith(witness(greeter.package))
