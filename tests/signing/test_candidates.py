"""Who else could have sent a request."""

from webhookctl.model import Request
from webhookctl.signing import Detector, parse_scheme

FIELDS = """
id = "own"
name = "Own"
[signature]
algorithm = "none"
[detection]
fields = ["body.own_id", "body.kind: x"]
"""


def test_the_likeliest_comes_first_and_is_the_one_detected() -> None:
    detector = Detector((), is_packaged=True)
    request = Request("POST", "/", ((b"webhook-id", b"msg_1"), (b"webhook-signature", b"v1,x")), b"{}")
    found = detector.candidates(request)
    assert found[0][0] == detector.detect(request).provider
    assert ("whop", "header webhook-signature") in found
    assert len(found) > 10


def test_fields_of_the_body_count_behind_headers() -> None:
    detector = Detector([parse_scheme(FIELDS, "own.toml")], is_packaged=True)
    request = Request("POST", "/", ((b"Stripe-Signature", b"t=1"),), b'{"own_id":1,"kind":"xy"}')
    assert [provider for provider, _ in detector.candidates(request)] == ["stripe", "stripe_thin", "own"]
    assert detector.candidates(request)[-1][1] == "fields body.own_id, body.kind"
    assert detector.candidates(Request("POST", "/", (), b'{"own_id":1,"kind":"y"}')) == ()
