"""Which cases failed last time, kept in the project's `.webhookctl/` for `--last-failed`.

Must not know what a case is: it keeps ids.
"""

import json
from collections.abc import Collection
from contextlib import suppress

from webhookctl.errors import UsageError
from webhookctl.store.project import ProjectState

_NAME = "last-failed.json"
_MAX_BYTES = 1024 * 1024


def last_failed(state: ProjectState) -> frozenset[str]:
    """The ids that failed when they were played last; empty when none did or nobody knows."""
    try:
        with (state.folder / _NAME).open("rb") as file:
            found = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return frozenset()
    return (
        frozenset(each for each in found if isinstance(each, str)) if isinstance(found, list) else frozenset()
    )


def remember(state: ProjectState, *, failed: Collection[str], passed: Collection[str]) -> None:
    """Add `failed` and take out `passed`; what was not played stays. A folder that cannot be written is no error."""
    before = last_failed(state)
    after = (before - set(passed)) | set(failed)
    if after == before:
        return
    with suppress(OSError, UsageError):
        path = state.create() / _NAME
        fresh = path.with_name(_NAME + ".new")
        fresh.write_text(json.dumps(sorted(after), indent=1) + "\n", "utf-8")
        fresh.replace(path)
