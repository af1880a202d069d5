from webhookctl.formats import BodyView, Segment, line_text, render


def _texts(view: BodyView) -> list[str]:
    return [line_text(line) for line in view.lines]


def _form(body: bytes, content_type: str = "application/x-www-form-urlencoded") -> BodyView:
    return render(body, content_type=content_type)


def test_a_form_is_two_columns_in_order_with_duplicates() -> None:
    view = _form(b"name=Sample+Customer&id=1&&id=%32&flag&empty=&n%C3%A9=a%3Db%0A")
    assert (view.kind, view.note) == ("form", "6 fields")
    assert _texts(view) == [
        "name   Sample Customer",
        "id     1",
        "id     2",
        "flag  (no =)",
        "empty  ",
        "né     a=b␊",
    ]
    assert view.lines[0] == (
        Segment("key", "name"),
        Segment("plain", "   "),
        Segment("string", "Sample Customer"),
    )


def test_a_value_that_is_json_is_expanded_below_its_name() -> None:
    view = _form(b"payload=%7B%22a%22%3A1.0%7D&other={oops&number=5")
    assert _texts(view) == ["payload", "  {", '    "a": 1.0', "  }", "other    {oops", "number   5"]
    assert view.lines[2][2] == Segment("key", '"a"')


def test_a_form_in_another_charset_is_decoded() -> None:
    assert _texts(_form(b"a=%E9", "application/x-www-form-urlencoded; charset=iso-8859-1")) == ["a  é"]


def test_a_form_of_nothing_but_separators_has_no_fields() -> None:
    assert (_form(b"&&").lines, _form(b"&&").note) == ((), "0 fields")
    assert _form(b"a=1").note == "1 field"


def test_a_very_long_name_does_not_push_the_other_values_away() -> None:
    assert _texts(_form(b"x" * 500 + b"=1&a=2"))[1] == "a" + " " * 33 + "2"
