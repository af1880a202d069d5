"""The page of providers says what the schemes say."""

import runpy
from pathlib import Path

from webhookctl.signing import provider_ids

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_providers_is_up_to_date() -> None:
    made: str = runpy.run_path(str(DOCS / "generate_providers.py"))["page"]()
    assert (DOCS / "reference" / "providers.md").read_text(encoding="utf-8") == made, "run `make docs`"
    assert all(f"| `{provider}` |" in made for provider in provider_ids())
