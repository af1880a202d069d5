"""Every key of a TOML text has a place, and what stands there is the key."""

import tomllib
from collections.abc import Iterator

import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.contract.places import Path, places

KEYS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=6)
SCALARS = (
    st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=12)
    | st.datetimes()
    | st.dates()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)


def paths(value: object, path: Path = ()) -> Iterator[Path]:
    """Every path in `value`."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*path, index))


@settings(derandomize=True, deadline=None, max_examples=300)
@given(DOCUMENTS)
def test_every_path_of_any_text_has_a_place_where_it_is_written(document: dict[str, object]) -> None:
    text = tomli_w.dumps(document, multiline_strings=True).replace("\r\n", "\n")
    found = places(text)
    lines = text.split("\n")
    for path in paths(tomllib.loads(text)):
        line, column = found.keys[path]
        rest = lines[line - 1][column - 1 :]
        assert rest
        if isinstance(path[-1], str):
            # A key is written bare, quoted or in a header; its letters and digits are there in each of them.
            written = rest.replace("\\", "")
            assert all(part in written for part in path[-1].split('"') if part.isalnum())


def test_keys_and_values_are_found_in_every_way_of_writing() -> None:
    text = "\n".join(  # noqa: FLY002  (lines, as they are counted)
        [
            "top = 1.5  # a comment with = and [",
            "\"quoted key\" = 'x = [1]'",
            "a.b.c = 1979-05-27T07:32:00Z",
            "[table]",
            "list = [",
            "  1, # one",
            "  { inner = [true, 'y'] },",
            "]",
            "[[cases]]",
            'text = """',
            "[not.a.table]",
            'no = "key" """',
            "[cases.expect]",
            "status = -1",
            "[[cases]]",
            "[[cases.deliver]]",
            "  indented = +inf",
            "[[cases.deliver]]",
            "deep = {a = {b = 2}}",
        ]
    )
    found = places(text)
    expected = {
        ("top",): ((1, 1), (1, 7)),
        ("quoted key",): ((2, 1), (2, 16)),
        ("a", "b", "c"): ((3, 1), (3, 9)),
        ("table", "list"): ((5, 1), (5, 8)),
        ("table", "list", 0): ((6, 3), (6, 3)),
        ("table", "list", 1, "inner"): ((7, 5), (7, 13)),
        ("table", "list", 1, "inner", 1): ((7, 20), (7, 20)),
        ("cases", 0, "text"): ((10, 1), (10, 8)),
        ("cases", 0, "expect", "status"): ((14, 1), (14, 10)),
        ("cases", 1, "deliver", 0, "indented"): ((17, 3), (17, 14)),
        ("cases", 1, "deliver", 1, "deep", "a", "b"): ((19, 14), (19, 18)),
    }
    for path, (key, value) in expected.items():
        assert (found.keys[path], found.values[path]) == (key, value), path
    assert found.keys[("a",)] == (3, 1)
    assert found.keys[("cases", 1)] == (15, 1)
    assert ("cases", 1) not in found.values
