"""What was learned, in lines for people."""

from webhookctl.contract.learn import Learned, Reading
from webhookctl.output.learning import learned_lines
from webhookctl.output.painter import text_of


def lines(learned: Learned) -> list[str]:
    return [text_of(line) for line in learned_lines(learned)]


def test_fields_stand_in_a_column_with_what_showed_them() -> None:
    readings = (
        Reading("id", "string", ("removed: 500 instead of 200",)),
        Reading("data.x", "null", ("null: y",)),
    )
    assert lines(Learned("order", "order", readings, 1, 1)) == [
        "order  2 of 1 path are read, 1 request",
        "  id      removed: 500 instead of 200",
        "  data.x  null: y",
    ]


def test_remarks_say_what_is_missing() -> None:
    found = lines(Learned("order", "order\x1b", (), 5, 9, untried=3, remarks=("odd\n",)))
    assert found[0] == "order␛  0 of 5 paths are read, 9 requests"
    assert found[1] == "  remark  odd␊"
    assert "nothing that was taken away changed an answer" in found[2]
    assert found[3] == "  remark  3 paths not tried: --max-requests was reached"
