import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.errors import UsageError
from webhookctl.jsontext import edit, is_json, parse_value, paths, value_at

stable = settings(derandomize=True, deadline=None)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def test_a_value_is_replaced_and_every_other_byte_stays() -> None:
    body = b'\xef\xbb\xbf{ "a" :\t1.0 ,"b":[1E400 , {"c":"\\u00e9\\/"} ] }\r\n'
    assert edit(body, assignments=[("b[1].c", b"null")]) == body.replace(b'"\\u00e9\\/"', b"null")
    assert edit(body, assignments=[]) == body


def test_with_a_name_twice_the_last_one_is_meant() -> None:
    assert edit(b'{"a":1,"a":2}', assignments=[("a", b"3")]) == b'{"a":1,"a":3}'
    assert edit(b'{"a":1,"a":2}', assignments=[], removals=["a"]) == b'{"a":1}'


def test_later_assignments_see_earlier_ones() -> None:
    changes = [("a", b'{"b": 1}'), ("a.b", b"2")]
    assert edit(b'{"a":0}', assignments=changes) == b'{"a":{"b": 2}}'


@stable
@given(values, values, st.data())
def test_an_edit_changes_exactly_the_value_at_its_path(
    value: object, new: object, data: st.DataObject
) -> None:
    body = json.dumps(value, indent=data.draw(st.sampled_from([None, 1]))).encode()
    known = paths(body)
    if not known:
        return
    path = data.draw(st.sampled_from(known))
    text = json.dumps(new).encode()
    edited = edit(body, assignments=[(path, text)])
    assert value_at(edited, path) == text
    old = value_at(body, path)
    assert old is not None
    assert edit(edited, assignments=[(path, old)]) == body
    expected = [known_path for known_path in known if not known_path.startswith(path + ".")]
    assert [at for at in paths(edited) if not at.startswith(path + ".")] == expected


@stable
@given(st.dictionaries(st.text(), values, min_size=1, max_size=4), st.data())
def test_a_removal_takes_out_exactly_its_member(value: dict[str, object], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(value)))
    body = json.dumps(value, indent=data.draw(st.sampled_from([None, 2]))).encode()
    expected = copy.deepcopy(value)
    del expected[name]
    assert json.loads(edit(body, assignments=[], removals=[json.dumps(name)])) == expected


@pytest.mark.parametrize(
    ("body", "removals", "expected"),
    [
        (b'{"a": 1, "b": 2, "c": 3}', ["a"], b'{"b": 2, "c": 3}'),
        (b'{"a": 1, "b": 2, "c": 3}', ["b"], b'{"a": 1, "c": 3}'),
        (b'{"a": 1, "b": 2, "c": 3}', ["c"], b'{"a": 1, "b": 2}'),
        (b'{"a": 1, "b": 2, "c": 3}', ["a", "b", "c"], b"{}"),
        (b'{\n  "a": 1,\n  "b": 2\n}\n', ["b"], b'{\n  "a": 1\n}\n'),
        (b'{\n  "a": 1\n}\n', ["a"], b"{}\n"),
        (b"[0,1,2,3]", ["1", "2"], b"[0,3]"),
        (b"[0,1,2,3]", ["[1]", "1"], b"[0,2,3]"),
        (b'{"a":{"b":1,"c":2}}', ["a", "a.b"], b"{}"),
    ],
)
def test_a_removal_takes_its_comma_along(body: bytes, removals: list[str], expected: bytes) -> None:
    assert edit(body, assignments=[], removals=removals) == expected


