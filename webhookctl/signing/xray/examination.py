"""Tries what may have gone wrong with a signature, the likely first, until one comes out right or the budget ends.

Must not know verdicts, the clock, or where secrets come from.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeAlias

from webhookctl.model import Request, Secret
from webhookctl.signing import web_token
from webhookctl.signing.content import Unsignable
from webhookctl.signing.place import parse_template
from webhookctl.signing.presented import Key, Presented, canonical_forms, read, read_claims, read_fields
from webhookctl.signing.primitive import ENCODINGS, PRIMITIVES
from webhookctl.signing.scheme import Coverage, Scheme
from webhookctl.signing.xray.bodies import BodyForm, body_forms
from webhookctl.signing.xray.causes import Deviation
from webhookctl.signing.xray.claims import Claim, Claims
from webhookctl.signing.xray.contents import (
    Maker,
    ValueForm,
    lenient_values,
    makers,
    template_forms,
    unit_forms,
)
from webhookctl.signing.xray.keys import TriedKey, other_keys, own_keys, secret_variants
from webhookctl.signing.xray.search import Search
from webhookctl.signing.xray.urls import url_forms

MAX_SIGNED_BYTES = 48 << 20  # in all: what long bodies may cost
MAX_PROOFS = 96  # of key pairs: each costs as much as many HMACs
_USUAL_FORMS = 15  # body forms that are tried before anything rarer
_EARLY_FORMS = 60  # body forms that are tried together with another fault
_REMEMBERED_BYTES = 32 << 10  # of a body whose forms are kept for another round
_FEW_CLAIMS = 3
_FEW_TEMPLATES = 8
_HASHES = 4  # of the makers, those that differ by the hash alone
AS_IT_IS = "as-it-is"  # in the counts: nothing but the form of the header differs


@dataclass(frozen=True, slots=True)
class Hit:
    """What came out right: how it deviates, the `content` that was signed, the secret's origin, the `signature`.

    `content` is written with ``{secret}`` where the scheme puts the secret itself.
    """

    deviations: tuple[Deviation, ...]
    content: bytes
    origin: str
    signature: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Examination:
    """The end of a search: the `hit` or None, how often each cause was `tried`, and whether the budget ended it."""

    hit: Hit | None
    tried: Mapping[str, int]
    is_cut_short: bool = False


class _Stage(NamedTuple):
    """One round of the search: every key with every form, made into a signature in every way."""

    keys: Sequence[TriedKey]
    forms: Iterable[ValueForm]
    ways: Sequence[Maker]


_Found: TypeAlias = tuple[Claim, tuple[Deviation, ...]]
"""A claim that is right, and how its form deviates."""


class _SpentError(Exception):
    """The budget is used up."""


def examine(
    scheme: Scheme, secrets: Sequence[Secret], request: Request, *, url: str, search: Search
) -> Examination:
    """What went wrong with the signature of `request`, which none of `secrets` made by `scheme`. Never raises."""
    if search.max_signatures <= 0:
        return Examination(None, {}, is_cut_short=True)
    return _Examiner(scheme, secrets, request, url, search).run()


class _Examiner:
    """One search: the request's claims, the keys, and what was spent so far."""

    def __init__(
        self, scheme: Scheme, secrets: Sequence[Secret], request: Request, url: str, search: Search
    ) -> None:
        self._scheme = scheme
        self._request = request
        self._search = search
        self._url = url
        self._presented = present(scheme, request, url)
        self._claims = Claims(scheme, self._presented, request.headers)
        self._own = own_keys(scheme, secrets)
        self._secrets = secrets
        self._tried: Counter[str] = Counter()
        self._seen: set[int] = set()
        self._forms: list[BodyForm] = []
        self._forms_left = body_forms(request.body)
        self._left = search.max_signatures
        self._bytes_left = MAX_SIGNED_BYTES
        self._proofs_left = MAX_PROOFS
        names = (scheme.algorithm, *scheme.other_algorithms)
        self._pairs = tuple(name for name in names if name not in PRIMITIVES)
        shared = [Maker(PRIMITIVES[name], ()) for name in names if name in PRIMITIVES]
        self._ways = (*([_PROOF] if self._pairs else []), *shared)

    def run(self) -> Examination:
        hit = None
        is_cut_short = False
        try:
            hit = next((found for stage in self._stages() for found in self._hits(stage)), None)
        except _SpentError:
            is_cut_short = True
        return Examination(hit, dict(self._tried), is_cut_short)

    def _stages(self) -> Iterator[_Stage]:
        """The rounds of the search, the likely causes first."""
        scheme, own, ways = self._scheme, self._own, self._ways
        others = other_keys(scheme, self._secrets, self._search)
        variants = list(secret_variants(scheme, self._secrets))
        bases = list(self._bases())
        yield _Stage(own, bases, ways)
        yield _Stage(own, self._bodies(bases, _USUAL_FORMS), ways)
        yield _Stage(variants, bases, ways)
        yield _Stage(others, bases, ways)
        if scheme.algorithm == "token" or scheme.is_web_token:
            return
        yield _Stage(own, self._bodies(bases), ways)
        yield _Stage(own, self._urls(bases), ways)
        if not scheme.needs_pair:
            yield from self._formula_stages(bases, variants)
        yield _Stage(others, self._urls(bases), ways)
        yield _Stage(others, self._bodies(bases, _EARLY_FORMS), ways)
        yield _Stage(variants, self._bodies(bases, _USUAL_FORMS), ways)
        if scheme.needs_url:
            yield _Stage(own, self._bodies(self._urls(bases, _EARLY_FORMS), _USUAL_FORMS), ways)

    def _formula_stages(self, bases: list[ValueForm], variants: list[TriedKey]) -> Iterator[_Stage]:
        """Other ways to make the signature; each with the keys that go along with it in life."""
        values = bases[0].values if bases else self._presented.values
        templates = list(template_forms(self._scheme, values, self._request.headers))
        makes = tuple(makers(self._scheme.algorithm))
        yield _Stage(self._own, bases, makes)
        yield _Stage(self._own, [form for base in bases for form in unit_forms(base.values)], self._ways)
        yield _Stage(self._own, templates, self._ways)
        yield _Stage(self._own, templates, makes[:_HASHES])
        yield _Stage(variants, templates[:_FEW_TEMPLATES], self._ways)

    def _bases(self) -> Iterator[ValueForm]:
        """The values as they are, or as far as they can be read; of a web token what it signs is in itself."""
        if not self._scheme.is_web_token:
            yield from lenient_values(self._scheme, self._presented.values, self._request.headers)
        elif self._presented.signatures:
            content = self._presented.signatures[0].rpartition(b".")[0]
            yield ValueForm({"token": content, "body": self._request.body}, _TOKEN, ())

    def _bodies(self, bases: Iterable[ValueForm], limit: int | None = None) -> Iterator[ValueForm]:
        if self._scheme.coverage not in (Coverage.BYTES, Coverage.MEANING) or self._scheme.is_web_token:
            return
        for base in bases:
            for form in islice(self._forms_of(base.values["body"]), limit):
                values = {**base.values, "body": form.body}
                yield ValueForm(values, base.template, (*base.deviations, *form.deviations))

    def _forms_of(self, body: bytes) -> Iterator[BodyForm]:
        """The forms of `body`; those of the request's own, when it is short, are made only once."""
        if body is not self._request.body or len(body) > _REMEMBERED_BYTES:
            yield from body_forms(body)
            return
        yield from self._forms
        for form in self._forms_left:
            self._forms.append(form)
            yield form

    def _urls(self, bases: Iterable[ValueForm], limit: int | None = None) -> Iterator[ValueForm]:
        if not self._scheme.needs_target:
            return
        url = self._url if self._scheme.needs_url else ""
        for base in bases:
            for form in islice(url_forms(url, self._request.target, self._request.headers), limit):
                line = {"path": form.path.encode("utf-8", "replace")}
                if url:
                    line = {"url": form.url.encode("utf-8", "surrogatepass")}
                yield ValueForm({**base.values, **line}, base.template, (*base.deviations, *form.deviations))

    def _hits(self, stage: _Stage) -> Iterator[Hit]:
        """What comes out right in one round."""
        if not stage.keys:
            return
        for form in stage.forms:
            shared = (
                self._contents(stage.keys[0], form) if self._scheme.is_plain and not form.template else None
            )
            for key in stage.keys:
                for content in self._contents(key, form) if shared is None else shared:
                    for maker in stage.ways:
                        found = self._try(key, maker, form, content)
                        if found is not None:
                            yield self._hit(key, maker, form, content, found)

    def _try(self, key: TriedKey, maker: Maker, form: ValueForm, content: bytes) -> _Found | None:
        identity = hash((key.key, maker.make, content))
        if identity in self._seen:
            return None
        self._seen.add(identity)
        self._left -= 1
        self._bytes_left -= len(content)
        if self._left < 0 or self._bytes_left < 0:
            raise _SpentError
        first = key.deviations or maker.deviations or form.deviations
        self._tried[first[0].cause if first else AS_IT_IS] += 1
        if maker is _PROOF:
            return self._prove(key, content)
        return self._claims.find(maker.make(key.key, content))

    def _hit(self, key: TriedKey, maker: Maker, form: ValueForm, content: bytes, found: _Found) -> Hit:
        claim, claimed = found
        if any(deviation.cause == "header-form" for deviation in form.deviations):
            claimed = ()  # the broken header is named already
        shown = next(iter(self._contents(key, form, is_shown=True)), content)
        deviations = (*key.deviations, *maker.deviations, *form.deviations, *claimed)
        return Hit(deviations, shown, key.origin, claim.raw, form.values["body"])

    def _prove(self, key: TriedKey, content: bytes) -> _Found | None:
        """The claim that `key`, half of a pair or a web token's, proves."""
        if self._scheme.is_web_token:
            text = self._presented.signatures[0]
            try:
                is_signed = web_token.is_signed(web_token.read(text), self._pairs, key.key)
            except ValueError:  # it is no web token
                is_signed = False
            return (Claim("", text, text, "raw", text), ()) if is_signed else None
        from webhookctl.signing import asymmetric

        for claim in self._claims.all[:_FEW_CLAIMS]:
            self._proofs_left -= 1
            if self._proofs_left < 0:
                raise _SpentError
            for name in self._pairs:
                try:
                    if asymmetric.is_signature(name, key.key, claim.raw, content):
                        return claim, self._claims.deviations_of(claim)
                except ValueError:  # the claim or the key is not in its form
                    continue
        return None

    def _contents(self, key: TriedKey, form: ValueForm, *, is_shown: bool = False) -> list[bytes]:
        """What would be signed; nothing where a value is missing or the body is not of the scheme's form."""
        secret = b"{secret}" if is_shown else key.key
        try:
            if form.template is not None:
                return [form.template.render({**form.values, "secret": secret})]
            if self._scheme.is_plain:
                return [self._scheme.template.render(form.values)]
            parts = {name: f"{{{name}}}".encode() for name in key.parts} if is_shown else key.parts
            return list(
                canonical_forms(self._scheme, Key(0, secret, parts), form.values, self._request.headers)
            )
        except (KeyError, Unsignable, ValueError):
            return []


