"""`webhookctl providers new` and `detect`, and events of one's own provider."""

import tomllib

import pytest

from tests.cli.commands import Project, run
from webhookctl.cli.new_provider import _with_provider

SHOP = ("--header", "Shop-Sig: t={ts},v1={sig}", "--content", "{ts}.{body}", "--tolerance", "5m")


def test_a_new_provider_is_written_named_and_can_be_used_at_once(project: Project) -> None:
    result = run("providers", "new", "shop", *SHOP)
    assert (result.exit_code, result.text) == (0, "")
    assert "keys new shop" in result.errors
    assert tomllib.loads((project.folder / "webhookctl.toml").read_text()) == {
        "providers": ["providers/shop.toml"]
    }
    assert run("providers", "lint", "providers/shop.toml").exit_code == 0
    run("keys", "new", "shop")
    header = run("sign", "-p", "shop", stdin=b"{}").text.strip()
    assert run("verify", "-p", "shop", "-H", header, stdin=b"{}").exit_code == 0
    assert "def verify(" in run("providers", "show", "shop", "--code", "python").text


def test_an_event_of_ones_own_provider_is_forged(project: Project) -> None:
    run("providers", "new", "shop", *SHOP, "--event", "body.kind")
    run("keys", "new", "shop")
    for arguments in (("shop/order.paid",), ("order.paid", "-p", "shop")):
        (attempt,) = run("trigger", *arguments, "--dry-run", "--json").data["attempts"]
        assert (attempt["provider"], attempt["event"]) == ("shop", "order.paid")
        assert '"kind":"order.paid"' in attempt["request"]["body_text"]
        assert any(name == "Shop-Sig" for name, _ in attempt["request"]["headers"])
    project.write("webhookctl.toml", 'providers = ["providers/shop.toml"]\nprovider = "shop"\n')
    assert "order.paid" in run("trigger", "order.paid", "--dry-run").text


def test_a_packaged_provider_without_events_sends_a_plain_payload_and_says_so(project: Project) -> None:
    project.development_secret()
    result = run("trigger", "paystack/charge.success", "--dry-run")
    assert result.exit_code == 0
    assert "x-paystack-signature" in result.text
    assert "no events of paystack" in result.errors
    assert run("trigger", "nobody/charge.success", "--dry-run").exit_code == 2


def test_a_second_provider_joins_the_first_and_a_file_is_not_overwritten(project: Project) -> None:
    run("providers", "new", "one", "--header", "X-One")
    assert run("providers", "new", "two", "--header", "X-Two", "--json").data["registered"] is True
    named = tomllib.loads((project.folder / "webhookctl.toml").read_text())["providers"]
    assert sorted(named) == ["providers/one.toml", "providers/two.toml"]
    refused = run("providers", "new", "one", "--header", "X-Other")
    assert refused.exit_code == 2
    assert "--force" in refused.errors
    assert run("providers", "new", "one", "--header", "X-Other", "--force").exit_code == 0
    assert sorted(named) == sorted(
        tomllib.loads((project.folder / "webhookctl.toml").read_text())["providers"]
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'providers = ["p"]\n'),
        ("port = 1\n", 'providers = ["p"]\nport = 1\n'),
        ('[secrets]\na = "b"\n', 'providers = ["p"]\n[secrets]\na = "b"\n'),
        ("providers = []\n", 'providers = ["p", ]\n'),
        ('port = 1\nproviders = ["a"]\n[x]\n', 'port = 1\nproviders = ["p", "a"]\n[x]\n'),
        ('[x]\nproviders = ["a"]\n', 'providers = ["p"]\n[x]\nproviders = ["a"]\n'),
        ('x = """\nproviders = ["a"]\n"""\n', None),
        ("port = \n", None),
    ],
)
def test_settings_are_changed_in_that_one_place_or_not_at_all(before: str, after: str | None) -> None:
    assert _with_provider(before, "p") == after


def test_settings_in_pyproject_are_left_alone_and_the_line_to_add_is_said(project: Project) -> None:
    project.write("pyproject.toml", "[tool.webhookctl]\nport = 4500\n")
    result = run("providers", "new", "shop", *SHOP)
    assert result.exit_code == 0
    assert 'providers = ["providers/shop.toml"]' in result.errors
    assert not (project.folder / "webhookctl.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("shop",), "--header"),
        (("Shop", "--header", "X"), "lower-case"),
        (("../shop", "--header", "X"), "lower-case"),
        (("shop", "--header", "X: {sgi}"), "did you mean sig?"),
        (("shop", "--header", "X", "--algorithm", "hmac-sha257"), "hmac-sha256"),
        (("shop", "--header", "X: v1"), "no header holds a {sig}"),
        (("shop", "--header", "X", "--content", "{ts}.{body}"), "no header sends the slot {ts}"),
        (("shop", "--header", "X", "--key", "hex", "--tolerance", "x"), "--tolerance"),
    ],
)
def test_what_cannot_be_a_scheme_is_refused_and_nothing_is_written(
    project: Project, arguments: tuple[str, ...], words: str
) -> None:
    result = run("providers", "new", *arguments)
    assert result.exit_code == 2
    assert words in result.errors
    assert not (project.folder / "providers").exists()
    assert not (project.folder / "webhookctl.toml").exists()


def test_detect_names_everybody_who_could_have_sent_it(project: Project) -> None:
    data = run(
        "providers", "detect", "-H", "svix-id: msg_1", "-H", "svix-signature: v1,x", "--json", stdin=b"{}"
    ).data
    assert [entry["provider"] for entry in data["candidates"]][:1] == ["svix"]
    assert {"clerk", "resend"} <= {entry["provider"] for entry in data["candidates"]}
    text = run("providers", "detect", "-H", "Stripe-Signature: t=1", stdin=b"{}").text
    assert text.startswith("stripe       header Stripe-Signature\n")
    nobody = run("providers", "detect", stdin=b"{}")
    assert (nobody.exit_code, nobody.text) == (1, "")


def test_code_is_printed_for_every_language_and_refused_with_a_reason(project: Project) -> None:
    assert "timingSafeEqual" in run("providers", "show", "stripe", "--code", "node").text
    assert "hmac.Equal" in run("providers", "show", "stripe", "--code", "go").text
    data = run("providers", "show", "stripe", "--code", "python", "--json").data
    assert "compare_digest" in data["code"]
    assert [step["what"] for step in data["recipe"]["steps"]][:3] == ["read", "key", "sign"]
    refused = run("providers", "show", "braintree", "--code", "python")
    assert refused.exit_code == 2
    assert "braintree" in refused.errors
