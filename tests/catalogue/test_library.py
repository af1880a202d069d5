"""Finding an event by the name a user types."""

import subprocess
import sys
import tomllib
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.catalogue import accepts_any_event, build, library, names, providers, resolve
from webhookctl.catalogue.template import ANY_EVENT, Table, table
from webhookctl.errors import ExitCode, UsageError

FIRST_CATALOGUE = {
    "stripe": """
        payment_intent.created payment_intent.succeeded payment_intent.payment_failed payment_intent.canceled
        charge.succeeded charge.failed charge.refunded charge.dispute.created checkout.session.completed
        customer.created customer.subscription.created customer.subscription.updated customer.subscription.deleted
        invoice.paid invoice.payment_failed
    """,
    "github": """
        ping push pull_request.opened pull_request.closed pull_request.synchronize pull_request_review.submitted
        issues.opened issues.closed issue_comment.created create delete release.published workflow_run.completed
        check_run.completed star.created
    """,
    "shopify": "orders/create orders/paid products/update customers/create refunds/create app/uninstalled",
    "slack": "url_verification app_mention message reaction_added team_join block_actions",
}


def resolved(name: str, provider: str | None = None) -> str:
    template = resolve(name, provider=provider)
    return f"{template.provider}/{template.event}"


def test_the_catalogue_has_the_events_it_promises() -> None:
    expected = sorted(
        f"{provider}/{event}" for provider, text in FIRST_CATALOGUE.items() for event in text.split()
    )
    assert set(expected) <= set(names())
    assert {*FIRST_CATALOGUE, "standardwebhooks", "svix", "generic"} <= set(providers())


def test_names_are_sorted_unique_and_those_of_a_provider_its_own() -> None:
    assert list(names()) == sorted(set(names()))
    assert names("shopify") == tuple(name for name in names() if name.startswith("shopify/"))
    assert names("nobody") == ()
    assert names("svix") == ()


def test_names_differ_in_more_than_case_and_separators() -> None:
    folded = [name.casefold().replace("/", ".") for name in names()]
    assert len(set(folded)) == len(folded)


@pytest.mark.parametrize("provider", providers())
def test_the_names_in_the_headings_are_those_of_the_parsed_data(provider: str) -> None:
    folder = resources.files("webhookctl.catalogue") / "data"
    declared: list[str] = []
    for file in sorted(file.name for file in folder.iterdir() if file.name.split(".")[0] == provider):
        document: Table = tomllib.loads((folder / file).read_text("utf-8"))
        declared += table(document.get("event", {}))
    assert len(set(declared)) == len(declared)
    listed = {name.partition("/")[2] for name in names(provider)}
    assert listed | ({ANY_EVENT} if accepts_any_event(provider) else set()) == set(declared)


@pytest.mark.parametrize(
    ("typed", "provider", "found"),
    [
        ("payment_intent.succeeded", None, "stripe/payment_intent.succeeded"),
        ("stripe/payment_intent.succeeded", None, "stripe/payment_intent.succeeded"),
        ("payment_intent.succeeded", "stripe", "stripe/payment_intent.succeeded"),
        ("stripe/payment_intent.succeeded", "stripe", "stripe/payment_intent.succeeded"),
        ("Payment_Intent.Succeeded", None, "stripe/payment_intent.succeeded"),
        ("push", None, "github/push"),
        ("github/push", None, "github/push"),
        ("pull_request.closed", None, "github/pull_request.closed"),
        ("pull_request/closed", None, "github/pull_request.closed"),
        ("github/pull_request/closed", None, "github/pull_request.closed"),
        ("pull_request", None, "github/pull_request.opened"),
        ("github/issues", None, "github/issues.opened"),
        ("orders/paid", None, "shopify/orders/paid"),
        ("shopify/orders/paid", None, "shopify/orders/paid"),
        ("orders.paid", None, "shopify/orders/paid"),
        ("url_verification", None, "slack/url_verification"),
        ("standardwebhooks/user.created", None, "standardwebhooks/user.created"),
        ("user.created", "svix", "svix/user.created"),
        ("Any/Thing at all", "generic", "generic/Any/Thing at all"),
    ],
)
def test_an_event_is_found_by_the_name_people_type(typed: str, provider: str | None, found: str) -> None:
    assert resolved(typed, provider) == found


@pytest.mark.parametrize("name", names())
def test_every_full_name_is_found_as_itself(name: str) -> None:
    assert resolved(name) == name


@pytest.mark.parametrize(
    ("typed", "provider", "suggested"),
    [
        ("payment_intent.suceeded", None, "stripe/payment_intent.succeeded"),
        ("stripe/payment_intent.suceeded", None, "stripe/payment_intent.succeeded"),
        ("strip/payment_intent.succeeded", None, "stripe/payment_intent.succeeded"),
        ("pull_request.opend", None, "github/pull_request.opened"),
        ("order/paid", "shopify", "shopify/orders/paid"),
        ("app_mentions", None, "slack/app_mention"),
    ],
)
def test_an_unknown_event_gets_suggestions(typed: str, provider: str | None, suggested: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(typed, provider=provider)
    assert caught.value.code == "event-unknown"
    assert caught.value.exit_code == ExitCode.USAGE
    assert suggested in caught.value.hint.partition("; ")[0]
    assert caught.value.hint.count("/") <= 6
    assert "webhookctl trigger --list" in caught.value.hint


def test_there_are_at_most_three_suggestions() -> None:
    with pytest.raises(UsageError) as caught:
        resolve("charge.succeed")
    assert caught.value.hint.startswith("did you mean stripe/charge.succeeded, stripe/charge.")
    assert caught.value.hint.count("stripe/") == 3


@pytest.mark.parametrize(
    ("typed", "provider"),
    [("zzz", None), ("", None), ("", "svix"), ("svix/", None), ("github/push", "stripe")],
)
def test_without_anything_alike_the_hint_shows_the_list(typed: str, provider: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(typed, provider=provider)
    assert (caught.value.code, caught.value.hint) == (
        "event-unknown",
        "`webhookctl trigger --list` shows all events",
    )


def test_an_event_alone_does_not_stand_for_an_action_where_names_have_none() -> None:
    with pytest.raises(UsageError, match=r"no forgeable event 'customer\.subscription'"):
        resolve("customer.subscription")


def test_an_unknown_provider_gets_a_suggestion() -> None:
    with pytest.raises(UsageError) as caught:
        resolve("push", provider="gihub")
    assert (caught.value.code, caught.value.hint) == ("provider-unknown", "did you mean github?")
    with pytest.raises(UsageError, match="no forgeable events of a provider 'zzz'"):
        resolve("push", provider="zzz")


def test_a_bare_name_of_two_providers_is_ambiguous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_events", lambda one: ("push",) if one in ("github", "slack") else ())
    with pytest.raises(UsageError) as caught:
        resolve("push")
    assert caught.value.code == "event-ambiguous"
    assert caught.value.hint == "say which: github/push, slack/push"
    assert resolved("github/push") == "github/push"


@given(st.text(min_size=1))
@settings(derandomize=True, deadline=None)
def test_open_providers_forge_any_type(event: str) -> None:
    made = build(resolve(event, provider="standardwebhooks"), seed=1, now_s=0.0)
    assert made.event == event


def test_completion_parses_no_toml_and_needs_no_asyncio() -> None:
    code = """if True:
        import sys
        from webhookctl import catalogue
        catalogue.names()
        print(catalogue.library._document.cache_info().misses, "asyncio" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0 False\n"
