"""The table of causes: what each is called, what kind of verdict it gives, its words, and what to do about it.

Knows names and words only: nothing of requests, and not how a cause is tried.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from webhookctl.model import VerdictKind

_SECRET, _BODY, _FORM = VerdictKind.WRONG_SECRET, VerdictKind.BODY_CHANGED, VerdictKind.MALFORMED

_COMPARE_SECRETS = "give sender and receiver the same secret, character for character"
_RAW_BODY = (
    "use the raw body: express.raw(), request.get_data(), request.body, await request.body(), "
    "request.raw_post, @RequestBody byte[], io.ReadAll"
)
_ON_THE_WAY = (
    "find what changes the body on its way (editor, proxy, transcoding) and sign or send the same bytes"
)
_SAME_URL = (
    "configure the URL that the provider calls: behind a proxy the app sees another one (verify --url)"
)
_SAME_FORMULA = "build the signature as the provider does: `webhookctl verify --explain` shows its formula"
_HEADER = "pass the header on as it came"


class Cause(NamedTuple):
    """One cause: the `kind` of its verdict, its `words` ({0} is the detail of what was tried), and the `fix`."""

    kind: VerdictKind
    words: str
    fix: str


class Deviation(NamedTuple):
    """One way in which the sender did otherwise than the scheme or the request says: a cause and its detail."""

    cause: str
    detail: str = ""


def _re_encoded() -> Cause:
    return Cause(_BODY, "the signature fits the body {0}: a proxy or framework re-encoded it", _RAW_BODY)


def _changed(fix: str = _ON_THE_WAY) -> Cause:
    return Cause(_BODY, "the signature fits the body {0}: a tool or proxy changed it", fix)


def _url() -> Cause:
    return Cause(_FORM, "the signature fits another URL: {0}", _SAME_URL)


CAUSES: Mapping[str, Cause] = {
    # the secret
    "secret-other": Cause(_SECRET, "another known secret makes this signature: {0}", _COMPARE_SECRETS),
    "secret-not-decoded": Cause(
        _SECRET, "it was signed with the secret {0}", "decode the secret before it is used as a key"
    ),
    "secret-decoded": Cause(
        _SECRET,
        "it was signed with the secret {0}",
        "use the secret as text: this provider does not decode it",
    ),
    "secret-prefix": Cause(
        _SECRET, "it was signed with the secret {0}", "treat the prefix of the secret as the provider does"
    ),
    "secret-white-space": Cause(
        _SECRET, "{0}", "take the white space off: it came along when the secret was copied"
    ),
    "secret-quotes": Cause(
        _SECRET, "it was signed with the secret {0}", "take the quotes off: they came from a file or a shell"
    ),
    "secret-case": Cause(_SECRET, "it was signed with the secret in {0}", _COMPARE_SECRETS),
    "secret-empty": Cause(
        _SECRET, "it was signed with an empty secret", "the sender's variable is not set: set it there"
    ),
    "secret-placeholder": Cause(
        _SECRET, "it was signed with the text {0} as secret", "the sender's variable is not set: set it there"
    ),
    # the body
    "json-layout": _re_encoded(),
    "json-escapes": _re_encoded(),
    "json-key-order": _re_encoded(),
    "json-numbers": _re_encoded(),
    "json-duplicate-keys": _re_encoded(),
    "form-encoding": _re_encoded(),
    "form-order": _re_encoded(),
    "form-payload": Cause(_BODY, "the signature fits {0}, not the body as it came", _RAW_BODY),
    "body-newline": _changed(),
    "body-white-space": _changed(),
    "body-line-ends": _changed("keep the body's line ends: mark bodies as binary (-text in .gitattributes)"),
    "body-byte-order-mark": _changed(),
    "body-charset": _changed("treat the body as bytes: decoding and encoding it again is what changed it"),
    "body-compression": Cause(
        _BODY,
        "the signature fits the body {0}",
        "verify the bytes in the form that was signed: as sent, or decompressed",
    ),
    "body-empty": Cause(
        _BODY,
        "the signature fits an empty body: something read the body before it was signed or verified",
        _RAW_BODY,
    ),
    "body-truncated": Cause(
        _BODY,
        "the body is cut: {0} bytes",
        "raise the body limit on the way, or take the whole body: Content-Length says how long it is",
    ),
    "body-changed": Cause(_BODY, "the secret is right, so the body was changed: {0}", _ON_THE_WAY),
    # the URL
    "url-scheme": _url(),
    "url-host": _url(),
    "url-port": _url(),
    "url-slash": _url(),
    "url-query": _url(),
    "url-path": _url(),
    # the header
    "header-name": Cause(
        _FORM, "the right signature stands in the header {0}", _HEADER + " and by its own name"
    ),
    "header-prefix": Cause(_FORM, "the right signature stands in the header {0}", _SAME_FORMULA),
    "header-form": Cause(_FORM, "the signature is right, but {0}", _HEADER),
    "signature-replaced": Cause(
        _FORM, "the signature in {0} is right: the scheme's own was replaced", _HEADER
    ),
    "signature-encoding": Cause(_FORM, "the signature is right, but {0}", _SAME_FORMULA),
    "signature-case": Cause(_FORM, "the signature is right, but in {0}", _SAME_FORMULA),
    "signature-truncated": Cause(_FORM, "the signature is right as far as it goes, but cut: {0}", _HEADER),
    "signature-quotes": Cause(_FORM, "the signature is right, but stands in quotes", _HEADER),
    "signature-white-space": Cause(_FORM, "the signature is right, but white space stands in it", _HEADER),
    "signature-joined": Cause(_FORM, "the right signature is there, but {0}", _HEADER),
    # how it was made
    "algorithm-hash": Cause(_FORM, "it was made with {0}", _SAME_FORMULA),
    "algorithm-plain-digest": Cause(_FORM, "it is {0}, not an HMAC", _SAME_FORMULA),
    "algorithm-swapped": Cause(_FORM, "it was made with key and content swapped", _SAME_FORMULA),
    "content-without-timestamp": Cause(_FORM, "the timestamp was not signed: {0}", _SAME_FORMULA),
    "content-without-id": Cause(_FORM, "the id was not signed: {0}", _SAME_FORMULA),
    "content-without-url": Cause(_FORM, "the URL was not signed: {0}", _SAME_FORMULA),
    "content-separator": Cause(_FORM, "the parts were joined otherwise: {0}", _SAME_FORMULA),
    "content-other": Cause(_FORM, "something else was signed: {0}", _SAME_FORMULA),
    "scheme-other": Cause(
        _FORM, "it is signed as {0} does", "name the right provider: --provider, or the path of its endpoint"
    ),
    # the time
    "timestamp-unit": Cause(_FORM, "{0}", "write the timestamp in the unit that the scheme uses"),
    "timestamp-form": Cause(_FORM, "the signature is right, but {0}", _SAME_FORMULA),
    "timestamp-stale": Cause(
        VerdictKind.EXPIRED,
        "{0}",
        "an old delivery or a slow sender: `webhookctl replay` signs anew; else compare the clocks",
    ),
    "timestamp-future": Cause(
        VerdictKind.FUTURE, "{0}", "one of the two clocks is wrong: compare them with a time server"
    ),
    # nothing that was tried
    "header-missing": Cause(
        VerdictKind.NO_HEADER, "{0}", "a proxy dropped it, or the sender has no secret set"
    ),
    "malformed": Cause(_FORM, "{0}", "pass headers and body on as they came, in the provider's own form"),
    "unexplained": Cause(
        _SECRET, "{0}", "compare the secrets; when they are the same, the body is not what was signed"
    ),
}
"""By name. The names are API: they stand in machine output and never change their meaning."""


def words_of(deviations: Sequence[Deviation]) -> str:
    """The deviations in one line, joined by "and"; a detail that several share is said once."""
    by_words: dict[str, list[str]] = {}
    said: set[str] = set()
    for cause, detail in deviations:
        if not detail or detail not in said:
            said.add(detail)
            by_words.setdefault(CAUSES[cause].words, []).append(detail)
    return "; and ".join(words.format(", ".join(details)) for words, details in by_words.items())
