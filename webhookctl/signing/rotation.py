"""Signs with several secrets at once, as a provider does while one is rotated.

Must not know how a single signature is made; puts several into the headers that can hold them.
"""

from collections.abc import Sequence

from webhookctl.errors import UsageError
from webhookctl.model import Headers, Secret
from webhookctl.signing.engine import Signed, sign_request
from webhookctl.signing.scheme import HeaderTemplate, Scheme
from webhookctl.signing.scheme_file import NUMBERED_HEADERS

MAX_REPEATED = 16  # of a list in one header; a rotation has two or three


def max_signatures(scheme: Scheme) -> int:
    """How many signatures a request of `scheme` can hold, each by a secret of its own; 1 for most schemes."""
    if len(_primary(scheme)) != 1 or scheme.fields or scheme.key_parts:
        return 1
    (header,) = _primary(scheme)
    if header.name.endswith("{n}"):
        return NUMBERED_HEADERS
    if header.is_repeated or header.rotation:
        return MAX_REPEATED
    return 1 + len(_further(scheme))


def sign_with_each(
    scheme: Scheme,
    secrets: Sequence[Secret],
    *,
    body: bytes,
    timestamp_s: float,
    message_id: str,
    url: str = "",
    method: str = "POST",
) -> Signed:
    """As `sign_request`, with a signature by each of `secrets` in their order; they must be one at least.

    Raises UsageError `rotation-unsupported` when the scheme cannot hold so many, and what `sign_request` raises.
    """
    most = max_signatures(scheme)
    if len(secrets) > most:
        number = "one signature" if most == 1 else f"at most {most} signatures"
        raise UsageError(
            "rotation-unsupported",
            f"a request of {scheme.name} holds {number}, and {len(secrets)} secrets were given",
            "sign with one --secret; `listen` and `verify` accept a signature by any of several",
        )
    made = [
        sign_request(
            scheme,
            secret,
            body=body,
            timestamp_s=timestamp_s,
            message_id=message_id,
            url=url,
            method=method,
        )
        for secret in secrets
    ]
    if len(made) == 1:
        return made[0]
    return Signed(_joined(scheme, [signed.headers for signed in made]), made[0].body, made[0].url)


def _primary(scheme: Scheme) -> tuple[HeaderTemplate, ...]:
    return tuple(header for header in scheme.headers if header.has_signature and not header.is_optional)


def _further(scheme: Scheme) -> tuple[HeaderTemplate, ...]:
    """Headers for the signature by a second secret."""
    return tuple(header for header in scheme.headers if header.has_signature and header.is_optional)


def _joined(scheme: Scheme, signed: Sequence[Headers]) -> Headers:
    """The headers of the first with the signatures of the others put beside its own."""
    (header,) = _primary(scheme)
    values = [value for headers in signed for name, value in headers if name == header.wire_name]
    fields: list[tuple[bytes, bytes]] = []
    for name, value in signed[0]:
        fields += _beside(scheme, header, values) if name == header.wire_name else [(name, value)]
    return tuple(fields)


def _beside(scheme: Scheme, header: HeaderTemplate, values: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    if header.name.endswith("{n}"):
        stem = header.name.removesuffix("{n}")
        return [(f"{stem}{number}".encode(), value) for number, value in enumerate(values, start=1)]
    if header.rotation:
        return [(header.wire_name, header.rotation.join(values))]
    if header.is_repeated:
        signatures = [_signature_item(header, value) for value in values[1:]]
        return [(header.wire_name, header.separator.join([values[0], *signatures]))]
    names = (header.wire_name, *(further.wire_name for further in _further(scheme)))
    return list(zip(names, values, strict=False))


def _signature_item(header: HeaderTemplate, value: bytes) -> bytes:
    """The item of a list `value` that holds its signature: by its place, or by the literal that tells it apart."""
    (element,) = (element for element in header.elements if element.slot == "sig")
    items = value.split(header.separator)
    if element.position is not None:
        return items[element.position]
    return next(item for item in items if item.startswith(element.prefix))
