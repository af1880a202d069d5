"""How a provider's API is reached: a token from where people keep it, and the address when another one is set.

Must not know what the API is used for.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from webhookctl.config.secret import read_secret
from webhookctl.errors import UsageError
from webhookctl.model import Secret

_GITHUB_TOKENS = ("GITHUB_TOKEN", "GH_TOKEN")


def github_access(reference: str | None, *, environ: Mapping[str, str] | None = None) -> tuple[Secret, str]:
    """The token of GitHub's API, and the API's URL ("" the usual one).

    `reference` (``env:NAME``, ``file:PATH``) wins over GITHUB_TOKEN and GH_TOKEN; GITHUB_API_URL is the address.
    Raises UsageError `register-token-missing`, or what `read_secret` raises.
    """
    environ = os.environ if environ is None else environ
    url = environ.get("GITHUB_API_URL", "")
    if reference:
        return read_secret(reference, environ=environ, base=Path()), url
    for name in _GITHUB_TOKENS:
        if value := environ.get(name, "").strip():
            return Secret(value, f"env:{name}"), url
    raise UsageError(
        "register-token-missing",
        "no token for GitHub: GITHUB_TOKEN is not set",
        "export GITHUB_TOKEN=…, or --register-token env:NAME; with the gh tool: export GITHUB_TOKEN=$(gh auth token)",
    )