@pytest.mark.parametrize(
    ("body", "path", "expected"),
    [
        (b'{"a":1}', "b", b'{"a":1,"b":5}'),
        (b'{"a": 1}', "b", b'{"a": 1, "b": 5}'),
        (b'{"a" : 1 , "c" : 2}', "b", b'{"a" : 1 , "c" : 2 , "b" : 5}'),
        (b'{\n  "a": 1\n}', "b", b'{\n  "a": 1,\n  "b": 5\n}'),
        (b'{\r\n\t"a": {}\r\n}', "a.b", b'{\r\n\t"a": {\r\n\t\t"b": 5\r\n\t}\r\n}'),
        (b'{\n  "a": 1\n}', "b.c", b'{\n  "a": 1,\n  "b": {\n    "c": 5\n  }\n}'),
        (b'{\n  "x": {"y": {}}\n}', "x.y.z", b'{\n  "x": {"y": {"z": 5}}\n}'),
        (b"{}", "b", b'{"b":5}'),
        (b"{ }", "b", b'{"b":5}'),
        (b'{"a":{}}', "a.b", b'{"a":{"b":5}}'),
        (b'{"a":1}', "b.c.d", b'{"a":1,"b":{"c":{"d":5}}}'),
        (b'{"a":1}', "b[0].d", b'{"a":1,"b":[{"d":5}]}'),
        (b'{"a":[]}', "a.0", b'{"a":[5]}'),
        (b"[1, 2]", "[2]", b"[1, 2, 5]"),
        (b"[1]", "1", b"[1,5]"),
        (b'{"a": [1]}', "a.1", b'{"a": [1, 5]}'),
        (b'{"a":1}', '"x.y"', b'{"a":1,"x.y":5}'),
        (b'{"a":1}', "[0]", b'{"a":1,"0":5}'),
        (b'{"a":1}', "a", b'{"a":5}'),
    ],
)
def test_what_is_missing_is_added_in_the_documents_own_style(body: bytes, path: str, expected: bytes) -> None:
    assert edit(body, assignments=[(path, b"5")], create=True) == expected


def test_a_missing_path_names_the_nearest_one_and_the_way_to_add_it() -> None:
    body = b'{"data":{"object":{"amount":1}},"id":"x"}'
    for path in ("data.object.amont", "amount", "object.amount"):
        with pytest.raises(UsageError) as caught:
            edit(body, assignments=[(path, b"1")])
        assert caught.value.code == "path-unknown"
        assert caught.value.message == f"the body has no {path}"
        assert caught.value.hint.startswith("did you mean data.object.amount? --set-new")


def test_a_missing_path_like_no_other_gets_no_suggestion() -> None:
    with pytest.raises(UsageError) as caught:
        edit(b'{"a":1}', assignments=[("zzzzzzzz", b"1")])
    assert caught.value.hint == "--set-new adds a value that is not there yet"


def test_a_missing_removal_is_an_error_that_offers_no_adding() -> None:
    with pytest.raises(UsageError) as caught:
        edit(b'{"amount":1}', assignments=[], removals=["amuont"])
    assert (caught.value.code, caught.value.hint) == ("path-unknown", "did you mean amount?")


@pytest.mark.parametrize("path", ["a.b", "list.5", "list.name", "new[1]"])
def test_nothing_is_added_to_a_scalar_or_beyond_the_end_of_an_array(path: str) -> None:
    with pytest.raises(UsageError) as caught:
        edit(b'{"a":1,"list":[0]}', assignments=[(path, b"1")], create=True)
    assert caught.value.code == "path-unknown"
    assert "--set-new" not in caught.value.hint


def test_a_body_that_is_no_json_cannot_be_edited() -> None:
    with pytest.raises(UsageError, match="not JSON: expected a value at 1:1") as caught:
        edit(b"a=1", assignments=[("a", b"1")])
    assert caught.value.code == "body-not-json"


@pytest.mark.parametrize("value", [b"oops", b"", b"1 2", b"\xff", b"\xef\xbb\xbf1"])
def test_a_value_that_is_no_json_is_refused(value: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        edit(b'{"a":1}', assignments=[("a", value)])
    assert caught.value.code == "value-not-json"


@pytest.mark.parametrize("text", ["5", "1.0", "true", "null", '"5"', '{"a": 1}', "[]", " 1E400 "])
def test_a_value_that_is_json_is_taken_as_it_is(text: str) -> None:
    assert parse_value(text) == text.encode()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("paid", b'"paid"'),
        ("", b'""'),
        ("01", b'"01"'),
        ("NaN", b'"NaN"'),
        ('say "hé"\n', '"say \\"hé\\"\\n"'.encode()),
        ("\ufeff1", '"\ufeff1"'.encode()),
        ("caf\udce9", b'"caf\\udce9"'),
        ('"\ud800"', b'"\\ud800"'),
    ],
)
def test_any_other_value_becomes_a_string(text: str, value: bytes) -> None:
    assert parse_value(text) == value


@stable
@given(st.text())
def test_every_value_can_be_put_into_a_body(text: str) -> None:
    value = parse_value(text)
    assert is_json(value)
    assert value_at(edit(b'{"a":1}', assignments=[("a", value)]), "a") == value.strip(b" \t\r\n")
