"""Writes reference/handshakes.md from the shipped table, or with --check says whether it is up to date."""  # noqa: INP001  (a script)

import sys
from pathlib import Path

from webhookctl.handshake import Handshake, SignaturePolicy, load_all
from webhookctl.handshake.table import Condition, Form

PAGE = Path(__file__).parent / "reference" / "handshakes.md"

_INTRODUCTION = """\
# Handshakes

Written by `python docs/generate_handshakes.py` from `webhookctl/handshake/data`; do not edit it by hand. How to use
them: [handshakes](../how-to/handshakes.md).

**Sent** is what tells the request from a delivery. **Answered** is what webhookctl answers and what an app is checked
against; other forms that the provider takes too stand behind *or*. **Signature**: *checked* means that a wrong one is
refused, *required* that only a right one is answered, *tested* that the provider sends wrong ones on purpose.
**Named** means that the provider has to be known, by a header or `--provider`, as the request alone does not tell it.

**Evidence**: *verified*: code of others gives the same answer (`make test-oracles` asks it); *doc*, *spec*: a primary
text was read; *secondary*: notes or code of others agree; *memory*: general knowledge.

| Name | Sent | Answered | Signature | Within | Otherwise | Evidence |
|---|---|---|---|---|---|---|
"""

_ENDING = """
## Left out

| Provider | Why |
|---|---|
| Ramp | Its challenge is not answered but submitted in an API call of its own. |
| GitHub, Intercom (`ping`) | A delivery as any other: any 2xx will do. |
| SNS `UnsubscribeConfirmation` | Opening its URL would subscribe again what somebody has just unsubscribed. |
| WebSub `unsubscribe` | A stranger could end a subscription: the app has to know whether it asked. |
| CloudEvents `WebHook-Request-Callback`, Event Grid `validationUrl` | URLs from a request are never called. |
"""


def page() -> str:
    """The whole page."""
    return _INTRODUCTION + "".join(_row(row) for row in load_all()) + _ENDING


def _row(row: Handshake) -> str:
    name = f"`handshake:{row.id}`" + "".join(f", `{alias}`" for alias in row.aliases)
    parts = [_shown(condition) for condition in row.conditions]
    sent = f"{row.method} " + (", ".join(parts) or "anything")
    if row.is_alone:
        sent += " alone"
    if row.is_named_only:
        sent += " (named)"
    answered = f"{row.status} " + " *or* ".join(_form(form) for form in (row.answer, *row.accepts))
    signature = {SignaturePolicy.NONE: ""}.get(row.signature, row.signature.value)
    signature += ", tested" if row.is_tested else ""
    limit = "" if row.time_limit_s is None else f"{row.time_limit_s:g} s"
    note = f". {row.note[0].upper()}{row.note[1:]}" if row.note else ""
    cells = [name, sent, answered, signature, limit, row.consequence + note, f"{row.evidence}: {row.source}"]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _shown(condition: Condition) -> str:
    text = condition.place.text.rstrip(".")
    value = "" if condition.value is None else f"={condition.value}"
    return ("no " if condition.is_absent else "") + f"`{text}{value}`"


def _form(form: Form) -> str:
    parts = [f"header `{name}: {value}`" for name, value in form.headers]
    if form.json is not None:
        parts.append(f"JSON `{form.json}`".replace("'", '"'))
    elif form.needle:
        parts.append(f"text with `{form.needle}`")
    elif form.text:
        parts.append(f"text `{form.text}`")
    elif form.text == "":
        parts.append("an empty body")
    return " and ".join(parts) or "any body"


def main() -> int:
    """Write the page; with --check, 1 when it is stale."""
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text("utf-8") != page())
    PAGE.write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
