"""What the X-ray may look at and spend: what else is known, and how many signatures it may make.

Must not know requests or how anything is tried.
"""

from dataclasses import dataclass

from webhookctl.model import Secret
from webhookctl.signing.scheme import Scheme

MAX_SIGNATURES = 4_000
CHEAP_SIGNATURES = 40  # what a flood of bad signatures gets: the usual secret faults, newlines, JSON's layout
MAX_BODY_BYTES = 1 << 20  # nothing is tried on a longer body: it would cost more than the answer is worth


@dataclass(frozen=True, slots=True)
class Search:
    """What is known besides the judged secrets: `secrets` with their provider, the user's own `schemes`.

    At most `max_signatures` are made.
    """

    secrets: tuple[tuple[str, Secret], ...] = ()
    schemes: tuple[Scheme, ...] = ()
    max_signatures: int = MAX_SIGNATURES


ALONE = Search()
