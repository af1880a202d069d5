"""How much may be tried to explain bad signatures while listening, so that a flood of them stalls nobody.

Must not know signatures; time comes in with each delivery.
"""

from webhookctl import signing

FULL_PER_S = 10
CHEAP_PER_S = 50
FULL_BODY_BYTES = 32 * 1024
CHEAP_BODY_BYTES = 128 * 1024


class Allowance:
    """In each second the first few bad deliveries are examined in full, the next cheaply, the others not at all.

    Longer bodies get less too; `webhookctl verify` examines any delivery of the history in full.
    """

    def __init__(self) -> None:
        self._second = 0
        self._count = 0

    def signatures(self, *, at_s: float, body_bytes: int) -> int:
        """How many signatures may be made for a bad delivery that came in at `at_s`."""
        if int(at_s) != self._second:
            self._second, self._count = int(at_s), 0
        self._count += 1
        if self._count <= FULL_PER_S and body_bytes <= FULL_BODY_BYTES:
            return signing.MAX_SIGNATURES
        if self._count <= CHEAP_PER_S and body_bytes <= CHEAP_BODY_BYTES:
            return signing.CHEAP_SIGNATURES
        return 0
