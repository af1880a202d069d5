"""What each fixture does, and what a user sees when something is wrong."""

import shutil
import threading
from pathlib import Path

import pytest

from tests.plugin.sessions import APP, SECRET, session, text_of

pytest_plugins = ["pytester"]

SAVED = Path(__file__).parents[2] / "fixtures"


def test_a_signed_delivery_is_one_line(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(APP)
    pytester.makepyfile(
        """
        def test_accepted(webhook):
            webhook.send("stripe", "charge.refunded").assert_accepted(within_s=20)

        def test_forgeries(webhook):
            webhook.assert_refuses_forgeries("stripe", "charge.refunded")
        """
    )
    session(pytester).assert_outcomes(passed=2)


def test_a_failure_shows_one_line_of_the_test_and_the_exchange_without_secrets(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(APP)
    pytester.makepyfile(
        """
        def test_refused(webhook):
            webhook.send("stripe", "charge.refunded", attack="stale").assert_accepted()
        """
    )
    result = session(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>       webhook.send("stripe", "charge.refunded", attack="stale").assert_accepted()',
            "E       AssertionError: not accepted: stripe charge.refunded was answered 400 Bad Request: refused",
            "*test_a_failure*.py:2: AssertionError",
            "*- webhooks -*",
            "> POST http://127.0.0.1:*",
            "> Stripe-Signature: *",
            "< 400 Bad Request",
            "refused",
        ]
    )
    assert SECRET not in text_of(result)
    assert "answer.py" not in text_of(result)
    assert "client.py" not in text_of(result)


def test_a_mistake_of_the_test_is_one_line_with_a_hint(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(APP)
    pytester.makepyfile(
        """
        def test_typo(webhook):
            webhook.send("strpe", "charge.refunded")
        """
    )
    result = session(pytester)
    result.stdout.fnmatch_lines(
        [
            '>       webhook.send("strpe", "charge.refunded")',
            "E       webhookctl.errors.UsageError: *strpe*",
            "E       hint: did you mean stripe?",
            "*.py:2: UsageError",
        ]
    )
    assert "library.py" not in text_of(result)


def test_what_is_wrong_in_the_code_of_the_test_keeps_its_traceback(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def fits(received):
            return received.json()["nothing"]

        def test_match(webhook_listener):
            from webhookctl import forge
            forge("github", "push", secret="s").send(webhook_listener.url)
            webhook_listener.wait(match=fits)
        """
    )
    result = session(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['>       return received.json()["nothing"]', "E       KeyError: 'nothing'"])


def test_junit_properties_tell_what_was_sent(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(APP)
    pytester.makepyfile("def test_it(webhook): webhook.send('stripe', 'charge.refunded').assert_accepted()")
    session(pytester, "--junitxml=report.xml", "-o", "junit_family=xunit1").assert_outcomes(passed=1)
    report = (pytester.path / "report.xml").read_text("utf-8")
    assert '<property name="webhook" value="stripe charge.refunded 200 ' in report
    assert SECRET not in report


def saved_into(pytester: pytest.Pytester) -> int:
    """Saved deliveries of Stripe in the session's folder; how many."""
    shutil.copytree(SAVED / "stripe", pytester.path / "fixtures" / "stripe")
    return len(list((SAVED / "stripe").glob("*.toml")))


def test_a_test_runs_for_each_saved_delivery_in_order(pytester: pytest.Pytester) -> None:
    count = saved_into(pytester)
    pytester.makeconftest(APP)
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.webhook_fixtures("fixtures/stripe/*.toml", "fixtures/**/*.toml", "fixtures/**/*.json")
        def test_capture(webhook, webhook_fixture):
            webhook.replay(webhook_fixture).assert_accepted()
        """
    )
    result = session(pytester, "-v", "--strict-markers")
    result.assert_outcomes(passed=count)
    names = [
        line.partition("[")[2].partition("]")[0] for line in result.outlines if "::test_capture[" in line
    ]
    assert names == sorted(names)
    assert names[0].startswith("fixtures/stripe/")


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("", "webhook_fixture needs the marker: *"),
        (
            '@pytest.mark.webhook_fixtures("nowhere/*.toml")',
            "webhook_fixtures: nowhere/*.toml means no saved delivery below *",
        ),
        (
            '@pytest.mark.webhook_fixtures("/etc/*.toml")',
            "webhook_fixtures: /etc/*.toml means no saved delivery below *",
        ),
        ("@pytest.mark.webhook_fixtures()", "webhook_fixtures: nothing means no saved delivery below *"),
        ('@pytest.mark.webhook_fixtures("pyproject.toml")', "*pyproject.toml*"),
    ],
    ids=["none", "no file", "absolute", "empty", "no fixture"],
)
def test_fixtures_that_are_not_there_fail_the_one_test_in_words(
    pytester: pytest.Pytester, marker: str, words: str
) -> None:
    pytester.makepyprojecttoml("[project]\nname = 'x'\n")
    pytester.makepyfile(
        f"import pytest\n\n{marker}\ndef test_it(webhook_fixture): pass\n\ndef test_other(): pass"
    )
    result = session(pytester)
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([words])
    assert "def webhook_fixture" not in text_of(result)


def test_a_fixture_of_the_users_own_by_that_name_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture(params=[1, 2])
        def webhook_fixture(request):
            return request.param

        @pytest.fixture
        def webhook_target():
            return {"theirs": True}

        def test_it(webhook_fixture, webhook_target):
            assert webhook_fixture in (1, 2)
        """
    )
    session(pytester).assert_outcomes(passed=2)


def test_the_listener_is_empty_for_each_test_and_answers_as_told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from webhookctl import forge
        PUSH = forge("github", "push", secret="s")

        def test_first(webhook_listener):
            webhook_listener.answer(500)
            assert PUSH.send(webhook_listener.url).status == 500

        def test_second(webhook_listener):
            assert webhook_listener.received == []
            assert PUSH.send(webhook_listener.url).status == 200
            webhook_listener.wait()[0].assert_signed("github", secret="s")
        """
    )
    session(pytester).assert_outcomes(passed=2)


def test_a_match_that_raises_fails_the_test_it_was_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from webhookctl import forge
        PUSH = forge("github", "push", secret="s")

        def test_listener(webhook_listener):
            webhook_listener.answer(match=lambda received: 1 / 0)
            PUSH.send(webhook_listener.url)

        def test_mock(webhook_mock):
            crm = webhook_mock()
            crm.answer(match=lambda received: 1 / 0)
            PUSH.send(crm.url)
        """
    )
    result = session(pytester)
    result.assert_outcomes(passed=2, errors=2)
    # Under CI=true pytest's summary repeats the words: only the report's own lines count.
    reported = [line for line in result.outlines if line.startswith("E ") and "ZeroDivisionError" in line]
    assert len(reported) == 2


def test_a_mock_is_found_in_the_environment_for_one_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os
        from webhookctl import forge

        def test_mock(webhook_mock):
            crm, mail = webhook_mock("crm", env="CRM_URL", status=201, json={"id": 1}), webhook_mock("mail")
            answer = forge("github", "push", secret="s").send(os.environ["CRM_URL"] + "/orders")
            assert (answer.status, answer.json()) == (201, {"id": 1})
            assert (crm.count, mail.count) == (1, 0)
            assert crm.calls[0].target == "/orders"

        def test_after():
            assert "CRM_URL" not in os.environ
        """
    )
    session(pytester).assert_outcomes(passed=2)


def test_a_session_leaves_no_thread_behind(pytester: pytest.Pytester) -> None:
    from webhookctl.library.background import close_sending

    close_sending()
    before = set(threading.enumerate())
    pytester.makeconftest(APP)
    pytester.makepyfile(
        """
        def test_it(webhook, webhook_listener, webhook_mock):
            webhook_mock()
            webhook.send("stripe", "charge.refunded").assert_accepted()
        """
    )
    session(pytester).assert_outcomes(passed=1)
    assert set(threading.enumerate()) <= before
