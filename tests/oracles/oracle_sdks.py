"""The providers' own SDKs, and receivers of others, judge what we sign. Run by `make test-oracles` alone."""

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from random import Random

import judges_body
import judges_npm
import judges_special
import judges_timed
import pytest
from judge import URL, Delivery, Oracle, now_s
from report import Report

from webhookctl.model import Request, Secret
from webhookctl.signing import (
    Signed,
    load,
    make_key,
    max_signatures,
    provider_ids,
    sign_request,
    sign_with_each,
    verify,
)

ORACLES = (*judges_timed.ORACLES, *judges_body.ORACLES, *judges_special.ORACLES, *judges_npm.ORACLES)
CLOCKED = tuple(oracle for oracle in ORACLES if oracle.past_s is not None)

ROTATING = tuple(
    oracle for oracle in ORACLES if max_signatures(load(oracle.provider)) > 1 and not oracle.shown
)

rotating = pytest.mark.parametrize("oracle", ROTATING, ids=lambda judge: judge.id, indirect=True)
every = pytest.mark.parametrize("oracle", ORACLES, ids=lambda judge: judge.id, indirect=True)
clocked = pytest.mark.parametrize("oracle", CLOCKED, ids=lambda judge: judge.id, indirect=True)


def release_of(package: str) -> str:
    """The release that is installed, "" where npm or its packages are missing."""
    if not package.startswith("npm:"):
        return version(package)
    about = judges_npm.NPM / "node_modules" / package.removeprefix("npm:") / "package.json"
    return str(json.loads(about.read_text())["version"]) if about.exists() else ""


def witness(package: str) -> str:
    """How schemes and handshakes name `package` in the release that ran."""
    separator, name = ("@", package) if package.startswith("npm:") else ("==", f"pypi:{package}")
    return f"{name}{separator}{release_of(package)} "


@pytest.fixture(scope="session", autouse=True)
def _report(request: pytest.FixtureRequest) -> None:
    request.config.pluginmanager.register(Report())


@pytest.fixture
def oracle(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Oracle:
    judge: Oracle = request.param
    if judge.provider not in provider_ids():
        pytest.skip(f"no scheme {judge.provider} is shipped")
    if not release_of(judge.package):
        pytest.skip("npm is missing here: the judges of npm did not run")
    record_property("oracle", f"{judge.provider} by {judge.package} {release_of(judge.package)}")
    return judge


def signed(oracle: Oracle, *, at_s: float) -> Signed:
    return sign_request(
        load(oracle.provider),
        Secret(oracle.secret),
        body=oracle.body,
        timestamp_s=at_s,
        message_id="msg_sample_0001",
        url=URL,
    )


def is_accepted(oracle: Oracle, made: Signed, *, body: bytes | None = None) -> bool:
    headers = {name.decode().lower(): value.decode() for name, value in made.headers}
    secret = oracle.shown or oracle.secret
    return oracle.accepts(Delivery(headers, made.body if body is None else body, secret, made.url))


def is_ok(oracle: Oracle, made: Signed, *, body: bytes | None = None) -> bool:
    request = Request("POST", "/hooks?x=1", made.headers, made.body if body is None else body)
    is_pair = oracle.secret.startswith("-----BEGIN")
    secrets = [Secret(oracle.shown if is_pair and oracle.shown else oracle.secret)]
    return verify(load(oracle.provider), secrets, request, now_s=now_s(), url=made.url).is_ok


@every
def test_it_accepts_what_we_sign(oracle: Oracle) -> None:
    made = signed(oracle, at_s=now_s())
    assert is_accepted(oracle, made)
    assert is_ok(oracle, made)


@every
def test_it_refuses_a_changed_body_unless_its_scheme_does_not_cover_it(oracle: Oracle) -> None:
    made = signed(oracle, at_s=now_s())
    changed = made.body.replace(*oracle.change)
    assert changed != made.body
    assert is_accepted(oracle, made, body=changed) is not oracle.covers_body
    assert not (oracle.covers_body and is_ok(oracle, made, body=changed))


@every
def test_it_refuses_what_another_secret_signed(oracle: Oracle) -> None:
    other = make_key(load(oracle.provider), Random(2).randbytes).secret
    made = signed(replace(oracle, secret=other), at_s=now_s())
    shown = oracle.shown or oracle.secret
    assert not is_accepted(replace(oracle, shown=shown), made)
    assert not is_ok(replace(oracle, shown=shown), made)


@clocked
def test_it_refuses_what_is_too_old_and_so_do_we(oracle: Oracle) -> None:
    assert oracle.past_s is not None
    made = signed(oracle, at_s=now_s() - oracle.past_s)
    assert not is_accepted(oracle, made)
    assert not is_ok(oracle, made)


@clocked
def test_we_agree_with_it_on_the_future(oracle: Oracle) -> None:
    made = signed(oracle, at_s=now_s() + (oracle.future_s or 3600))
    assert is_accepted(oracle, made) is is_ok(oracle, made) is (oracle.future_s is None)


@rotating
@pytest.mark.parametrize("place", [0, 1])
def test_it_accepts_either_of_two_secrets_that_sign_at_once(oracle: Oracle, place: int) -> None:
    other = make_key(load(oracle.provider), Random(1).randbytes).secret
    secrets = [Secret(other), Secret(other)]
    secrets[place] = Secret(oracle.secret)
    made = sign_with_each(
        load(oracle.provider),
        secrets,
        body=oracle.body,
        timestamp_s=now_s(),
        message_id="msg_sample_0001",
        url=URL,
    )
    assert is_accepted(oracle, made)
    assert is_ok(oracle, made)


@every
def test_the_scheme_names_the_package_and_release_that_ran(oracle: Oracle) -> None:
    assert load(oracle.provider).is_verified
    assert any(named.startswith(witness(oracle.package)) for named in load(oracle.provider).verified_with)


def test_every_verified_scheme_has_a_judge_here() -> None:
    judged = {oracle.provider for oracle in ORACLES}
    verified = {provider for provider in provider_ids() if load(provider).is_verified}
    assert verified - judged == {"paypal"}  # of its SDK only the text that is signed: oracle_signers.py
