"""Writes the TOML of a user's own scheme from a few answers.

Pure; what it writes is read back by `scheme_file`, which judges it.
"""

import json
from dataclasses import dataclass

from webhookctl.signing.place import parse_template

_SEPARATORS = (",", ";", "&", "|", " ")


@dataclass(frozen=True, slots=True)
class Draft:
    """What a user says of a provider: `headers` are (name, value template); "" for what is not said."""

    id: str
    name: str
    headers: tuple[tuple[str, str], ...]
    content: str = "{body}"
    algorithm: str = "hmac-sha256"
    encoding: str = "hex"
    key: str = "utf8"
    variable: str = ""
    unit: str = "s"
    tolerance_s: float | None = None
    event: str = ""
    delivery_id: str = ""


def parse_header(text: str) -> tuple[str, str]:
    """Name and value template of ``X-Signature: sha256={sig}``; of a name alone the value is the signature."""
    name, _, value = text.partition(":")
    return name.strip(), value.strip() or "{sig}"


def draft_text(draft: Draft) -> str:
    """The file, with a comment for each part."""
    sent = [header for header in draft.headers if "{sig}" in header[1]] or list(draft.headers)
    lines = [
        f"# {_comment(draft.name)}: a signing scheme of your own. Check it with `webhookctl providers lint`.",
        f"id = {_text(draft.id)}",
        f"name = {_text(draft.name)}",
        "# The first variable that is set holds the secret; --secret and webhookctl.toml can name it too.",
        f"secret_variables = [{_text(draft.variable or _variable(draft.id))}]",
        "",
        "[signature]",
        "# What is signed. Slots: {body} {ts} {id} {nonce} {url} {method} {path} {secret}, and body.PATH.",
        f"template = {_text(draft.content)}",
        f"algorithm = {_text(draft.algorithm)}",
        "# How the secret's text becomes the key: utf8, base64, base64url, hex, …",
        f"keys = [{_text(draft.key)}]",
        "# How the signature is written: hex, base64, base64url, …",
        f"encoding = {_text(draft.encoding)}",
    ]
    for name, value in draft.headers:
        lines += ["", "[[header]]", f"name = {_text(name)}", f"value = {_text(value)}"]
        separator = _separator(value)
        if separator:
            lines += [f"separator = {_text(separator)}"]
    if any("{ts}" in value for _, value in draft.headers):
        lines += ["", "[timestamp]", "# s, ms or iso8601", f"unit = {_text(draft.unit)}"]
        if draft.tolerance_s is not None:
            lines += ["# Older, or further ahead, is refused.", f"tolerance_s = {draft.tolerance_s:g}"]
    lines += ["", "[detection]", "# A header that gives the provider away, and where event and id stand."]
    lines += [f"headers = [{_text(sent[0][0])}]"]
    lines += [f"event = [{_text(_rule(draft.event))}]"] if draft.event else []
    lines += [f"delivery_id = [{_text(_rule(draft.delivery_id))}]"] if draft.delivery_id else []
    return "\n".join(lines) + "\n"


def _rule(place: str) -> str:
    return place if "{" in place else f"{{{place}}}"


def _variable(provider_id: str) -> str:
    return provider_id.upper().replace("-", "_") + "_WEBHOOK_SECRET"


def _separator(value: str) -> str:
    """What stands between the slots of `value`, "" when it has one slot alone."""
    try:
        parts = parse_template(value).parts
    except ValueError:
        return ""  # the reader of the file says what is wrong
    if sum(slot is not None for _, slot in parts) < 2:
        return ""
    between = parts[1][0].decode("utf-8")
    return next((separator for separator in _SEPARATORS if separator in between), "")


def _comment(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # a JSON string is one of TOML
