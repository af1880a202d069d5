from webhookctl.formats import BodyView, Segment, line_text, render


def _texts(view: BodyView) -> list[str]:
    return [line_text(line) for line in view.lines]


def _json(body: bytes, content_type: str | None = "application/json", max_bytes: int = 10_000) -> BodyView:
    return render(body, content_type=content_type, max_bytes=max_bytes)


def test_json_is_indented_with_styles_and_no_token_is_changed() -> None:
    view = _json(b'{"a":1.0,"a":"\\u00e9\\/","e":{},"l":[null]}')
    assert view.note == ""
    assert view.lines[0] == (Segment("punctuation", "{"),)
    assert view.lines[1] == (
        Segment("plain", "  "),
        Segment("key", '"a"'),
        Segment("punctuation", ": "),
        Segment("number", "1.0"),
        Segment("punctuation", ","),
    )
    assert view.lines[2][3] == Segment("string", '"\\u00e9\\/"')
    assert _texts(view)[3:] == ['  "e": {},', '  "l": [', "    null", "  ]", "}"]
    assert view.lines[5][1] == Segment("literal", "null")


def test_json_of_another_type_is_noted() -> None:
    assert _json(b"[1]", "text/pl\x1bain").note == "JSON, not text/pl␛ain"
    assert _json(b"[1]", None).note == ""


def test_deep_json_is_not_indented_without_end() -> None:
    view = _json(b"[" * 900 + b"]" * 900)
    assert max(len(text) for text in _texts(view)) < 80


def test_broken_json_is_text_with_a_caret_at_the_place() -> None:
    view = _json('{"é":1,\n\t"日" 2}\nend'.encode())
    assert (view.kind, view.note) == ("json", "invalid JSON at 2:6")
    assert _texts(view) == ['{"é":1,', '\t"日" 2}', "\t     ^ expected ':'", "end"]
    assert view.lines[2] == (Segment("error", "\t     ^ expected ':'"),)


def test_json_that_ends_too_early_has_its_caret_at_the_end() -> None:
    assert _texts(_json(b'{"a":1\n')) == ['{"a":1', "^ expected ',' or '}'"]
    assert _texts(_json(b'{"a":')) == ['{"a":', "     ^ expected a value"]


def test_a_caret_in_a_long_line_points_into_an_excerpt() -> None:
    view = _json(b'["' + b"x" * 500 + b'" oops' + b"y" * 500 + b"]")
    line, excerpt, caret = _texts(view)
    assert len(line) > 1_000
    assert len(excerpt) == 120
    assert excerpt[caret.index("^") :].startswith("oopsy")


def test_a_caret_stands_right_after_characters_made_visible() -> None:
    line, caret = _texts(_json('["\u202e\x7f" oops]'.encode()))
    assert line[caret.index("^") :] == "oops]"
    _, excerpt, caret = _texts(_json(b'["' + b"\x7f" * 200 + "\u202e".encode() + b'" oops]'))
    assert excerpt[caret.index("^") :] == "oops]"


def test_json_cut_by_us_is_not_called_broken() -> None:
    body = '{"name": "日本", "flag": true, "number": -12.5e3}'.encode()
    for max_bytes in range(1, len(body)):
        view = _json(body, max_bytes=max_bytes)
        assert view.note == f"first {max_bytes} of {len(body)} bytes"
        assert _texts(view)[0] == "{"


def test_json_broken_before_the_cut_is_called_broken() -> None:
    assert "invalid JSON at 1:2" in _json(b"{oops" + b" " * 100, max_bytes=50).note


def test_a_record_a_line_is_shown_a_record_a_line() -> None:
    view = render(b'{"a":1,"b":[2]}\r\n\nnope\n"x"\n', content_type="application/x-ndjson")
    assert (view.kind, view.note) == ("ndjson", "3 records")
    assert _texts(view) == ['{"a": 1, "b": [2]}', "nope  expected a value", '"x"']
    assert view.lines[1][0].style == "error"
    assert render(b"1", content_type="application/jsonl").note == "1 record"
