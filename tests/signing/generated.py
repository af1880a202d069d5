"""Cases for generated verifiers: right and wrong deliveries of every scheme that code is made for."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random

from tests.signing.keys import URL, key_for
from tests.signing.test_every_scheme import MESSAGE_ID, NOW_S, example_body
from webhookctl.model import Headers, Secret
from webhookctl.signing import (
    Scheme,
    load,
    make_key,
    max_signatures,
    parse_scheme,
    provider_ids,
    public_forms,
    sign_with_each,
)
from webhookctl.signing.code import Plan, plan


@dataclass(frozen=True)
class Case:
    """One delivery and what a verifier has to say of it at `now_s`."""

    provider: str
    what: str
    headers: Headers
    body: bytes
    key: str
    parameters: dict[str, str]
    now_s: float
    is_right: bool

    @property
    def name(self) -> str:
        return f"{self.provider} {self.what}"

    def record(self) -> dict[str, object]:
        return {
            "provider": self.provider,
            "headers": {name.decode(): value.decode() for name, value in self.headers},
            "body": b64encode(self.body).decode(),
            "key": self.key,
            "parameters": self.parameters,
            "now": self.now_s,
        }


_OWN_TEXT = """
id = "{id}"
name = "Own"
[signature]
template = "{{ts}}|{{tag}}|{{body}}"
algorithm = "{algorithm}"
encoding = "{encoding}"
keys = ["{key}"]
values = {{ tag = "fixed%d" }}
[[header]]
name = "X-Own"
value = "{value}"
separator = "{separator}"
[timestamp]
unit = "{unit}"
tolerance_s = 90.5
"""


def _own(**parts: str) -> Scheme:
    return parse_scheme(_OWN_TEXT.format(**parts), "own.toml")


OWN: Mapping[str, Scheme] = {
    scheme.id: scheme
    for scheme in (
        _own(
            id="own_1",
            algorithm="hmac-sha384",
            encoding="upper-hex",
            key="base64url",
            value="{ts}; {sig}",
            separator=";",
            unit="iso8601",
        ),
        _own(
            id="own_2",
            algorithm="hmac-sha512",
            encoding="base64url-padded",
            key="sha256",
            value="t={ts};s={sig}",
            separator=";",
            unit="ms",
        ),
        _own(
            id="own_3",
            algorithm="ed25519",
            encoding="base64url",
            key="utf8",
            value="t={ts}&s={sig}",
            separator="&",
            unit="s",
        ),
    )
}
"""Schemes of what no packaged one has: further encodings, hashes and forms of keys, a slot that nobody sends."""


def scheme_of(provider: str) -> Scheme:
    return OWN.get(provider) or load(provider)


@cache
def planned() -> dict[str, Plan]:
    """The plan of every packaged scheme that has one."""
    found = {provider: plan(scheme_of(provider)) for provider in (*provider_ids(), *OWN)}
    return {provider: one for provider, one in found.items() if isinstance(one, Plan)}


@cache
def cases(provider: str) -> tuple[Case, ...]:
    scheme, planned_ = scheme_of(provider), planned()[provider]
    keys = [make_key(scheme, Random(5).randbytes) if provider in OWN else key_for(provider)]
    if max_signatures(scheme) > 1:
        keys.append(make_key(scheme, Random(7).randbytes))
    body = b'{"n":1}' if provider in OWN else example_body(provider)
    signed = sign_with_each(
        scheme,
        [Secret(key.secret) for key in keys],
        body=body,
        timestamp_s=NOW_S,
        message_id=MESSAGE_ID,
        url=URL,
    )
    known = {"url": URL, "method": "POST", **{part: f"test_{part}" for part in scheme.key_parts}}
    parameters = {name: known[name] for name in planned_.parameters}
    prefix = "".join(f"test_{part}:" for part in scheme.key_parts)

    def given(number: int) -> str:
        if planned_.is_pair:
            forms = public_forms(scheme, Secret(keys[number].secret))
            if planned_.key_form != scheme.public_key:
                return forms[planned_.key_form]
            return forms[scheme.public_key] if not scheme.key_prefixes else keys[number].public
        return keys[number].secret.removeprefix(prefix)

    def case(
        what: str, *, is_right: bool, headers: Headers, content: bytes, age_s: float = 0.0, number: int = 0
    ) -> Case:
        return Case(provider, what, headers, content, given(number), parameters, NOW_S + age_s, is_right)

    right = signed.headers
    found = [
        case(f"key {number + 1}", is_right=True, headers=right, content=signed.body, number=number)
        for number in range(len(keys))
    ]
    if scheme.covers_body:
        found.append(case("another body", is_right=False, headers=right, content=tampered(signed.body)))
        found += [
            case(f"the body {hostile!r}", is_right=False, headers=right, content=hostile)
            for hostile in (b"\xff%ff&=\x00", b'{"a":', b"null", b"[]")
        ]
    for number, (name, value) in enumerate(right if len(keys) == 1 else ()):
        if scheme.headers_by_name[name.lower()].has_signature:
            cut = (*right[:number], (name, value[:-6]), *right[number + 1 :])
            found.append(case("a signature cut short", is_right=False, headers=cut, content=signed.body))
    found.append(case("no headers", is_right=False, headers=(), content=signed.body))
    others = sign_with_each(
        scheme,
        [Secret(other_key(provider))],
        body=body,
        timestamp_s=NOW_S,
        message_id=MESSAGE_ID,
        url=URL,
    )
    found.append(case("another key", is_right=False, headers=others.headers, content=others.body))
    policy = planned_.timestamp
    if policy is not None and policy.tolerance_s is not None:
        limit_s = policy.tolerance_s
        for what, age_s, is_right in (
            ("in time", limit_s - 1, True),
            ("too old", limit_s + 1, False),
            ("ahead", -limit_s - 2, not policy.is_future_refused),
        ):
            found.append(case(what, is_right=is_right, headers=right, content=signed.body, age_s=age_s))
    return tuple(found)


def tampered(body: bytes) -> bytes:
    """`body` changed, and still a form or JSON where it was one."""
    if body.endswith((b"}", b"]")):
        return b"[" + body + b"]"
    return body + (b"&x=1" if body else b"x=1")


def other_key(provider: str) -> str:
    """A secret that the verifier is not given; one pair of RSA serves all, since making it takes its time."""
    scheme = scheme_of(provider)
    if "rsa" not in scheme.algorithm:
        return make_key(scheme, Random(99).randbytes).secret
    return "".join(f"test_{part}:" for part in scheme.key_parts) + _other_rsa()


@cache
def _other_rsa() -> str:
    return make_key(load("fireblocks"), Random(99).randbytes).secret
