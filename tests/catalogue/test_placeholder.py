"""How template texts are taken apart."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.catalogue.placeholder import Placeholder, Reference, parse, reference
from webhookctl.errors import ExitCode, WebhookctlError


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("plain", ("plain",)),
        ("{null}", (Placeholder("null"),)),
        ("{id:pi_}", (Placeholder("id", "pi_"),)),
        ("{id:txn_#dispute}", (Placeholder("id", "txn_", "dispute"),)),
        ("{hex:40 #head}", (Placeholder("hex", "40", "head"),)),
        ("{uuid #event}", (Placeholder("uuid", "", "event"),)),
        ("{now}", (Placeholder("now"),)),
        ("{now-1h}", (Placeholder("now", shift_s=-3600),)),
        ("{now+2w:iso}", (Placeholder("now", "iso", shift_s=1209600),)),
        ("{now-5m:-05:00}", (Placeholder("now", "-05:00", shift_s=-300),)),
        ("{choice:eur|dark blue}", (Placeholder("choice", "eur|dark blue"),)),
        ("{sum:.a + 2 * b.c}", (Placeholder("sum", ".a + 2 * b.c"),)),
        ("{customer.address.city}", (Reference("customer", ("address", "city")),)),
        ("{.id}", (Reference("", ("id",)),)),
        ("{lines.data.0}", (Reference("lines", ("data", "0")),)),
        ("a {.b} c", ("a ", Reference("", ("b",)), " c")),
        ("x{{/y}}z", ("x{/y}z",)),
        ("{{{.a}}}", ("{", Reference("", ("a",)), "}")),
    ],
)
def test_a_text_is_split_into_literals_placeholders_and_references(
    text: str, parts: tuple[object, ...]
) -> None:
    assert parse(text) == parts


@pytest.mark.parametrize("text", ["{", "a}", "{}", "{Null}", "{/sha}", "{now-1y}", "{two words}", "{.}"])
def test_what_is_no_placeholder_is_refused_as_a_bug_of_ours(text: str) -> None:
    with pytest.raises(WebhookctlError) as caught:
        parse(text)
    assert caught.value.code == "template-invalid"
    assert caught.value.exit_code == ExitCode.INTERNAL


@given(st.text())
@settings(derandomize=True, deadline=None)
def test_any_text_can_be_written_literally_with_doubled_braces(text: str) -> None:
    parts = parse(text.replace("{", "{{").replace("}", "}}"))
    assert parts == ((text,) if text else ())


def test_a_reference_needs_a_dot() -> None:
    assert reference("customer") is None
    assert reference("customer.id") == Reference("customer", ("id",))
