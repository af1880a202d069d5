"""Makes the deliveries of one contract: fixtures read once, events forged, signed at the moment they are sent.

Sends nothing.
"""

import os
import re
import secrets as randomness
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import shake_256
from pathlib import Path

from webhookctl import catalogue
from webhookctl.address import addressed
from webhookctl.contract.model import Contract, SignMode, Step
from webhookctl.contract.play import Made
from webhookctl.delivery import prepare
from webhookctl.delivery.prepare import Edits, Prepared
from webhookctl.errors import FixtureError, WebhookctlError
from webhookctl.fixture import Fixture
from webhookctl.model import Endpoint, Request, Secret, with_headers
from webhookctl.signing import Scheme
from webhookctl.signing.attack import Attack, NotApplicable, forge_attack
from webhookctl.wiring.project import Project, now_s
from webhookctl.wiring.sources import listener_secret, restored

_NO_ID = "msg_replayed"
_UNLIKE = 12  # letters and digits that a fresh id has at least
_MARK = b"webhookctl0id0mark"
_IMAGINED = Endpoint("localhost", 80, False, "localhost")  # until it is known where deliveries go


class Deliveries:
    """The deliveries of `contract`; `salt` makes their ids unlike those of any other run.

    `folder` is where the contract's own paths begin.
    """

    def __init__(self, project: Project, contract: Contract, *, salt: str, folder: Path) -> None:
        self._project = project
        self._contract = contract
        self._salt = salt
        self._folder = folder
        self._fixtures: dict[str, Fixture] = {}
        self._kits: dict[tuple[object, ...], _Kit] = {}  # by all of a step that they depend on
        self._secrets: dict[str, tuple[Secret, ...]] = {}
        self.endpoint = _IMAGINED

    def load(self, steps: Iterator[Step]) -> None:
        """Read all that `steps` need: fixtures, templates, schemes, secrets.

        Raises FixtureError, and UsageError for an event, a provider or a secret that is not there; with its place.
        """
        for step in steps:
            try:
                self._kit(step)
            except WebhookctlError as error:
                place = step.place
                if place is not None and place.line:
                    error.message = f"{place.path}:{place.line}: {error.message}"
                raise

    def secret_values(self) -> set[str]:
        """The secrets that were used so far, to be erased wherever they stand."""
        return {secret.reveal() for secrets in self._secrets.values() for secret in secrets}

    def make(self, step: Step, *, attack: Attack | None, case_key: str) -> Made | NotApplicable:
        """The request of `step`, signed now; see `contract.play.Stage`."""
        kit = self._kit(step)
        fresh = None if step.keeps_id else _Fresh(f"{self._salt}|{case_key}|{step.label}")
        saved = kit.saved or self._forged(step, case_key)
        if kit.scheme is None:
            if attack is not None:
                return NotApplicable(attack, f"{saved.name} says no provider that webhookctl knows")
            return Made(step.label, addressed(_bare(saved, kit.edits), self.endpoint))
        url = self.endpoint.origin + addressed(saved.request, self.endpoint).target
        maker = _Maker(saved, kit.edits, self.endpoint, url, fresh)
        if kit.saved is not None and fresh is not None:
            kit.quick = quick = kit.quick or _quick(kit.saved, kit, kit.scheme, url)
            if quick.is_sure:
                headers_only = Edits(headers=kit.edits.headers)
                maker = _Maker(quick.filled(fresh), headers_only, self.endpoint, url, None)
        if attack is None:
            request = maker.signed(kit.scheme, kit.secret, now_s())
            return Made(step.label, _unsigned(request, kit.scheme) if step.sign is SignMode.NONE else request)
        forged = forge_attack(
            attack,
            kit.scheme,
            kit.secret,
            maker.signed,
            now_s=now_s(),
            url=url,
            random=randomness.token_bytes,
            tolerance_s=self._contract.signer.tolerance_s,
        )
        return forged if isinstance(forged, NotApplicable) else Made(step.label, forged.request)

    def _kit(self, step: Step) -> "_Kit":
        is_captured = step.sign is SignMode.CAPTURED
        key = (step.send, step.trigger, step.edits, step.removals, step.headers, is_captured)
        kit = self._kits.get(key)
        if kit is None:
            kit = self._kits[key] = self._new_kit(step)
        return kit

    def _new_kit(self, step: Step) -> "_Kit":
        signer = self._contract.signer
        edits = Edits(step.edits, step.removals, True, prepare.parse_headers(step.headers))
        saved = None
        if step.send is not None:
            saved = self._fixture(step.send)
            provider = signer.provider or saved.provider
        else:
            provider = catalogue.resolve(step.trigger or "", provider=signer.provider).provider
        if step.sign is SignMode.CAPTURED or (
            signer.provider is None and provider not in self._project.provider_ids()
        ):
            return _Kit(saved, edits, None, Secret(""))
        scheme = self._project.scheme(provider or "")
        if scheme.id not in self._secrets:
            flag = signer.secrets or listener_secret(self._project)
            self._secrets[scheme.id] = self._project.secrets(scheme.id, flag=flag)
        return _Kit(saved, edits, scheme, self._secrets[scheme.id][0])

    def _forged(self, step: Step, case_key: str) -> Fixture:
        """What the catalogue forges for the event of the step, as a fixture not signed yet."""
        template = catalogue.resolve(step.trigger or "", provider=self._contract.signer.provider)
        seed = _Fresh(f"{self._salt}|{case_key}|{step.label}").number()
        forged = catalogue.build(template, seed=seed, now_s=now_s())
        return Fixture(
            name=forged.event,
            request=Request(forged.method, forged.target, forged.headers, forged.body),
            provider=forged.provider,
            event=forged.event,
            delivery_id=forged.delivery_id,
        )

    def _fixture(self, target: str) -> Fixture:
        if target not in self._fixtures:
            self._fixtures[target] = restored(self._project, self._load(target))
        return self._fixtures[target]

    def _load(self, target: str) -> Fixture:
        """A fixture by its path from the contract's folder, else by its name in the project's fixtures."""
        fixtures = self._project.fixture_folder()
        path = self._folder / target
        for candidate in (path, Path(f"{path}.toml")):
            if candidate.suffix == ".toml" and os.path.isfile(candidate):
                return fixtures.load(candidate)
        paths = fixtures.resolve(target)
        if len(paths) > 1:
            raise FixtureError(
                "fixture-ambiguous", f"{target} means {len(paths)} fixtures", "name one of them"
            )
        return fixtures.load(paths[0])


