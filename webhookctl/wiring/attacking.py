"""`trigger --attack`, put together: an event of the catalogue forged so that its receiver has to refuse it.

Sends nothing.
"""

import secrets as randomness
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches

from webhookctl import catalogue
from webhookctl.address import is_local
from webhookctl.delivery import prepare
from webhookctl.delivery.prepare import Edits, Mode, Prepared
from webhookctl.delivery.run import Prepare
from webhookctl.errors import UsageError
from webhookctl.model import Detection, Endpoint, Request, Secret, with_headers
from webhookctl.signing import Scheme
from webhookctl.signing.attack import FORGERIES, REPLAYED, Attack, NotApplicable, forge_attack
from webhookctl.wiring.project import Project, now_s
from webhookctl.wiring.sources import listener_secret


def attack_called(name: str) -> Attack:
    """The attack called `name`. Raises UsageError `attack-unknown` with a suggestion."""
    names = [attack.name for attack in FORGERIES]
    if name in names:
        return FORGERIES[names.index(name)]
    near = get_close_matches(name, names, 1)
    raise UsageError(
        "attack-unknown",
        f"there is no attack {name!r}",
        f"did you mean {near[0]}?" if near else f"one of {', '.join(names)}",
    )


def refuse_foreign(endpoint: Endpoint) -> None:
    """Raises UsageError `host-not-owned` unless `endpoint` is this machine or a private network."""
    if not is_local(endpoint):
        raise UsageError(
            "host-not-owned",
            f"an attack on {endpoint.host} is an attack on somebody's host",
            "if it is yours, say so: --i-own-this-host",
        )


def attacking(
    project: Project,
    template: catalogue.Template,
    edits: Edits,
    attack: Attack,
    *,
    secret_flags: Sequence[str],
    seed: int | None,
    url: str,
) -> list[Prepare]:
    """What makes the deliveries of the attack: one; for `replayed` two, the same to the byte.

    They raise UsageError `attack-not-applicable` where the provider's scheme knows no such fault.
    """
    scheme = project.scheme(template.provider)
    secret = project.secrets(template.provider, flag=secret_flags or listener_secret(project))[0]
    number = randomness.randbits(48) if seed is None else seed

    def sign(scheme: Scheme, secret: Secret, at_s: float) -> Request:
        prepared = prepare.forge(
            template,
            edits,
            scheme=scheme,
            secrets=(secret,),
            seed=number,
            payload_time_s=now_s(),
            now_s=at_s,
            url=url,
        )
        return _with_headers(prepared.request, edits)

    def make() -> Prepared:
        if attack is REPLAYED:
            request = sign(scheme, secret, now_s())
        else:
            forged = forge_attack(
                attack, scheme, secret, sign, now_s=now_s(), url=url, random=randomness.token_bytes
            )
            if isinstance(forged, NotApplicable):
                raise UsageError(
                    "attack-not-applicable", f"{attack.name}: {forged.reason}", "try another attack"
                )
            request = forged.request
        detection = Detection(template.provider, template.event, None, f"attack {attack.name}")
        label = f"{template.event} [{attack.name}]"
        return Prepared(request, Mode.FORGED, detection, label, scheme, (secret,), (attack.title,))

    if attack is not REPLAYED:
        return [make]
    first: list[Prepared] = []

    def once() -> Prepared:
        if not first:
            first.append(make())
        return first[0]

    return [once, once]


def _with_headers(request: Request, edits: Edits) -> Request:
    return (
        replace(request, headers=with_headers(request.headers, edits.headers)) if edits.headers else request
    )
