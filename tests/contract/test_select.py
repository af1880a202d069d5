"""What -k means."""

import pytest

from webhookctl.contract.select import expression
from webhookctl.errors import UsageError


@pytest.mark.parametrize(
    ("text", "name", "is_meant"),
    [
        ("paid", "a PAID order", True),
        ("paid and order", "a paid order", True),
        ("paid and late", "a paid order", False),
        ("late or paid", "a paid order", True),
        ("not late", "a paid order", True),
        ("not not late", "a paid order", False),
        ("paid and not (stale or tampered)", "paid [stale]", False),
        ("paid and not (stale or tampered)", "paid [future]", True),
        ("late or paid and order", "paid", False),
        ("'and' or x", "one and two", True),
        ('"paid order"', "a paid order", True),
    ],
)
def test_an_expression_means_names(text: str, name: str, is_meant: bool) -> None:
    assert expression(text)(name) is is_meant


@pytest.mark.parametrize("text", ["", "and", "paid and", "(paid", "paid)", "not", "()", "a b", "(" * 5_000])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        expression(text)
    assert caught.value.code == "keyword-invalid"
