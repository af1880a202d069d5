"""The forms in which providers write a time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.catalogue.instant import written

MOMENT_US = 1_769_850_307_123_456  # 2026-01-31T09:05:07.123456Z


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("unix", 1_769_850_307),
        ("ms", 1_769_850_307_123),
        ("iso", "2026-01-31T09:05:07Z"),
        ("iso-ms", "2026-01-31T09:05:07.123Z"),
        ("plain", "2026-01-31T09:05:07"),
        ("date", "2026-01-31"),
        ("-05:00", "2026-01-31T04:05:07-05:00"),
        ("+05:30", "2026-01-31T14:35:07+05:30"),
        ("sundial", None),
    ],
)
def test_a_moment_is_written_in_the_form_named(form: str, expected: int | str | None) -> None:
    assert written(MOMENT_US, form=form) == expected


def test_milliseconds_keep_their_leading_zeros() -> None:
    assert written(1_000_000_007_000, form="iso-ms") == "1970-01-12T13:46:40.007Z"


@given(st.integers(0, 4_000_000_000))
@settings(derandomize=True, deadline=None)
def test_a_text_form_reads_back_as_the_same_second(second: int) -> None:
    from datetime import datetime

    for form in ("iso", "-05:00", "+02:00"):
        text = written(second * 1_000_000 + 999_999, form=form)
        assert isinstance(text, str)
        assert datetime.fromisoformat(text).timestamp() == second
