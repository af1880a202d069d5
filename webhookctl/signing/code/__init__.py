"""Code that verifies a scheme, to copy into an app: Python, Node, Go.

Must not know requests or secrets; every line follows from the scheme.
"""

from collections.abc import Callable, Mapping

from webhookctl.errors import UsageError
from webhookctl.signing.code import go, node, python
from webhookctl.signing.code.plan import Plan, plan
from webhookctl.signing.scheme import Scheme

__all__ = ["LANGUAGES", "Plan", "plan", "verification_code"]

LANGUAGES: Mapping[str, Callable[[Plan], str]] = {"python": python.write, "node": node.write, "go": go.write}


def verification_code(scheme: Scheme, language: str) -> str:
    """A verifier of `scheme` in `language` (python, node, go).

    Raises UsageError `code-unavailable`, which says why and names the SDK, and `language-unknown`.
    """
    write = LANGUAGES.get(language)
    if write is None:
        raise UsageError(
            "language-unknown", f"no code is made in {language!r}", f"known: {', '.join(LANGUAGES)}"
        )
    found = plan(scheme)
    if isinstance(found, str):
        raise UsageError("code-unavailable", f"no code is made for {scheme.name}: {found}", _advice(scheme))
    return write(found)


def _advice(scheme: Scheme) -> str:
    packages = [witness.partition(" ")[0] for witness in (*scheme.verified_with, *scheme.verified_once)]
    if packages:
        return f"use the provider's own package: {', '.join(packages)}"
    return f"`webhookctl providers show {scheme.id}` tells the steps; `webhookctl verify` checks yours"
