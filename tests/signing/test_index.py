"""The index of recognition: whole, up to date, and enough to recognise a provider by."""

import subprocess
import sys
from importlib.resources import files

import pytest

from webhookctl.model import Request
from webhookctl.signing import Detector, load, parse_scheme, provider_ids
from webhookctl.signing.index import index, index_text


def test_the_index_is_up_to_date() -> None:
    kept = files("webhookctl.signing").joinpath("data", "index.json").read_text(encoding="utf-8")
    assert kept == index_text(), "`make docs` makes it anew"


def test_the_index_holds_what_the_files_hold() -> None:
    held = dict(index())
    for provider in provider_ids():
        rules = load(provider).detection
        if rules.headers or rules.fields:
            found = held.pop(provider)
            assert (found.headers, found.fields, found.rank) == (rules.headers, rules.fields, rules.rank)
    assert not held


@pytest.mark.parametrize("provider", [provider for provider, rules in index() if rules.headers])
def test_index_and_files_recognise_the_same_provider(provider: str) -> None:
    by_files = Detector(load(name) for name in provider_ids())
    by_index = Detector((), is_packaged=True)
    for recognition in load(provider).detection.headers:
        header = (recognition.text.encode(), recognition.prefix + b"x")
        found = by_index.detect(Request("POST", "/", (header,), b'{"type":"a.b","id":"i-1"}'))
        expected = by_files.detect(Request("POST", "/", (header,), b'{"type":"a.b","id":"i-1"}'))
        assert (found.provider, found.event, found.delivery_id) == (
            expected.provider,
            expected.event,
            expected.delivery_id,
        )
        rank = load(found.provider or "").detection.rank
        assert rank <= load(provider).detection.rank


def test_a_users_own_scheme_comes_before_the_packaged_ones() -> None:
    text = (
        'id = "own"\nname = "Own"\n[signature]\ntemplate = "{body}"\nalgorithm = "hmac-sha256"\nencoding = "hex"\n'
        '[[header]]\nname = "Stripe-Signature"\nvalue = "{sig}"\n[detection]\nheaders = ["Stripe-Signature"]\n'
        'event = ["{body.own}"]'
    )
    detector = Detector([parse_scheme(text, "own.toml")], is_packaged=True)
    request = Request("POST", "/", ((b"stripe-signature", b"t=1"),), b'{"own":"x","type":"y"}')
    found = detector.detect(request)
    assert (found.provider, found.event) == ("own", "x")
    assert found.reason == "header Stripe-Signature (also sent by stripe, stripe_thin)"
    assert detector.detect(request, provider="stripe").event == "y"
    assert detector.detect(request, provider="nobody").event == "y"


def test_recognising_a_provider_reads_its_file_and_no_others() -> None:
    script = """
import sys
from webhookctl.model import Request
from webhookctl.signing import detect, scheme_file
read = []
parse = scheme_file.parse_scheme
scheme_file.parse_scheme = lambda text, origin: (read.append(origin), parse(text, origin))[1]
print(detect(Request("POST", "/", ((b"X-GitHub-Event", b"push"),), b"{}")).provider, read)
print(sorted({"cryptography", "decimal"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("github ['generic.toml', 'github.toml']\n[]\n", "")
