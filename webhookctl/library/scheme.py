"""The signing scheme of a provider by its name: a packaged one, else one of the project around the working folder.

Must not know secrets.
"""

from webhookctl import signing
from webhookctl.signing import Scheme


def scheme_of(provider: str) -> Scheme:
    """The scheme called `provider`. Raises UsageError `provider-unknown` with a suggestion."""
    if provider in signing.provider_ids():
        return signing.load(provider)
    from webhookctl.wiring.project import open_project

    return open_project().scheme(provider)
