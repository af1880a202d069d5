"""HTTPS on both sides: `listen --tls`, and apps behind certificates, trusted or not."""

import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from tests.acceptance.receivers import App, app
from tests.acceptance.relay_running import ChannelKey, client, new_project, relay
from tests.acceptance.running import Listening, Project


def post(listening: Listening, trusted: Path) -> tuple[int, bytes]:
    """POST over HTTPS as a careful client does, trusting that one certificate."""
    context = ssl.create_default_context(cafile=str(trusted))
    connection = http.client.HTTPSConnection("127.0.0.1", listening.port, context=context)
    try:
        connection.request("POST", "/hooks", b"{}")
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@contextmanager
def tls_app(folder: Path) -> Iterator[tuple[App, Path]]:
    """An app behind a certificate of an authority of its own; the authority's file."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    with app(tls=context) as running:
        yield running, ca_file


def test_tls_auto_makes_a_certificate_that_clients_can_trust_and_keeps_it(project: Project) -> None:
    certificates = []
    for _ in range(2):
        with project.listening("--tls", "auto", "--json") as listening:
            assert listening.url.startswith("https://127.0.0.1:")
            certificate = next((project.folder / ".webhookctl").rglob("*.pem"))
            certificates.append(certificate.read_bytes())
            assert post(listening, certificate)[0] == 202
            assert listening.wait_for("request")[-1]["body_text"] == "{}"
    assert certificates[0] == certificates[1]
    key = next((project.folder / ".webhookctl").rglob("*.key"))
    assert key.stat().st_mode & 0o077 == 0


def test_tls_with_a_certificate_of_ones_own(project: Project, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    for name, blobs in (("cert.pem", issued.cert_chain_pems), ("key.pem", [issued.private_key_pem])):
        (project.folder / name).write_bytes(b"".join(blob.bytes() for blob in blobs))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with app() as live, project.listening("--tls", "cert.pem,key.pem", "--forward-to", live.url) as listening:
        assert post(listening, tmp_path / "ca.pem")[0] == 200
    assert live.received[0].headers["X-Forwarded-Proto"] == "https"


def test_trigger_finds_a_listener_with_tls_and_trusts_the_certificate_that_it_made(project: Project) -> None:
    with project.listening("--tls", "auto", "--json") as listening:
        project.ok("trigger", "payment_intent.succeeded")
        project.ok("trigger", "payment_intent.succeeded", "--to", listening.url)
        assert len(listening.wait_for("request", 2)) == 2
        assert project.run("replay", "last").exit_code == 0


def test_others_need_the_certificate_of_a_listener(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = new_project(tmp_path_factory.mktemp("other"))
    send = ("trigger", "payment_intent.succeeded", "--json", "--to")
    with project.listening("--tls", "auto", "--json") as listening:
        untrusted = other.run(*send, listening.url)
        assert (untrusted.exit_code, untrusted.attempts[0]["error_kind"]) == (5, "tls")
        certificate = next((project.folder / ".webhookctl").rglob("*.pem"))
        other.ok(*send, listening.url, "--ca-file", str(certificate))
        other.ok(*send, listening.url, "--insecure")
        unusable = other.run(*send, listening.url, "--ca-file", "none.pem")
        assert unusable.exit_code == 2
        assert b"ca-file-unusable" in unusable.stdout
        assert len(listening.wait_for("request", 2)) == 2


def test_an_app_with_an_untrusted_certificate_gets_nothing_and_the_hint_says_what_to_do(
    project: Project, tmp_path: Path
) -> None:
    with tls_app(tmp_path) as (live, _), project.listening("--forward-to", live.url) as listening:
        result = project.run("trigger", "payment_intent.succeeded")
        shown = listening.wait_for_text("hint: for a self-signed certificate: --ca-file")
    assert result.exit_code == 1
    assert "502" in result.text
    assert "its certificate is not trusted" in shown
    assert live.received == []


@pytest.mark.parametrize("way", ["--insecure", "ca_file", "--ca-file"])
def test_an_app_with_a_certificate_of_its_own_is_reached_when_told_to(
    project: Project, tmp_path: Path, way: str
) -> None:
    with tls_app(tmp_path) as (live, ca_file):
        if way == "ca_file":
            (project.folder / "webhookctl.toml").write_text(f'ca_file = "{ca_file}"\n')
        flags = {"--insecure": ("--insecure",), "--ca-file": ("--ca-file", str(ca_file))}.get(way, ())
        with project.listening("--forward-to", live.url, *flags) as listening:
            project.ok("trigger", "payment_intent.succeeded")
            listening.wait_for_text("200 ok")
        project.ok("trigger", "payment_intent.succeeded", "--to", live.url, *flags)
    assert len(live.received) == 2


def test_a_relay_with_a_certificate_of_its_own_is_managed_and_listened_to_when_it_is_trusted(
    tmp_path: Path,
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    (tmp_path / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    (tmp_path / "key.pem").write_bytes(issued.private_key_pem.bytes())
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    trusting = ("--ca-file", str(tmp_path / "ca.pem"))
    (tmp_path / "admin-key").write_text("only-for-this-test-0123456789")
    with relay(tmp_path, *tls, "--admin-key", f"file:{tmp_path / 'admin-key'}") as server:
        project = server.project.with_environment(RELAY_ADMIN_KEY="only-for-this-test-0123456789")
        place = ("--admin", server.url, "--admin-key", "env:RELAY_ADMIN_KEY")
        admin = ("relay", "channel", "new", "mine", *place, "--json")
        untrusted = project.run(*admin)
        assert untrusted.exit_code == 6
        assert b"--ca-file" in untrusted.stdout
        made = project.ok(*admin, *trusting).data
        channel = ChannelKey(made["id"], made["name"], made["key"])
        with (
            app() as live,
            client(tmp_path / "client", server.url, channel, "--forward-to", live.url, *trusting) as here,
        ):
            assert made["url"] == f"{server.url}/{channel.id}"
            here.project.ok("trigger", "payment_intent.succeeded", "--to", made["url"], *trusting)
            assert live.wait_for(1)[0].headers["Stripe-Signature"]
