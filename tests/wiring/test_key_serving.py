"""Keys are served: public halves alone, to GET and HEAD alone, and nothing else is touched."""

import asyncio
import json
from pathlib import Path

import pytest

from webhookctl.model import Capture, Request, Response, Secret
from webhookctl.signing import load, sign_request, verify
from webhookctl.store.keys import StoredKey
from webhookctl.wiring.key_serving import ROOT, KeyServer
from webhookctl.wiring.project import Project, open_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".git").mkdir()
    return open_project(tmp_path)


DELIVERED = Response(202, "Accepted", (), b"delivered")


def answer(project: Project, target: str, method: str = "GET") -> Response:
    async def deliver(_: Capture) -> Response:
        return DELIVERED

    async def ask() -> Response:
        return await KeyServer(project, deliver)(Capture(Request(method, target, (), b""), 0.0, "peer"))

    return asyncio.run(ask())


def test_a_derived_development_key_is_served_and_verifies(project: Project) -> None:
    served = answer(project, f"{ROOT}discord/jwks.json")
    assert (served.status, dict(served.headers)[b"Content-Type"]) == (200, b"application/json")
    (jwk,) = json.loads(served.body)["keys"]
    assert "d" not in jwk
    (secret,) = project.secrets("discord")
    signed = sign_request(load("discord"), secret, body=b"{}", timestamp_s=1.0, message_id="m")
    public = answer(project, f"{ROOT}discord/public.pem").body.decode()
    request = Request("POST", "/", signed.headers, b"{}")
    assert verify(load("discord"), [Secret(public)], request, now_s=1.0).is_ok


def test_a_key_that_was_made_is_served_in_its_place(project: Project) -> None:
    derived = answer(project, f"{ROOT}plaid/cert.pem").body
    key = StoredKey("plaid", "jwt-es256", project.secrets("plaid")[0], "x", 0.0)
    project.state.keys.keep(key, is_replacing=False)
    assert answer(project, f"{ROOT}plaid/cert.pem?x=1").body.startswith(b"-----BEGIN CERTIFICATE")
    assert derived.startswith(b"-----BEGIN CERTIFICATE")


@pytest.mark.parametrize("provider", ["stripe", "strava", "nobody"])
def test_there_is_nothing_to_serve_of_a_shared_secret_or_a_stranger(project: Project, provider: str) -> None:
    served = answer(project, f"{ROOT}{provider}/jwks.json")
    assert served.status == 404
    assert f"keys new {provider}".encode() in served.body


def test_a_providers_real_key_is_not_passed_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (secret,) = project.secrets("discord")
    monkeypatch.setenv("DISCORD_PUBLIC_KEY", secret.reveal())
    fresh = open_project(project.config.root)
    assert answer(fresh, f"{ROOT}discord/jwks.json").status == 404


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", f"{ROOT}discord/jwks.json"),
        ("GET", f"{ROOT}discord/private.pem"),
        ("GET", f"{ROOT}../discord/jwks.json"),
        ("GET", f"/x{ROOT}discord/jwks.json"),
        ("GET", "/"),
    ],
)
def test_everything_else_is_a_delivery(project: Project, method: str, target: str) -> None:
    assert answer(project, target, method) is DELIVERED
