from webhookctl.formats import Segment, line_text, render


def test_text_is_its_lines_and_crlf_is_told() -> None:
    view = render(b"one\r\ntwo\tthree\n\nfour\r\n", content_type="text/plain")
    assert [line_text(line) for line in view.lines] == ["one", "two\tthree", "", "four"]
    assert view.note == "CRLF line ends"
    assert render(b"one\n", content_type="text/plain").lines == ((Segment("plain", "one"),),)


def test_a_lone_carriage_return_cannot_hide_what_stands_before_it() -> None:
    assert line_text(render(b"evil\rgood", content_type="text/plain").lines[0]) == "evil␍good"


def test_text_is_decoded_in_its_charset() -> None:
    view = render("grüße".encode("utf-16"), content_type="text/plain; charset=utf-16")
    assert line_text(view.lines[0]) == "grüße"


def test_half_a_character_at_the_cut_does_not_make_text_binary() -> None:
    body = "日本".encode() * 10
    assert render(body, content_type=None, max_bytes=7).kind == "text"
    assert render(body[:7], content_type=None).kind == "binary"
    assert render(b"\xff" + body, content_type=None, max_bytes=7).kind == "binary"
