"""What a request presents of a scheme (slots and signatures read back from it), and which key fits it.

Must not know the clock or verdicts.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hmac import compare_digest
from math import isfinite
from typing import NamedTuple

from webhookctl.model import Headers, Secret
from webhookctl.signing.computed import COMPUTATIONS, EXACT, Offer, is_computed
from webhookctl.signing.content import Content, Unsignable, form_fields
from webhookctl.signing.place import Place, Template, parse_place, parse_template
from webhookctl.signing.primitive import DECODINGS, ENCODINGS, PRIMITIVES, derive_key, set_up
from webhookctl.signing.scheme import SENT_SLOTS, HeaderTemplate, Scheme

MAX_SIGNATURES = 64  # a rotation has two or three; more are an attempt to keep us busy

_NO_VALUES: Mapping[str, bytes] = {}


class Key(NamedTuple):
    """A `key` made from the secret of `number` (from 1), and the slots whose values stood before it in the secret.

    `make` gives the signature as it is shown from the values of all slots, for schemes that are plain.
    """

    number: int
    key: bytes
    parts: Mapping[str, bytes]
    make: Callable[[Mapping[str, bytes]], bytes] | None = None

    def __repr__(self) -> str:
        return f"Key({self.number}, ****)"


class Claim(NamedTuple):
    """What a request says of a slot that can be checked: where it says so, the template of it, and its value."""

    origin: str
    template: Template
    value: bytes


@dataclass(slots=True)
class Presented:
    """`values` by slot, `signatures` as encoded in headers, the names of the scheme's `fields` that are there.

    `claimed` is what the request says of the body or URL by itself; `headers` are those of the request;
    `is_whole_body`: the body is the signature. Of one that was judged and is right: the `key`, and `at_s`, when it
    says that it was signed (Unix time).
    """

    values: dict[str, bytes]
    signatures: list[bytes]
    claimed: list[Claim]
    headers: Headers
    fields: Collection[str] = ()
    is_whole_body: bool = False
    key: Key | None = None
    at_s: float | None = None


def read(scheme: Scheme, headers: Headers) -> Presented:
    """What `headers` present of `scheme`; of a header that occurs several times the first counts."""
    values: dict[str, bytes] = {}
    presented = Presented(values, [], [], headers)
    unread = dict(scheme.headers_by_name)
    for name, value in headers:
        template = unread.pop(name.lower(), None)
        if template is None:
            continue
        if not template.whole:
            _read_value(template, value, presented)
        elif text := value.strip():
            values.setdefault(template.whole, text)
    if scheme.values:
        presented.values = {**scheme.values, **presented.values}
    return presented


def read_fields(scheme: Scheme, presented: Presented, *, body: bytes, url: str) -> None:
    """Adds to `presented` what the fields of `body` and of the query of `url` present."""
    content = Content(body)
    found = []
    for template in scheme.fields:
        place = template.place
        assert place is not None
        value = _query_value(url, place) if place.source == "query" else content.at(place)
        presented.is_whole_body |= template.name == "body"
        if value is not None:
            found.append(template.name)
            _read_value(template, value, presented)
    presented.fields = found


def _query_value(url: str, place: Place) -> bytes | None:
    query = url.partition("?")[2].partition("#")[0].encode("utf-8", "surrogatepass")
    name = place.path[0].encode("utf-8")
    try:
        return next((value for key, value in form_fields(query) if key == name), None)
    except Unsignable:
        return None


def _read_value(template: HeaderTemplate, value: bytes, presented: Presented) -> None:
    if template.rotation:
        value = value.replace(template.rotation, template.separator)
    elements, separator = template.elements, template.separator
    for position, item in enumerate(value.split(separator) if separator else (value,)):
        text = item.strip()
        for prefix, slot, suffix, place, is_claim in elements:
            if place is None:
                if not text.startswith(prefix) or (suffix and not text.endswith(suffix)):
                    continue
                found = text[len(prefix) : len(text) - len(suffix)]
            elif place == min(position, template.last):
                found = text
            else:
                continue
            if not found:
                break
            if slot == "sig":
                if len(presented.signatures) < MAX_SIGNATURES:
                    presented.signatures.append(found)
            elif is_claim:
                claim = Claim(template.name, parse_template(f"{{{slot}}}"), found)
                presented.claimed.append(claim)
            else:
                presented.values.setdefault(slot, found)
            break


def read_claims(scheme: Scheme, presented: Presented, *, body: bytes) -> None:
    """Adds to `presented` what the claims of its web token say; ValueError when the first signature is no token.

    A claim about the body may be missing where there is no body.
    """
    from webhookctl.signing import web_token

    said = web_token.read(presented.signatures[0]).claims
    for name, template in scheme.claims:
        value = said.get(name)
        text = str(int(value)) if isinstance(value, float) and isfinite(value) else str(value)
        free = {*SENT_SLOTS, "expires", *scheme.values} & {*template.slots}
        is_own = bool(free) and template.text == f"{{{template.slots[0]}}}"
        if value is None and (is_own or (not body and not EXACT.isdisjoint(template.slots))):
            continue
        if is_own:
            presented.values.setdefault(template.slots[0], text.encode("utf-8", "surrogatepass"))
        elif free or (presented.is_whole_body and not EXACT.isdisjoint(template.slots)):
            continue  # free to say anything; or the body is the token, which cannot speak of itself
        else:
            shown = b"" if value is None else text.encode("utf-8", "surrogatepass")
            presented.claimed.append(Claim(f"claim {name}", template, shown))


def key_of(scheme: Scheme, secret: Secret, derivation: str, *, number: int = 1) -> Key:
    """The key that `derivation` makes of `secret`; ValueError when it is not in that form."""
    text = secret.reveal()
    parts: list[str] = []
    if scheme.key_parts:
        *parts, rest = text.split(":", len(scheme.key_parts))
        if len(parts) == len(scheme.key_parts):
            text = rest
        elif not set(scheme.key_parts) <= scheme.values.keys():
            raise ValueError("a part of the secret is missing")
        else:
            parts = []
    key = derive_key(text, derivation, scheme.key_prefixes)
    if scheme.needs_pair:
        from webhookctl.signing import asymmetric

        asymmetric.load_keys(key)
    encoded = [part.encode("utf-8", "surrogateescape") for part in parts]
    values = dict(zip(scheme.key_parts, encoded, strict=True)) if parts else _NO_VALUES
    return Key(number, key, values, _plain(scheme, key) if scheme.is_plain else None)


def _plain(scheme: Scheme, key: bytes) -> Callable[[Mapping[str, bytes]], bytes]:
    encode, sign, render = ENCODINGS[scheme.encoding], set_up(scheme.algorithm, key), scheme.template.render
    return lambda values: encode(sign(render(values)))


@lru_cache(maxsize=64)  # every delivery asks for the same few
def keys_of(scheme: Scheme, secrets: tuple[Secret, ...]) -> tuple[Key, ...]:
    """Every key that the scheme's derivations make of `secrets`; a secret that is not in their form makes none."""
    keys: list[Key] = []
    for number, secret in enumerate(secrets, start=1):
        for derivation in scheme.keys:
            try:
                keys.append(key_of(scheme, secret, derivation, number=number))
            except ValueError:  # its words may quote the secret: they are dropped
                continue
    return tuple(keys)


