"""`sign` and `verify` for programs: text or bytes in, plain dictionaries out, the provider by its name.

Secrets are given, never looked for.
"""

from collections.abc import Iterable, Mapping
from time import time  # noqa: TID251  (the default of `at_s`)
from typing import Any

from webhookctl import signing
from webhookctl.errors import UsageError
from webhookctl.library.scheme import scheme_of
from webhookctl.model import Headers, Request, Secret, Verdict

HeaderFields = Mapping[str, str] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
"""Header fields as web frameworks give them: a mapping, or pairs of texts or of bytes."""


def sign(
    provider: str,
    body: bytes | str,
    *,
    secret: str,
    at_s: float | None = None,
    message_id: str = "msg_sample",
    url: str = "",
    method: str = "POST",
) -> dict[str, str]:
    """The signature headers of `provider` for `body` (text is UTF-8), made at the Unix time `at_s` (default: now).

    `url` is needed by the schemes that sign it. Raises UsageError `provider-unknown`; SignatureError, for example
    `secret-malformed` or `signature-in-body` (then use `forge` or `Delivery.signed`).
    """
    fields = signing.sign(
        scheme_of(provider),
        Secret(secret),
        body=_bytes(body),
        timestamp_s=time() if at_s is None else at_s,
        message_id=message_id,
        url=url,
        method=method,
    )
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in fields}


def verify(
    provider: str,
    headers: HeaderFields,
    body: bytes,
    *,
    secret: str | Iterable[str],
    url: str = "",
    method: str = "POST",
    at_s: float | None = None,
    tolerance_s: float | None = None,
) -> Verdict:
    """The verdict on a request of `provider`: `is_ok`, `kind` and `reason` in words. Never raises for what came in.

    `secret`: one, or several while it is being rotated. `at_s` is the Unix time to judge as of (default: now).
    Raises UsageError `provider-unknown`, and `body-not-bytes` for a body that was decoded: signatures cover bytes.
    """
    if not isinstance(body, bytes | bytearray | memoryview):
        raise UsageError(
            "body-not-bytes",
            f"the body is a {type(body).__name__}: a signature covers the bytes that came in",
            "pass the raw body: request.get_data(), await request.body(), request.body",
        )
    secrets = [secret] if isinstance(secret, str) else list(secret)
    target = "/" + url.partition("://")[2].partition("/")[2]
    request = Request(method, target, header_fields(headers), bytes(body))
    return signing.verify(
        scheme_of(provider),
        [Secret(each) for each in secrets],
        request,
        now_s=time() if at_s is None else at_s,
        url=url,
        tolerance_s=tolerance_s,
    )


def header_fields(headers: HeaderFields) -> Headers:
    """Header fields as pairs of latin-1 bytes."""
    items = getattr(headers, "items", None)  # also of what is no Mapping: werkzeug's, http.client's
    pairs: Any = headers if items is None else items()
    return tuple((_latin(name), _latin(value)) for name, value in pairs)


def _latin(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1", "replace")


def _bytes(body: bytes | str) -> bytes:
    return body.encode("utf-8") if isinstance(body, str) else body