def _no_maker(_key: bytes, _content: bytes) -> bytes:
    raise AssertionError("key pairs prove, they do not make")


_PROOF = Maker(_no_maker, ())
_TOKEN = parse_template("{token}")


def present(scheme: Scheme, request: Request, url: str) -> Presented:
    """What `request` presents of `scheme`, complete or not."""
    presented = read(scheme, request.headers)
    if scheme.fields:
        read_fields(scheme, presented, body=request.body, url=url or request.target)
    if scheme.is_web_token and presented.signatures:
        with suppress(ValueError):
            read_claims(scheme, presented, body=request.body)
    presented.values["body"] = request.body
    presented.values["method"] = request.method.encode("utf-8", "surrogatepass")
    presented.values["url"] = url.encode("utf-8", "surrogatepass")
    presented.values["path"] = request.target.encode("latin-1", "replace")
    return presented


def first_signature(scheme: Scheme, secrets: Sequence[Secret], request: Request, url: str) -> Hit | None:
    """What the first secret makes of `request` as it is, for comparison; None for key pairs and web tokens."""
    examiner = _Examiner(scheme, secrets, request, url, Search())
    if scheme.is_web_token or scheme.algorithm not in PRIMITIVES:
        return None
    for form in lenient_values(scheme, examiner._presented.values, request.headers):  # noqa: SLF001  (its own module)
        for key in own_keys(scheme, secrets):
            contents = examiner._contents(key, form)  # noqa: SLF001  (its own module)
            shown = examiner._contents(key, form, is_shown=True)  # noqa: SLF001  (its own module)
            for content in contents[:1]:
                raw = PRIMITIVES[scheme.algorithm](key.key, content)
                signature = ENCODINGS[scheme.encoding](raw)
                return Hit((), shown[0], key.origin, signature, request.body)
    return None
