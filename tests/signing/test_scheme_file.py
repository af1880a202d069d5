"""Scheme files: what they hold, and errors that name file, key and what was probably meant."""

import subprocess
import sys

import pytest

from webhookctl.errors import UsageError
from webhookctl.signing import load, parse_scheme, provider_ids
from webhookctl.signing.scheme_file import EVIDENCE

GOOD = """
id = "own"
name = "Own"

[signature]
template = "{ts}.{body}"
algorithm = "hmac-sha256"
encoding = "hex"

[[header]]
name = "X-Signature"
value = "t={ts},v1={sig}"
separator = ","

[timestamp]
unit = "s"
tolerance_s = 300

[detection]
headers = ["X-Signature"]
event = ["{body.type}"]
"""


def refused(text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse_scheme(text, "own.toml")
    assert caught.value.code == "scheme-invalid"
    return caught.value


def test_a_small_file_is_whole_with_defaults() -> None:
    scheme = parse_scheme(GOOD, "own.toml")
    assert (scheme.id, scheme.name, scheme.origin) == ("own", "Own", "own.toml")
    assert scheme.keys == ("utf8",)
    assert scheme.signature_names == ("X-Signature",)
    assert scheme.evidence == "unverified"
    assert not scheme.is_verified
    assert scheme.timestamp is not None
    assert scheme.timestamp.is_future_refused
    assert scheme.delivery.timeout_s is None
    assert scheme.detection.rank == 10


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("tolerance_s", "tolerence_s", "timestamp.tolerence_s: unknown key", "did you mean tolerance_s?"),
        ('name = "Own"', 'name = "Own"\nzzz = 1', "zzz: unknown key", "known: "),
        ('id = "own"', "", "id: is missing", ""),
        ('id = "own"', "id = 7", "id: must be text, not 7", ""),
        ('id = "own"', 'id = "../own"', "id: must be lower-case letters, digits, _ and -", ""),
        ('id = "own"', 'id = ""', "id: must be lower-case letters, digits, _ and -", ""),
        (
            "hmac-sha256",
            "hmac-sha265",
            "signature.algorithm: there is no 'hmac-sha265'",
            "did you mean hmac-sha256?",
        ),
        (
            '"hex"',
            '"zzzz"',
            "signature.encoding: there is no 'zzzz'",
            "known: hex, upper-hex, base64, base64url, base64url-padded, raw",
        ),
        ('"hex"', '"hex"\nkeys = []', "signature.keys: must not be empty", ""),
        ('"hex"', '"hex"\nkeys = [1]', "signature.keys: must be a list of texts", ""),
        ('"hex"', '"hex"\nkeys = ["utf-8"]', "signature.keys: there is no 'utf-8'", "did you mean utf8?"),
        ('"hex"', '"hex"\nvalues = {k = "\\n"}', "signature.values.k: must be printable ASCII", ""),
        ("{ts}.{body}", "{ts}.{bdy}", "signature.template: there is no 'bdy'", "did you mean body?"),
        ("{ts}.{body}", "{ts.{body}", "signature.template: ", ""),
        ("{ts}.{body}", "{}{body}", "signature.template: a slot is a plain name in braces: {}{body}", ""),
        ("{ts}.{body}", "{id}.{body}", "signature.template: no header sends the slot {id}", ""),
        ("v1={sig}", "v1={body}", "header.value: there is no 'body'", ""),
        ("v1={sig}", "v1=é{sig}", "header.value: must be printable ASCII", ""),
        (
            "v1={sig}",
            "v1={sig}{sig}",
            "header.value: two slots in 'v1={sig}{sig}' cannot be told apart",
            "separator",
        ),
        ("v1={sig}", "v1=x", "header: no header holds a {sig}", ""),
        (
            'separator = ","',
            'separator = "{"',
            "header.separator: must be printable ASCII without braces",
            "",
        ),
        ('separator = ","', 'separator = "\u202e"', "header.separator: must be printable ASCII", ""),
        (
            'separator = ","',
            'separator = ","\nrotation = "é"',
            "header.rotation: must be printable ASCII",
            "",
        ),
        ("[detection]", "[detection]\nrank = 00:00:00", "detection.rank: must be a whole number, not ", ""),
        (
            "tolerance_s = 300",
            f"tolerance_s = {'9' * 400}",
            f"timestamp.tolerance_s: must be a number, not {'9' * 400}",
            "",
        ),
        ("X-Signature", "X Signature", "header.name: is not a header name: 'X Signature'", ""),
        ("[[header]]", "[header]", "header: must be a list, not", ""),
        ('unit = "s"', 'unit = "m"', "timestamp.unit: there is no 'm'", ""),
        ("tolerance_s = 300", 'tolerance_s = "5m"', "timestamp.tolerance_s: must be a number, not '5m'", ""),
        ("tolerance_s = 300", 'place = "header.X"', "timestamp.place: must be body.PATH", ""),
        ("tolerance_s = 300", 'place = "nowhere"', "timestamp.place: a place is header.NAME", ""),
        (
            "{body.type}",
            "{boddy.type}",
            "detection.event: a place is header.NAME, body.PATH or form.FIELD",
            "",
        ),
        ("[timestamp]", "[timestamp", "not TOML: ", ""),
    ],
)
def test_a_mistake_names_file_and_key_and_what_was_meant(old: str, new: str, message: str, hint: str) -> None:
    assert old in GOOD
    error = refused(GOOD.replace(old, new, 1))
    assert error.message.startswith(f"own.toml: {message}")
    assert hint in error.hint


