import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.errors import UsageError
from webhookctl.match import event_matches, parse_route, path_matches, route_matches, split_patterns

stable = settings(derandomize=True, deadline=None)


@pytest.mark.parametrize(
    ("pattern", "event", "is_match"),
    [
        ("payment_intent.succeeded", "payment_intent.succeeded", True),
        ("payment_intent.succeeded", "payment_intent.succeede", False),
        ("payment_intent", "payment_intent.succeeded", True),
        ("payment_intent", "payment_intents.succeeded", False),
        ("payment_intent.", "payment_intent.succeeded", False),
        ("issues", "issues.opened", True),
        ("issues", "issues", True),
        ("Issues", "issues", False),
        ("stripe/payment_intent", "payment_intent.succeeded", True),
        ("stripe/payment_intent.succeeded", "payment_intent.succeeded", True),
        ("github/payment_intent", "payment_intent.succeeded", False),
        ("stripe", "payment_intent.succeeded", False),
        ("stripe/*", "payment_intent.succeeded", True),
        ("github/*", "payment_intent.succeeded", False),
        ("payment_*", "payment_intent.succeeded", True),
        ("*.succeeded", "payment_intent.succeeded", True),
        ("*intent*", "payment_intent.succeeded", True),
        ("orders/*", "orders/create", True),
        ("*", "orders/create", True),
        ("v?.done", "v1.done", True),
        ("v?.done", "v12.done", False),
        ("v?", "v1.done", False),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("[ab]*", "[ab].c", True),
        ("*", "two\nlines", True),
        ("", "x", False),
    ],
)
def test_an_event_pattern_means_these_events(pattern: str, event: str, is_match: bool) -> None:
    assert event_matches(pattern, provider="stripe", event=event) is is_match


def test_without_a_provider_only_the_event_is_compared() -> None:
    assert event_matches("push", provider=None, event="push")
    assert not event_matches("github/push", provider=None, event="push")


def test_an_unknown_event_is_meant_by_patterns_for_everything() -> None:
    assert event_matches("*", provider=None, event=None)
    assert event_matches("stripe/*", provider="stripe", event=None)
    assert not event_matches("push", provider="github", event=None)


@pytest.mark.parametrize(
    ("pattern", "target", "is_match"),
    [
        ("/github", "/github", True),
        ("/github", "/github?x=1", True),
        ("/github", "/github/", False),
        ("/github", "/GitHub", False),
        ("/github/*", "/github/x", True),
        ("/github/*", "/github/x/y", False),
        ("/github/*", "/github", False),
        ("/github/**", "/github", True),
        ("/github/**", "/github/", True),
        ("/github/**", "/github/a/b?c=/d", True),
        ("/github/**", "/githubs", False),
        ("/**", "/", True),
        ("/**", "/a/b", True),
        ("/**/hook", "/hook", True),
        ("/**/hook", "/a/b/hook", True),
        ("/**/hook", "/a/hook/b", False),
        ("/**/a/**/b", "/x/a/y/a/z/b", True),
        ("/**/a/b", "/a/a/b", True),
        ("/**/**", "/a", True),
        ("/a*c/?", "/abbc/x", True),
        ("/a*c/?", "/ab/c/x", False),
        ("/a%2Fb", "/a%2Fb", True),
        ("/a%2Fb", "/a/b", False),
        ("/x[1]", "/x[1]", True),
        ("/a", "/a?b?c", True),
        ("/a", "/", False),
    ],
)
def test_a_path_pattern_means_these_paths(pattern: str, target: str, is_match: bool) -> None:
    assert path_matches(pattern, target) is is_match


def test_a_pattern_full_of_stars_is_answered_at_once_on_a_long_path() -> None:
    # Backtracking over every ** would not come back within a lifetime.
    assert not path_matches("/**/a" * 20 + "/b", "/a" * 5_000)
    assert not event_matches("*a" * 20 + "b", provider=None, event="a" * 5_000)


@stable
@given(st.text(alphabet="ab/."), st.text(alphabet="ab/."))
def test_a_pattern_without_wildcards_means_itself(pattern: str, other: str) -> None:
    assert event_matches(pattern, provider=None, event=pattern)
    assert path_matches("/" + pattern, "/" + pattern + "?" + other)
    assert path_matches("/" + pattern, "/" + other) == (pattern == other)


def test_a_list_of_patterns_is_parted_at_commas_and_blanks() -> None:
    assert split_patterns("a,b c") == ("a", "b", "c")
    assert split_patterns(" a, ,b.*\n") == ("a", "b.*")
    assert split_patterns("") == ()


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("http://localhost:3000/x?a=b", (None, "http://localhost:3000/x?a=b")),
        ("3000", (None, "3000")),
        ("3000/hook?a=b", (None, "3000/hook?a=b")),
        ("3000?a=b", (None, "3000?a=b")),
        ("localhost:3000", (None, "localhost:3000")),
        ("localhost/?a=b", (None, "localhost/?a=b")),
        ("localhost:3000/hook?a=b&c=d", (None, "localhost:3000/hook?a=b&c=d")),
        ("[::1]:3000/?a=b", (None, "[::1]:3000/?a=b")),
        ("127.0.0.1/x?a=b", (None, "127.0.0.1/x?a=b")),
        ("example.com/hook?a=b", (None, "example.com/hook?a=b")),
        ("stripe/*=3000", ("stripe/*", "3000")),
        ("stripe/charge.*=http://localhost:1/?a=b", ("stripe/charge.*", "http://localhost:1/?a=b")),
        ("payment_intent.succeeded=localhost:1", ("payment_intent.succeeded", "localhost:1")),
        ("invoice.paid = 3000", ("invoice.paid", "3000")),
        ("/github/**=http://localhost:1", ("/github/**", "http://localhost:1")),
        ("orders/create=3000", ("orders/create", "3000")),
        ("*=3000", ("*", "3000")),
    ],
)
def test_a_route_is_a_pattern_and_a_url_or_a_url_alone(text: str, route: tuple[str | None, str]) -> None:
    assert parse_route(text) == route


@pytest.mark.parametrize("text", ["", " ", "=", "=http://localhost", "stripe/*=", "stripe/* = "])
def test_a_route_with_an_empty_side_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_route(text)
    assert caught.value.code == "route-invalid"
    assert "--forward-to" in caught.value.hint


@pytest.mark.parametrize(
    ("pattern", "is_match"),
    [
        (None, True),
        ("/hooks/*", True),
        ("/other", False),
        ("stripe/*", True),
        ("charge", True),
        ("push", False),
    ],
)
def test_a_route_pattern_is_a_path_or_an_event_or_everything(pattern: str | None, is_match: bool) -> None:
    found = route_matches(pattern, provider="stripe", event="charge.paid", target="/hooks/x?y")
    assert found is is_match
