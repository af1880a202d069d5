"""What `webhook_target` may be, how long it lives, and what a user sees of its failures."""

import pytest

from tests.plugin.sessions import APP, session, text_of

pytest_plugins = ["pytester"]


def test_without_a_target_it_says_how_to_give_one(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(webhook): pass")
    result = session(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["webhook_target is not set", "hint: override the fixture webhook_target *"])
    assert "Traceback" not in text_of(result)
    assert "def webhook_target" not in text_of(result)


@pytest.mark.parametrize("where", ["option", "ini"])
def test_the_target_may_be_an_option_or_a_setting(pytester: pytest.Pytester, where: str) -> None:
    pytester.makepyfile("def test_it(webhook): assert webhook.url == 'http://localhost:9/hooks'")
    arguments = ["--webhook-target", "http://localhost:9/hooks"] if where == "option" else []
    if where == "ini":
        pytester.makeini("[pytest]\nwebhook_target = http://localhost:9/hooks\n")
    session(pytester, *arguments).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("'localhost:3000'", "'localhost:3000' is not a URL"),
        ("3", "int is no application"),
        ("broken", "the application's startup failed: no database"),
        ("Command('no-such-program-anywhere')", "*no-such-program-anywhere*"),
    ],
    ids=["url", "number", "start-up", "command"],
)
def test_a_target_that_cannot_be_used_is_told_in_words(
    pytester: pytest.Pytester, value: str, words: str
) -> None:
    pytester.makeconftest(
        f"""
        import pytest
        from webhookctl import Command

        async def broken(scope, receive, send):
            await receive()
            await send({{"type": "lifespan.startup.failed", "message": "no database"}})

        @pytest.fixture(scope="session")
        def webhook_target():
            return {value}
        """
    )
    pytester.makepyfile("def test_it(webhook): pass")
    result = session(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ERROR at setup of test_it*", words])
    assert "Traceback" not in text_of(result)
    assert "def webhook(" not in text_of(result)


def test_a_target_lives_as_long_as_its_fixture(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest
        events = []

        def make(name):
            async def app(scope, receive, send):
                if scope["type"] == "lifespan":
                    for what in ("startup", "shutdown"):
                        await receive()
                        events.append(f"{name} {what}")
                        await send({"type": f"lifespan.{what}.complete"})
                else:
                    await send({"type": "http.response.start", "status": 200, "headers": []})
                    await send({"type": "http.response.body", "body": name.encode()})
            return app

        @pytest.fixture(scope="session")
        def webhook_target():
            yield make("session")
            events.append("session fixture ends")

        @pytest.fixture(scope="session")
        def webhook_secret():
            return "s"

        def pytest_unconfigure():
            print("\\nevents:", ", ".join(events))
        """
    )
    pytester.makepyfile(
        test_a="""
        def test_one(webhook):
            assert webhook.send("github", "push").text == "session"
        def test_two(webhook):
            assert webhook.send("github", "push").text == "session"
        """,
        test_b="""
        import pytest
        from conftest import events, make

        @pytest.fixture(scope="module")
        def webhook_target():
            yield make("module")
            events.append("module fixture ends")

        def test_one(webhook):
            assert webhook.send("github", "push").text == "module"
        def test_two(webhook):
            assert webhook.send("github", "push").text == "module"
        """,
        test_c="""
        import pytest
        from conftest import events, make

        @pytest.fixture
        def webhook_target():
            yield make("function")
            events.append("function fixture ends")

        def test_one(webhook):
            assert webhook.send("github", "push").text == "function"
        def test_two(webhook):
            assert webhook.send("github", "push").text == "function"
        """,
        test_d="""
        def test_one(webhook):
            assert webhook.send("github", "push").text == "session"
        """,
    )
    result = session(pytester)
    result.assert_outcomes(passed=7)
    events = next(line for line in result.outlines if line.startswith("events: "))[8:].split(", ")
    function = ["function startup", "function shutdown", "function fixture ends"]
    assert events == [
        "session startup",
        "module startup",
        "module shutdown",
        "module fixture ends",
        *function,
        *function,
        "session shutdown",
        "session fixture ends",
    ]


def test_a_test_may_be_parametrised_by_target(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("webhook_target", ["http://localhost:1", "http://localhost:2"])
        def test_it(webhook, webhook_target):
            assert webhook.url == webhook_target
        """
    )
    session(pytester).assert_outcomes(passed=2)


def test_an_exception_of_the_application_is_the_cause_of_the_failure_and_told_once(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(APP)
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def webhook_path():
            return "/boom"

        def test_asserts(webhook):
            webhook.send("stripe", "charge.refunded").assert_accepted()

        def test_asserts_nothing(webhook):
            webhook.send("stripe", "charge.refunded")

        def test_means_it(webhook):
            assert webhook.send("stripe", "charge.refunded").status == 500
            webhook.problems.clear()

        @pytest.mark.parametrize("webhook_path", [""])
        def test_has_nothing_to_do_with_it(webhook):
            webhook.send("stripe", "charge.refunded").assert_accepted()
        """
    )
    result = session(pytester, "--tb=short")
    result.assert_outcomes(failed=1, passed=3, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_asserts_nothing*",
            "*ValueError: boom*",
            "*_ test_asserts _*",
            "*ValueError: boom*",
        ]
    )
    assert text_of(result).count("E   ValueError: boom") == 2


def test_a_command_is_a_target_and_its_output_is_shown(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        receiver="""
        import os, socket
        server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
        print("listening", flush=True)
        while True:
            connection = server.accept()[0]
            if connection.recv(10):
                print("a request, and here I die", flush=True)
                os._exit(3)
        """,
        test_it="""
        import sys
        import pytest
        from webhookctl import Command

        @pytest.fixture(scope="session")
        def webhook_target():
            return Command([sys.executable, "receiver.py"])

        def test_it(webhook):
            webhook.send("github", "push", secret="s")
        """,
    )
    result = session(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E       webhookctl.errors.EndpointError: *", "last output of the receiver:", "listening"]
    )


def test_an_unreachable_receiver_is_one_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(webhook): webhook.send('github', 'push', secret='s')")
    result = session(pytester, "--webhook-target", "http://127.0.0.1:1/hooks")
    result.stdout.fnmatch_lines(
        [
            "E   webhookctl.errors.EndpointError: http://127.0.0.1:1/hooks: it refuses connections",
            "*- webhooks -*",
            "< no answer: *",
        ]
    )
    assert "background.py" not in text_of(result)
