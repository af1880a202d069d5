"""What the tests of the handshake room share: challenges as they come in, and what is known for answering."""

from webhookctl import handshake
from webhookctl.handshake import Handshake, Known
from webhookctl.model import Headers, Request, Secret, Verdict, VerdictKind

OK = Verdict(VerdictKind.OK, "sample", "ok")
WRONG = Verdict(VerdictKind.WRONG_SECRET, "sample", "made with another secret")
UNJUDGED = Verdict(VerdictKind.NO_SECRET, "sample", "no secret is known here")
SECRET = Secret("public:private", "env:SAMPLE")
TOKEN = Secret("sample-token", "flag")
KNOWN = Known((SECRET,), (TOKEN,), OK)
ALL = handshake.load_all()


def incoming(row: Handshake, *, seed: int = 7, token: str = "sample-token") -> Request:
    """The challenge of `row` as it comes in, a header in the place of the provider's signature."""
    request = handshake.challenge(row, seed=seed, token=token)
    present = {name.lower() for name, _ in request.headers}
    signature: Headers = tuple(
        (condition.place.name.encode("ascii"), b"sample")
        for condition in row.conditions
        if condition.place.source == "header"
        and not condition.is_absent
        and condition.place.name.lower().encode("ascii") not in present
    )
    return Request(request.method, request.target, request.headers + signature, request.body)


def named(name: str) -> Handshake:
    return handshake.resolve(name)


def get(target: str, *fields: tuple[bytes, bytes]) -> Request:
    return Request("GET", target, fields, b"")


def post(body: bytes, *fields: tuple[bytes, bytes], target: str = "/") -> Request:
    return Request("POST", target, fields, body)
