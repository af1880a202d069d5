"""The retry schedules that providers publish: seconds before each further attempt, and where it says so.

Must not know how they are played.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from webhookctl.errors import UsageError

_MINUTE, _HOUR = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """`waits_s` before each further attempt; `source` says where it is published and since when it was read there.

    With `is_exact` False the provider publishes less than times: `source` says what, the rest is ours.
    """

    waits_s: tuple[float, ...]
    source: str
    is_exact: bool = True


_SVIX = (5.0, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 10 * _HOUR)
_STANDARD = (*_SVIX[:6], 14 * _HOUR, 20 * _HOUR, 24 * _HOUR)
SCHEDULES: Mapping[str, Schedule] = {
    "ashby": Schedule(
        tuple((2**number - 1) * 10.0 for number in range(1, 10)), "developers.ashbyhq.com/docs/retries"
    ),
    "circle": Schedule(
        (1, 10, 30, 60, 15 * _MINUTE, *(hours * _HOUR for hours in (1, 3, 5, 6, 10, 11))),
        "developers.circle.com/cpn/references/webhook-retries: production",
    ),
    "finch": Schedule(_SVIX, "developer.tryfinch.com: webhooks"),
    "fireblocks": Schedule(
        (10, 30, 120, 300, 900, 1800, 3600, 7200, 14_400),
        "developers.fireblocks.com/reference/webhooks-gettingstarted-responsesretries",
    ),
    "mailgun": Schedule(
        (300, 600, 900, _HOUR, 2 * _HOUR, 4 * _HOUR),
        "documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-retries",
    ),
    "monday": Schedule((_MINUTE,) * 30, "developer.monday.com/apps/changelog: retry policies"),
    "paystack": Schedule(
        (3 * _MINUTE,) * 4 + (_HOUR,) * 72, "paystack.com/docs/payments/webhooks: live mode"
    ),
    "recurly": Schedule(
        tuple(10.0 + number * 2 ** (number + 5) for number in range(10)),
        "docs.recurly.com/recurly-subscriptions/docs/automatic-retries",
    ),
    "resend": Schedule(_SVIX, "resend.com/docs/webhooks/retries-and-replays"),
    "standardwebhooks": Schedule(_STANDARD, "Standard Webhooks specification: example retry schedule"),
    "stripe": Schedule(
        tuple(5 * _MINUTE * 2**number for number in range(9)),
        "docs.stripe.com/webhooks publishes: live mode, up to three days, ever further apart; doubling from five "
        "minutes is ours",
        is_exact=False,
    ),
    "svix": Schedule(_SVIX, "docs.svix.com/retries"),
    "wix": Schedule(
        (_MINUTE, 10 * _MINUTE, *(hours * _HOUR for hours in (1, 2, 2, 2, 4, 4, 4, 8, 8, 12))),
        "dev.wix.com/docs/rest/articles/getting-started/webhook-resend-policy",
    ),
    "zoom": Schedule((5 * _MINUTE, 20 * _MINUTE, 60 * _MINUTE), "devsupport.zoom.us: webhook delays"),
}


def schedule_s(provider: str, *, total_s: float) -> Sequence[float]:
    """The waits of `provider`, compressed in proportion so that all of them together take `total_s`.

    Raises UsageError `schedule-unknown`, naming those that are known.
    """
    waits_s = _schedule(provider).waits_s
    factor = total_s / sum(waits_s)
    return [wait_s * factor for wait_s in waits_s]


def sped_up_s(provider: str, *, speed: float) -> Sequence[float]:
    """The waits of `provider`, each divided by `speed`. Raises UsageError `schedule-unknown`."""
    return [wait_s / speed for wait_s in _schedule(provider).waits_s]


def _schedule(provider: str) -> Schedule:
    schedule = SCHEDULES.get(provider)
    if schedule is None:
        raise UsageError(
            "schedule-unknown",
            f"{provider} publishes no retry schedule that webhookctl knows",
            f"known: {', '.join(SCHEDULES)}",
        )
    return schedule