def filled(values: Mapping[str, bytes], headers: Headers, slots: Sequence[str]) -> Mapping[str, bytes]:
    """`values` with each of `slots` computed from the others or found in the body. Raises Unsignable."""
    offer = Offer(values, headers, Content(values["body"]))
    found = dict(values)
    for slot in slots:
        computation = COMPUTATIONS.get(slot)
        if computation is not None:
            found[slot] = computation(offer)
        else:
            found[slot] = offer.content.at(parse_place(slot)) or b""
    return found


def canonical_forms(
    scheme: Scheme, key: Key, values: Mapping[str, bytes], headers: Headers
) -> Iterator[bytes]:
    """The bytes that `scheme` signs, by its template and then by its others. Raises Unsignable."""
    if key.parts:
        values = {**values, **key.parts}
    if scheme.computed:
        values = filled(values, headers, scheme.computed)
    if "secret" in scheme.template.slots:
        values = {**values, "secret": key.key}
    yield scheme.template.render(values)
    values = {**values, "secret": key.key}
    for template in scheme.other_templates:
        if values.keys() >= set(template.slots):  # what the request does not send it cannot have signed
            yield template.render(values)


def signature_of(scheme: Scheme, key: Key, values: Mapping[str, bytes], headers: Headers = ()) -> bytes:
    """The signature of `values` by `key` as it stands in a header. Raises Unsignable; ValueError for a wrong key."""
    if key.make is not None:
        return key.make(values)
    canonical = next(canonical_forms(scheme, key, values, headers))
    primitive = PRIMITIVES.get(scheme.algorithm)
    if primitive is not None:
        return ENCODINGS[scheme.encoding](primitive(key.key, canonical))
    from webhookctl.signing import asymmetric

    return ENCODINGS[scheme.encoding](asymmetric.make_signature(scheme.algorithm, key.key, canonical))


def fitting_key(scheme: Scheme, keys: Sequence[Key], presented: Presented) -> Key | None:
    """The first of `keys` that made one of the presented signatures, or None.

    Raises Unsignable when the body is not of the form that the scheme signs.
    """
    for key in keys:
        make = key.make
        if make is None:
            if _fits(scheme, key, presented):
                return key
            continue
        expected = make(presented.values)
        for signature in presented.signatures:
            if compare_digest(expected, signature):
                return key
    return None


def _fits(scheme: Scheme, key: Key, presented: Presented) -> bool:
    algorithms = (scheme.algorithm, *scheme.other_algorithms)
    if scheme.is_web_token:
        from webhookctl.signing import web_token

        return web_token.is_signed(web_token.read(presented.signatures[0]), algorithms, key.key)
    for canonical in canonical_forms(scheme, key, presented.values, presented.headers):
        for algorithm in algorithms:
            primitive = PRIMITIVES.get(algorithm)
            if primitive is None:
                if _is_proved(scheme, algorithm, key.key, canonical, presented.signatures):
                    return True
                continue
            expected = ENCODINGS[scheme.encoding](primitive(key.key, canonical))
            for signature in presented.signatures:
                if compare_digest(expected, signature):
                    return True
    return False


def _is_proved(
    scheme: Scheme, algorithm: str, key: bytes, canonical: bytes, signatures: Sequence[bytes]
) -> bool:
    from webhookctl.signing import asymmetric

    for signature in signatures:
        try:
            if asymmetric.is_signature(algorithm, key, DECODINGS[scheme.encoding](signature), canonical):
                return True
        except ValueError:  # the signature or the key is not in its form
            continue
    return False


def contradiction(presented: Presented, parts: Mapping[str, bytes]) -> Claim | None:
    """The first claim of the request about its body or URL that does not hold, or None. Raises Unsignable.

    `parts` are the slots that the secret holds.
    """
    for claim in presented.claimed:
        slots = [slot for slot in claim.template.slots if is_computed(slot)]
        values = filled({**presented.values, **parts}, presented.headers, slots)
        if not compare_digest(claim.template.render(values), claim.value):
            return claim
    return None
