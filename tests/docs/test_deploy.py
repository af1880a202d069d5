"""The files in deploy/ are such that they run: options that exist, ports and folders that agree, nothing as root."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import trustme
import typer.main

from webhookctl.cli.app import app
from webhookctl.relay.admin import PREFIX
from webhookctl.relay.admission import Reason
from webhookctl.relay.channel import Policy
from webhookctl.relay.metrics import Metrics
from webhookctl.relay.options import OPTIONS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
REFERENCE = ROOT / "docs" / "reference"
_DEADLINE_S = 60


def text(name: str) -> str:
    return (DEPLOY / name).read_text("utf-8")


def parse_serve(words: list[str]) -> dict[str, object]:
    """What `relay serve` makes of `words`; raises for an option that it does not have."""
    serve = typer.main.get_command(app).commands["relay"].commands["serve"]  # type: ignore[attr-defined]  # groups
    with serve.make_context("serve", words) as context:
        found = context.params
    assert isinstance(found, dict)
    return found


def dockerfile() -> list[tuple[str, str]]:
    """Its instructions in order, comments and continuations taken out."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", text("Dockerfile"), flags=re.MULTILINE))
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in joined.splitlines() if line.strip()]


def compose_lists(key: str) -> list[list[str]]:
    """The lists that stand below `key` in compose.yaml, which is written without anchors or flows."""
    blocks = re.finditer(rf"^( +){key}:\n((?:\1  - .*\n)+)", text("compose.yaml"), re.MULTILINE)
    return [
        [line.strip().removeprefix("- ").strip('"') for line in block[2].splitlines()] for block in blocks
    ]


def test_the_image_runs_the_relay_as_nobody_special_from_pinned_stages() -> None:
    steps = dockerfile()
    stages = [value for name, value in steps if name == "FROM"]
    assert len(stages) == 2
    assert all(re.match(r"python:3\.\d+-slim( AS \w+)?$", stage) for stage in stages)
    names = [name for name, _ in steps]
    assert names.index("USER") < names.index("ENTRYPOINT")
    last_user = next(value for name, value in reversed(steps) if name == "USER")
    assert last_user not in ("root", "0")
    assert all("--no-cache-dir" in value for name, value in steps if name == "RUN" and "pip install" in value)
    for name, value in steps:
        if name == "COPY" and not value.startswith("--from"):
            for source in value.split()[:-1]:
                assert (ROOT / source).exists(), source
    [entry] = [json.loads(value) for name, value in steps if name == "ENTRYPOINT"]
    [default] = [json.loads(value) for name, value in steps if name == "CMD"]
    assert entry[1:3] == ["relay", "serve"]
    given = parse_serve([*entry[3:], *default])
    [port] = [value for name, value in steps if name == "EXPOSE"]
    assert given["listen"] == f"0.0.0.0:{port}"
    [volume] = [value for name, value in steps if name == "VOLUME"]
    assert str(given["data"]).startswith(volume + "/")
    [health] = [value for name, value in steps if name == "HEALTHCHECK"]
    assert f":{port}{PREFIX}ready" in health


def test_compose_gives_the_relay_options_it_has_and_rights_it_needs() -> None:
    [command] = compose_lists("command")
    given = parse_serve([re.sub(r"\$\{.*?\}", "hooks.example.com", word) for word in command])
    assert given["admin_key"] == "env:RELAY_ADMIN_KEY"
    assert given["public_url"] == "https://hooks.example.com"
    assert compose_lists("cap_drop") == [["ALL"]]
    assert "\t" not in text("compose.yaml")
    assert all(
        len(line) - len(line.lstrip()) in (0, 2, 4, 6, 8) for line in text("compose.yaml").splitlines()
    )
    used = {volume.split(":")[0] for volumes in compose_lists("volumes") for volume in volumes}
    declared = set(
        re.findall(r"^  ([a-z-]+):$", text("compose.yaml").partition("\nvolumes:\n")[2], re.MULTILINE)
    )
    assert {name for name in used if not name.startswith(".")} == declared
    assert (DEPLOY / "Caddyfile").exists()


def test_the_unit_starts_the_relay_with_options_it_has_in_the_folder_it_owns() -> None:
    unit = re.sub(r"\\\n\s*", " ", text("webhookctl-relay.service"))
    settings = dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))
    words = shlex.split(settings["ExecStart"])
    assert words[1:3] == ["relay", "serve"]
    given = parse_serve(words[3:])
    assert str(given["data"]) == f"/var/lib/{settings['StateDirectory']}"
    assert settings["DynamicUser"] == "yes"
    assert given["trusted_proxy"] == ["127.0.0.1"]


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile"])
def test_the_proxies_lead_to_where_the_relay_listens_and_hide_its_numbers(name: str) -> None:
    from webhookctl.cli.relay import serve

    default = serve.__defaults__[0]  # type: ignore[index]  # it has defaults
    assert str(default) in text(name)
    assert f"{PREFIX}metrics" in text(name)


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    """Where nginx is installed it says so itself; elsewhere its braces and semicolons are checked."""
    config = text("nginx.conf")
    stripped = re.sub(r"#.*", "", config)
    assert stripped.count("{") == stripped.count("}")
    for line in stripped.splitlines():
        assert not line.strip() or line.strip()[-1] in "{};", line
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        return
    certificate = trustme.CA().issue_cert("hooks.example.com")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    config = re.sub(r"(ssl_certificate +).*", rf"\1{tmp_path}/cert.pem;", config)
    config = re.sub(r"(ssl_certificate_key +).*", rf"\1{tmp_path}/key.pem;", config)
    (tmp_path / "relay.conf").write_text(config)
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; include relay.conf; }}"
    )
    done = subprocess.run(
        [program, "-t", "-q", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")],
        capture_output=True, text=True, timeout=_DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_pages_about_the_relay_name_every_option_number_and_reason() -> None:
    channels = (REFERENCE / "relay-channels.md").read_text("utf-8")
    assert [name for name in (*OPTIONS, *Policy) if f"`{name}`" not in channels] == []
    numbers = (REFERENCE / "relay-metrics.md").read_text("utf-8")
    named = set(re.findall(r"# TYPE (\w+)", Metrics().render()))
    assert {name for name in named if f"`{name}" not in numbers} == set()
    pages = numbers, (REFERENCE / "relay-api.md").read_text("utf-8")
    assert [reason for reason in Reason for page in pages if f"`{reason}`" not in page] == []
