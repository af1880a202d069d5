"""The retry schedules that providers publish: seconds before each further attempt, and where it says so.

Must not know how they are played.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from webhookctl.errors import UsageError

_MINUTE, _HOUR = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """`waits_s` before each further attempt, as published; `source` says where."""

    waits_s: tuple[float, ...]
    source: str


_SVIX = (5.0, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 10 * _HOUR)
SCHEDULES: Mapping[str, Schedule] = {
    "svix": Schedule(_SVIX, "docs.svix.com, retries"),
    "fireblocks": Schedule(
        (10, 30, 120, 300, 900, 1800, 3600, 7200, 14_400), "developers.fireblocks.com, webhooks"
    ),
    "tiktok_shop": Schedule((120, 1800, 10_800, 43_200), "TikTok Shop partner center, webhooks"),
    "trello": Schedule((30, 60, 120), "developer.atlassian.com, Trello webhooks"),
    "sanity": Schedule((30, 30), "sanity.io, GROQ-powered webhooks"),
    "paystack": Schedule((180.0,) * 4 + (_HOUR,) * 72, "paystack.com, webhooks: live mode"),
}


def schedule_s(provider: str) -> Sequence[float]:
    """The waits of `provider`. Raises UsageError `schedule-unknown`, naming those that are known."""
    schedule = SCHEDULES.get(provider)
    if schedule is None:
        raise UsageError(
            "schedule-unknown",
            f"{provider} publishes no retry schedule that webhookctl knows",
            f"known: {', '.join(SCHEDULES)}",
        )
    return schedule.waits_s