@pytest.mark.parametrize("header", ["header = []", "header = [1]"])
def test_headers_are_tables(header: str) -> None:
    text = GOOD[: GOOD.index("[[header]]")]
    assert refused(f"{header}\n{text}").message == "own.toml: header: must be one or more tables"


@pytest.mark.parametrize("provider", provider_ids())
def test_every_packaged_scheme_says_where_it_comes_from(provider: str) -> None:
    scheme = load(provider)
    assert scheme.id == provider
    assert scheme.origin == f"{provider}.toml"
    assert scheme.evidence in EVIDENCE
    assert scheme.is_verified == bool(scheme.verified_with)
    assert scheme.secret_variables or not scheme.is_signed
    assert scheme.delivery.timeout_s is None or scheme.delivery.source


def test_what_others_ask_of_a_scheme() -> None:
    assert load("slack").secret_fields == ("token",)
    assert load("slack").delivery.timeout_s == 3
    assert load("stripe").secret_variables[0] == "STRIPE_WEBHOOK_SECRET"
    assert load("svix").signature_names == ("svix-signature",)
    assert load("stripe") is load("stripe")


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("strpe", "did you mean stripe?"),
        ("GitHub", "did you mean github?"),
        ("zzz", f"known: {', '.join(provider_ids())}"),
        ("../stripe", "did you mean stripe?"),
    ],
)
def test_an_unknown_provider_gets_a_suggestion(given: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(given)
    assert (caught.value.code, caught.value.hint) == ("provider-unknown", hint)


def test_signing_reads_one_file_and_imports_nothing_heavy() -> None:
    script = """
import sys
from webhookctl.model import Request, Secret
from webhookctl.signing import load, scheme_file, sign, verify
read = []
parse = scheme_file.parse_scheme
scheme_file.parse_scheme = lambda text, origin: (read.append(origin), parse(text, origin))[1]
headers = sign(load("stripe"), Secret("s"), body=b"{}", timestamp_s=0, message_id="m")
assert verify(load("stripe"), [Secret("s")], Request("POST", "/", headers, b"{}"), now_s=0).is_ok
heavy = {"asyncio", "aiohttp", "cryptography", "socket", "ssl", "http", "typer", "rich"} & set(sys.modules)
print(read, sorted(heavy))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("['stripe.toml'] []", "")
