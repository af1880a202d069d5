"""The relay behind real proxies with the files of deploy/: senders and the tunnel both go through them, with TLS."""

import re
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
import trustme

from tests.acceptance.receivers import RawHeaders, RawMessage, Sender, always, sink
from tests.acceptance.relay_running import ChannelKey, Relay, client, new_project, wait_for
from tests.acceptance.test_fidelity import FRAMING, PROXY, ROWS, Row, without
from tests.ports import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
OURS = (b"webhookctl-delivery-id",)
pytestmark = pytest.mark.xdist_group("relay-proxies")


def nginx(folder: Path, port: int, relay_port: int) -> list[str]:
    """The command that runs nginx with deploy/nginx.conf; only names, ports and files are other ones."""
    site = (DEPLOY / "nginx.conf").read_text("utf-8")
    site = site.replace("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;").replace(
        "127.0.0.1:4480", f"127.0.0.1:{relay_port}"
    )
    site = re.sub(r"ssl_certificate +.*;", f"ssl_certificate {folder}/cert.pem;", site)
    site = re.sub(r"ssl_certificate_key +.*;", f"ssl_certificate_key {folder}/key.pem;", site)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "site.conf").write_text(site)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/errors;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary} include {folder}/site.conf; }}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, port: int, relay_port: int) -> list[str]:
    """The command that runs Caddy with deploy/Caddyfile, and a certificate of its own instead of one it orders."""
    site = (DEPLOY / "Caddyfile").read_text("utf-8")
    site = site.replace(
        "{$RELAY_HOST:hooks.example.com} {",
        f"https://127.0.0.1:{port}, https://hooks.example.com:{port} {{\n\ttls {folder}/cert.pem {folder}/key.pem",
    )
    site = site.replace("{$RELAY_UPSTREAM:127.0.0.1:4480}", f"127.0.0.1:{relay_port}")
    settings = "{\n\tadmin off\n\tauto_https off\n}\n"
    (folder / "Caddyfile").write_text(settings + site)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


PROXIES = {"nginx": nginx, "caddy": caddy}


@dataclass(frozen=True, slots=True)
class Behind:
    """A relay behind a proxy, which is at `url`; `tls` trusts that."""

    relay: Relay
    url: str
    ca_file: Path
    tls: ssl.SSLContext

    def get(self, path: str) -> int | None:
        """The status of a GET through the proxy; None while nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, context=self.tls, timeout=10) as response:
                return int(response.status)
        except HTTPError as error:
            return error.code
        except (URLError, OSError):
            return None

    def send(self, channel: ChannelKey, row: Row) -> RawMessage:
        raw = row.raw.replace(b" /", f" /{channel.id}/".encode(), 1)
        with Sender(self.url, tls=self.tls) as sender:
            response = sender.send(raw)
        assert response is not None, row.name
        return response


@pytest.fixture(params=sorted(PROXIES))
def behind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Behind]]:
    name: str = request.param
    if shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin") is None:
        pytest.skip(f"{name} is not installed: the relay was not run behind it")
    with running(tmp_path, PROXIES[name]) as found:
        yield name, found


@contextmanager
def running(folder: Path, command: Callable[[Path, int, int], list[str]]) -> Iterator[Behind]:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    port, relay_port = free_port(), free_port()
    url = f"https://127.0.0.1:{port}"
    options = ("--public-url", url, "--trusted-proxy", "127.0.0.1")
    server = Relay(new_project(folder / "relay"), folder / "data", port=relay_port, options=options)
    there = Behind(server, url, folder / "ca.pem", ssl.create_default_context(cafile=str(folder / "ca.pem")))
    server.start()
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/usr/local/bin",
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
    }
    with open(folder / "proxy-output", "wb") as output:
        proxy = subprocess.Popen(
            command(folder, port, relay_port),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_for(lambda: there.get("/.webhookctl/ready") == 200, "the relay behind the proxy")
        yield there
    finally:
        proxy.kill()
        proxy.wait()
        server.end()


def arrivals(there: Behind, folder: Path) -> Iterator[tuple[Row, RawMessage]]:
    """Each row that can be sent to a path, and what came of it at the app."""
    sent = [row for row in ROWS if row.target.startswith("/")]
    channel = there.relay.new_channel("fidelity")
    options = ("--no-save", "--ca-file", str(there.ca_file))
    with sink() as app, client(folder / "client", there.url, channel, "--forward-to", app.url, *options):
        for row in sent:
            response = there.send(channel, row)
            assert (response.status, field_of(response, b"webhookctl-status")) == (200, b"delivered"), (
                row.name
            )
        yield from zip(sent, app.requests, strict=True)


def field_of(message: RawMessage, wanted: bytes) -> bytes | None:
    return next((value for name, value in message.headers if name.lower() == wanted), None)


def folded(headers: RawHeaders) -> RawHeaders:
    """The fields without their order and the case of their names; those of one name keep theirs."""
    return sorted(((name.lower(), value) for name, value in headers), key=lambda pair: pair[0])


def test_deliveries_come_through_the_proxy_as_it_is_said_of_it(
    behind: tuple[str, Behind], tmp_path: Path
) -> None:
    name, there = behind
    for row, message in arrivals(there, tmp_path):
        found = without(message.headers, *FRAMING, *PROXY, *OURS, b"x-private")
        assert message.body == row.sent_body, row.name
        if name == "nginx":
            assert (message.start, found) == (row.start, row.sent_headers), row.name
        else:
            assert message.start == row.start or row.name == "reserved", row.name
            assert folded(found) == folded(row.sent_headers), row.name


def test_what_a_sender_says_of_itself_ends_at_the_proxy_and_the_numbers_stay_inside(
    behind: tuple[str, Behind], tmp_path: Path
) -> None:
    _, there = behind
    assert there.relay.get("/.webhookctl/metrics") == 200
    assert there.get("/.webhookctl/metrics") == 404
    channel = there.relay.new_channel("mine")
    options = ("--no-save", "--ca-file", str(there.ca_file))
    with sink() as app, client(tmp_path / "client", there.url, channel, "--forward-to", app.url, *options):
        lies = (b"X-Forwarded-For: 192.0.2.7", b"X-Forwarded-Proto: http", b"X-Real-IP: 192.0.2.7")
        assert there.send(channel, Row("lies", fields=lies, body=b"{}")).status == 200
        [message] = app.requests
    assert b"192.0.2.7" not in (field_of(message, b"x-forwarded-for") or b"")
    assert field_of(message, b"x-forwarded-proto") == b"https"


def test_the_apps_answer_comes_back_through_the_proxy(behind: tuple[str, Behind], tmp_path: Path) -> None:
    name, there = behind
    answer = (
        b"HTTP/1.1 418 Short and stout\r\nX-B: 1\r\nx-b: 2\r\nContent-Encoding: gzip\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n4\r\n\x1f\x8b\x00\r\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    channel = there.relay.new_channel("mine")
    options = ("--no-save", "--ca-file", str(there.ca_file))
    with (
        sink(always(answer)) as app,
        client(tmp_path / "client", there.url, channel, "--forward-to", app.url, *options),
    ):
        response = there.send(channel, Row("any", body=b"{}"))
    assert response.status == 418
    assert response.body == b"\x1f\x8b\x00\rabc"
    assert [value for key, value in response.headers if key.lower() == b"x-b"] == [b"1", b"2"]
    assert (response.start == b"HTTP/1.1 418 Short and stout") is (name == "nginx")
