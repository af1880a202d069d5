import pytest

from webhookctl.formats import BodyView, Segment, line_text, render


def _texts(view: BodyView) -> list[str]:
    return [line_text(line) for line in view.lines]


def _xml(text: str, content_type: str | None = "application/xml", max_bytes: int = 10_000) -> BodyView:
    return render(text.encode(), content_type=content_type, max_bytes=max_bytes)


def test_xml_is_indented_and_its_markup_stays_as_it_was_written() -> None:
    view = _xml(
        '<?xml version="1.0"?>\n<!-- one\n two -->\n<?pi x?><a  y=\'1\'\n z="&lt;">'
        "<b>t &amp; u &#233;é</b><c/><c />mixed <d>e</d> tail\n<e>\n  <f></f></e>"
        "<![CDATA[x<y]]><g>1<![CDATA[<]]>2</g><h>two\nlines</h></a>\n<!-- end -->\n"
    )
    assert (view.kind, view.note) == ("xml", "")
    assert _texts(view) == [
        '<?xml version="1.0"?>',
        "<!-- one",
        " two -->",
        "<?pi x?>",
        "<a  y='1'",
        ' z="&lt;">',
        "  <b>t &amp; u &#233;é</b>",
        "  <c/>",
        "  <c />",
        "  mixed",
        "  <d>e</d>",
        "  tail",
        "  <e>",
        "    <f></f>",
        "  </e>",
        "  <![CDATA[x<y]]>",
        "  <g>1<![CDATA[<]]>2</g>",
        "  <h>two",
        "  lines</h>",
        "</a>",
        "<!-- end -->",
    ]
    assert view.lines[0][0].style == "dim"
    assert view.lines[6] == (
        Segment("plain", "  "),
        Segment("key", "<b>"),
        Segment("plain", "t &amp; u &#233;é"),
        Segment("key", "</b>"),
    )


def test_white_space_is_kept_in_an_element_that_holds_nothing_else() -> None:
    assert _texts(_xml("<a><b>  </b><c>\n</c></a>")) == ["<a>", "  <b>  </b>", "  <c></c>", "</a>"]


def test_entities_are_never_expanded_and_no_dtd_is_read() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]><a>&y;</a>'
    view = _xml(bomb)
    assert (view.kind, view.note) == ("xml", "XML with a DTD, shown as it is")
    assert _texts(view) == [bomb]


@pytest.mark.parametrize("path", ["file:///etc/hostname", "http://example.com/x.dtd"])
def test_an_external_dtd_is_shown_but_not_loaded(path: str) -> None:
    view = _xml(f'<?xml version="1.0"?><!DOCTYPE a SYSTEM "{path}"><a>&x;<b>1 &x;</b></a>')
    assert _texts(view) == [
        '<?xml version="1.0"?>',
        f'<!DOCTYPE a SYSTEM "{path}">',
        "<a>",
        "  &x;",
        "  <b>1 &x;</b>",
        "</a>",
    ]
    assert _texts(_xml("<!DOCTYPE a PUBLIC 'x' 'y'>\n<a/>")) == ["<!DOCTYPE a PUBLIC 'x' 'y'>", "<a/>"]


def test_broken_xml_is_text_with_the_place_in_the_note() -> None:
    view = _xml("<a>\n<b></a>")
    assert (view.kind, view.note) == ("xml", "invalid XML at 2:6: mismatched tag")
    assert _texts(view) == ["<a>", "<b></a>"]
    assert "invalid XML" in _xml("<a>&undeclared;</a>").note


def test_xml_cut_by_us_is_not_called_broken() -> None:
    body = "<a><b>one</b><c attribute='x'>two</c></a>"
    for max_bytes in range(1, len(body)):
        view = _xml(body, max_bytes=max_bytes)
        assert view.note == f"first {max_bytes} of {len(body)} bytes"
        assert "".join(text.strip() for text in _texts(view)) in body
    assert _texts(_xml(body, max_bytes=22)) == ["<a>", "  <b>one</b><c attrib"]


def test_the_charset_of_the_type_or_of_the_declaration_counts() -> None:
    body = b'<?xml version="1.0" encoding="ISO-8859-1"?><a>\xe9</a>'
    assert _texts(render(body, content_type="text/xml"))[1] == "<a>é</a>"
    wide = '<?xml version="1.0" encoding="utf-16"?><a>é</a>'.encode("utf-16")
    assert _texts(render(wide, content_type="text/xml; charset=utf-16"))[1] == "<a>é</a>"


def test_deep_xml_is_laid_out_without_recursion_or_endless_indentation() -> None:
    view = _xml("<a>" * 3_000 + "</a>" * 3_000, max_bytes=100_000)
    assert len(view.lines) == 5_999
    assert max(len(text) for text in _texts(view)) < 80


def test_xhtml_is_text() -> None:
    assert _xml("<p>x</p>", "application/xhtml+xml").kind == "html"
