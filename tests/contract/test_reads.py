"""[reads] of contract files: read, refused where it is wrong, and written without touching anything else."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.contract.reads import read_reads, reads_toml, with_reads
from webhookctl.errors import UsageError

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(
    st.dictionaries(NAMES, st.dictionaries(NAMES, st.sampled_from(["string", "integer | null"]), min_size=1))
)
@settings(derandomize=True, deadline=None)
def test_what_is_written_is_read_back(reads: dict[str, dict[str, str]]) -> None:
    assert tomllib.loads(reads_toml(reads)).get("reads", {}) == reads
    if reads:
        text = with_reads("version = 1\n", reads)
        assert tomllib.loads(with_reads(text, reads))["reads"] == reads


def test_an_event_that_is_there_is_replaced_and_comments_stay() -> None:
    before = """version = 1  # first

[reads."order.paid"]
# found on a Monday
old = "string"

[signer]
provider = "stripe"
"""
    after = with_reads(before, {"order.paid": {"data.id": "string"}, "push": {"ref": "string"}})
    assert (
        after
        == """version = 1  # first

[reads."order.paid"]
# found on a Monday
"data.id" = "string"

[signer]
provider = "stripe"

[reads.push]
ref = "string"
"""
    )


def test_line_ends_stay() -> None:
    assert with_reads("version = 1\r\n", {"push": {"ref": "string"}}) == (
        'version = 1\r\n\r\n[reads.push]\r\nref = "string"\r\n'
    )


def test_reads_that_are_no_table_are_not_overwritten() -> None:
    with pytest.raises(UsageError, match="no table of their own") as error:
        with_reads('reads = { push = { ref = "string" } }\n', {"push": {"ref": "string"}})
    assert error.value.code == "reads-inline"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('ref = "strng"', "did you mean string?"),
        ("ref = 5", "has to be the type of the field"),
        ('"ref..name" = "string"', "is no path"),
    ],
)
def test_what_cannot_be_read_is_refused_where_it_stands(line: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        read_reads(f"[reads.push]\n{line}\n".encode(), origin="a.contract.toml")
    assert said in error.value.message + error.value.hint
    assert "a.contract.toml:2:" in error.value.message


def test_paths_of_lists_and_maps_are_paths() -> None:
    toml = b'[reads.push]\n"commits[].id" = "string"\n"files.{*}.size" = "integer"\n'
    assert read_reads(toml, origin="a")["push"] == {"commits[].id": "string", "files.{*}.size": "integer"}
