"""Sizes, durations and the table of settings."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.config import Config, parse_duration, parse_size
from webhookctl.config.settings import unknown_name
from webhookctl.errors import UsageError

PROPERTY = settings(derandomize=True, deadline=None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (23, 23),
        ("17", 17),
        ("17b", 17),
        ("500k", 500_000),
        ("500K", 500_000),
        ("10MB", 10_000_000),
        ("10 MB", 10_000_000),
        ("32MiB", 33_554_432),
        ("32mi", 33_554_432),
        ("1.5GiB", 1_610_612_736),
        ("2TB", 2_000_000_000_000),
        (" 1KiB ", 1024),
    ],
)
def test_a_size_is_read_in_bytes(value: str | int, expected: int) -> None:
    assert parse_size(value) == expected


@pytest.mark.parametrize(
    "value",
    ["", "MB", "-1", -2, "1e3", "10 M B", "10XB", "1ib", "1.2.3", "٣", "1_000", True, "9" * 5000, "nan"],
)
def test_what_is_no_size_is_refused_naming_the_option(value: str | int) -> None:
    with pytest.raises(UsageError) as failure:
        parse_size(value, "--max-body")
    assert failure.value.code == "size-invalid"
    assert failure.value.message.startswith("--max-body must be a size, not ")
    assert "32MiB" in failure.value.hint


@PROPERTY
@given(st.integers(0, 10**12), st.sampled_from(["k", "m", "g", "t"]))
def test_a_whole_number_of_units_is_exact(number: int, unit: str) -> None:
    power = "kmgt".index(unit) + 1
    if number < 2**20:
        assert parse_size(f"{number}{unit}iB") == number * 1024**power
    assert parse_size(str(number)) == parse_size(number) == number


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("250ms", 0.25),
        ("30s", 30.0),
        ("30", 30.0),
        (31, 31.0),
        (0.5, 0.5),
        ("1.5 m", 90.0),
        ("5m", 300.0),
        ("1H", 3600.0),
        ("2d", 172_800.0),
        ("0", 0.0),
    ],
)
def test_a_duration_is_read_in_seconds(value: str | float, expected: float) -> None:
    seconds = parse_duration(value)
    assert (seconds, type(seconds)) == (expected, float)


@pytest.mark.parametrize(
    "value", ["", "s", "-1s", -2, "1h30m", "5 minutes", float("nan"), float("inf"), True, "1e400", "9" * 400]
)
def test_what_is_no_duration_is_refused_naming_the_option(value: str | float) -> None:
    with pytest.raises(UsageError) as failure:
        parse_duration(value, "--timeout")
    assert failure.value.code == "duration-invalid"
    assert failure.value.message.startswith("--timeout must be a duration, not ")
    assert "30s" in failure.value.hint


def test_every_setting_has_a_meaning_of_one_line() -> None:
    from dataclasses import fields

    meanings = {known.name: known.metadata["meaning"] for known in fields(Config) if known.metadata}
    assert len(meanings) == 29
    for meaning in meanings.values():
        assert meaning
        assert "\n" not in meaning


def test_an_unknown_name_is_reported_with_the_nearest_or_with_all() -> None:
    near = unknown_name("setting", "prot", ["port", "host"], place="webhookctl.toml:1")
    assert (near.code, near.message) == ("config-unknown-key", "webhookctl.toml:1: unknown setting prot")
    assert near.hint == "did you mean port?"
    assert unknown_name("setting", "zzz", ["port", "host"]).hint == "there are: host, port"
