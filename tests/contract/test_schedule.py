"""Retry schedules, and how they are compressed."""

import pytest

from webhookctl import signing
from webhookctl.contract.schedule import SCHEDULES, schedule_s, sped_up_s
from webhookctl.errors import UsageError


def test_every_schedule_belongs_to_a_provider_and_names_its_source() -> None:
    for provider, schedule in SCHEDULES.items():
        assert provider in signing.provider_ids()
        assert len(schedule.source) > 10
        assert len(schedule.waits_s) >= 3
        assert all(wait_s > 0 for wait_s in schedule.waits_s)


def test_only_a_schedule_that_says_so_is_not_exact() -> None:
    assert [name for name, schedule in SCHEDULES.items() if not schedule.is_exact] == ["stripe"]
    assert sum(SCHEDULES["stripe"].waits_s) < 72 * 3600  # three days are published


def test_published_sums_come_out() -> None:
    assert sum(SCHEDULES["svix"].waits_s) == 27 * 3600 + 35 * 60 + 5
    assert sum(SCHEDULES["standardwebhooks"].waits_s) == 75 * 3600 + 35 * 60 + 5
    assert SCHEDULES["ashby"].waits_s[:4] == (10, 30, 70, 150)


def test_a_schedule_is_compressed_in_proportion() -> None:
    waits_s = schedule_s("svix", total_s=3.0)
    assert sum(waits_s) == pytest.approx(3.0)
    assert waits_s[1] / waits_s[0] == pytest.approx(60)
    assert sped_up_s("svix", speed=1000)[:2] == [0.005, 0.3]


def test_an_unknown_schedule_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="github publishes no") as caught:
        schedule_s("github", total_s=1.0)
    assert (caught.value.code, "svix" in caught.value.hint) == ("schedule-unknown", True)
