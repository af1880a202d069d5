"""`webhookctl sign --curl`, and the words of a shell it is made of."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cli.commands import Project, run
from webhookctl.errors import UsageError
from webhookctl.model import Request, Secret
from webhookctl.output.curl import quoted, with_content_type
from webhookctl.signing import load, verify

BODY = b'{"id":"evt_1","type":"it\'s \\u00e9"}\n'


def words(command: str) -> list[bytes]:
    """The words that a shell makes of a command line."""
    script = f"curl() {{ printf '%s\\0' \"$@\"; }}\n{command}"
    done = subprocess.run(["bash", "-c", script.encode()], capture_output=True, check=True)
    return done.stdout.split(b"\0")[:-1]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(text=st.binary(max_size=30).filter(lambda text: b"\0" not in text))
def test_a_quoted_word_comes_through_a_shell_as_it_was(text: bytes) -> None:
    shown = quoted(text)
    assert shown.isprintable()
    assert words(f"curl {shown}") == [text]


def test_a_nul_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        quoted(b"a\0b")
    assert caught.value.code == "body-unquotable"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b' {"a":1}', b"application/json"),
        (b"a=1&b=%20", b"application/x-www-form-urlencoded"),
        (b"some text", b"application/octet-stream"),
    ],
)
def test_the_content_type_fits_the_body(body: bytes, kind: bytes) -> None:
    assert with_content_type((), body) == ((b"Content-Type", kind),)


def test_a_shell_sends_what_was_signed(project: Project) -> None:
    result = run("sign", "-p", "stripe", "--secret", "s", "--curl", "--url", "http://h/?a=1&b=2", stdin=BODY)
    given_words = words(result.text)
    assert given_words[:3] == [b"-X", b"POST", b"http://h/?a=1&b=2"]
    assert given_words[-2:] == [b"--data-raw", BODY]
    name, _, value = given_words[6].partition(b": ")
    request = Request("POST", "/", ((name, value),), BODY)
    timestamp = float(value.partition(b"t=")[2].partition(b",")[0])
    assert verify(load("stripe"), [Secret("s")], request, now_s=timestamp).is_ok


def test_a_file_is_named_and_the_default_endpoint_is_where_trigger_goes(project: Project) -> None:
    project.write("body.json", BODY)
    given_words = words(run("sign", "-p", "github", "--secret", "s", "--curl", "body.json").text)
    assert given_words[2] == b"http://127.0.0.1:4400/"
    assert given_words[-2:] == [b"--data-binary", b"@body.json"]


def test_a_body_that_signing_changes_is_written_out(project: Project) -> None:
    project.write("body.json", b'{"webhookTimestamp":1,"type":"a"}')
    given_words = words(run("sign", "-p", "linear", "--secret", "s", "--curl", "body.json").text)
    assert given_words[-2] == b"--data-raw"
    assert b'"webhookTimestamp":1,' not in given_words[-1]


def test_curl_and_json_contradict_each_other(project: Project) -> None:
    assert run("sign", "-p", "github", "--secret", "s", "--curl", "--json", stdin=b"{}").exit_code == 2


def test_two_secrets_sign_with_both_or_are_refused(project: Project) -> None:
    arguments = ("--secret", "one", "--secret", "two")
    header = run("sign", "-p", "stripe", *arguments, stdin=BODY).text.strip()
    assert header.count("v1=") == 2
    for secret in ("one", "two"):
        assert run("verify", "-p", "stripe", "--secret", secret, "-H", header, stdin=BODY).exit_code == 0
    refused = run("sign", "-p", "github", *arguments, stdin=BODY)
    assert refused.exit_code == 2
    assert "GitHub holds one signature" in refused.errors
    assert "hint:" in refused.errors