@dataclass(slots=True)
class _Kit:
    """What is the same in all deliveries of a step: `saved` None for an event that is forged each time.

    Without a `scheme` it is sent as it was captured.
    """

    saved: Fixture | None
    edits: Edits
    scheme: Scheme | None
    secret: Secret
    quick: "_Quick | None" = None


@dataclass(frozen=True, slots=True)
class _Quick:
    """A fixture that is edited already, with the places of its id known: a new id costs no parsing."""

    saved: Fixture
    pieces: tuple[bytes, ...]  # of the body, around the ids
    is_sure: bool

    def filled(self, fresh: "_Fresh") -> Fixture:
        """The fixture with a new id."""
        saved = self.saved
        new_id = fresh(saved.delivery_id or _NO_ID)
        as_bytes = new_id.encode("latin-1")
        was = saved.request
        headers = tuple([(name, value.replace(_MARK, as_bytes)) for name, value in was.headers])
        request = Request(was.method, was.target, headers, as_bytes.join(self.pieces))
        return replace(saved, request=request, delivery_id=new_id)


def _quick(saved: Fixture, kit: _Kit, scheme: Scheme, url: str) -> _Quick:
    """What a new id leaves the same, found out by signing once with a mark for an id.

    Not sure for a scheme that writes into body or target, and for an id that would have to be escaped.
    """
    body = kit.edits.body(saved.request.body)
    marked = prepare.resign(
        saved,
        replace(kit.edits, headers=()),
        scheme=scheme,
        secrets=(kit.secret,),
        now_s=now_s(),
        url=url,
        fresh_id=lambda _: _MARK.decode(),
    ).request
    pieces = tuple(marked.body.split(_MARK))
    old_id = (saved.delivery_id or _NO_ID).encode("utf-8", "replace")
    is_sure = (
        marked.target == saved.request.target
        and len(pieces) <= 2
        and (marked.body == body or old_id.join(pieces) == body)
        and re.fullmatch(rb"[\w.:-]+", old_id) is not None
    )
    return _Quick(replace(saved, request=marked), pieces, is_sure)


class _Fresh:
    """New ids of the same shape as the old ones: always the same for one seed, so that copies are redeliveries."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode("utf-8", "surrogatepass")

    def number(self) -> int:
        """A number of 48 bits."""
        return int.from_bytes(shake_256(self._seed).digest(6))

    def __call__(self, old: str) -> str:
        old = _long_enough(old)
        stream = shake_256(self._seed + b"|" + old.encode("utf-8", "surrogatepass")).digest(4 * len(old))
        numbers = memoryview(stream).cast("I")
        shape = prepare.id_shape(old)
        return "".join(
            [
                alphabet[number % len(alphabet)] if alphabet else character
                for (character, alphabet), number in zip(shape, numbers, strict=True)
            ]
        )


@lru_cache(maxsize=1024)
def _long_enough(old: str) -> str:
    """`old` with so many letters and digits that new ones in their place do not come again soon."""
    drawn = sum(character.isalnum() for character in old.rpartition("_")[2])
    return old + "0" * (_UNLIKE - drawn)


@dataclass(slots=True)
class _Maker:
    """Signs one delivery, as often as it is asked to."""

    saved: Fixture
    edits: Edits
    endpoint: Endpoint
    url: str
    fresh: _Fresh | None

    def signed(self, scheme: Scheme, secret: Secret, at_s: float) -> Request:
        made = prepare.resign(
            self.saved,
            self.edits,
            scheme=scheme,
            secrets=(secret,),
            now_s=at_s,
            url=self.url,
            fresh_id=self.fresh,
        )
        return addressed(_with_added(made), self.endpoint)


def _bare(saved: Fixture, edits: Edits) -> Request:
    """The delivery as it was captured; edited where somebody nobody knows the signature of sent it."""
    edited = replace(saved, request=replace(saved.request, body=edits.body(saved.request.body)))
    return _with_added(prepare.exact(edited, Edits(headers=edits.headers), scheme=None, secrets=()))


def _with_added(made: Prepared) -> Request:
    request = made.request
    return replace(request, headers=with_headers(request.headers, made.added)) if made.added else request


def _unsigned(request: Request, scheme: Scheme) -> Request:
    names = {name.lower().encode("latin-1") for name in scheme.signature_names}
    kept = tuple((name, value) for name, value in request.headers if name.lower() not in names)
    return replace(request, headers=kept)
