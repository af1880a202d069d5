"""Room for connections: each idle peer is an open file, and the usual soft limit of 1,024 is meant for `select`."""

import resource
from contextlib import suppress

_WANTED = 65_536


def raise_open_files() -> None:
    """Raise this process's soft limit of open files as far as it may go. What cannot be raised stays."""
    with suppress(ValueError, OSError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = min(hard, _WANTED) if hard != resource.RLIM_INFINITY else _WANTED
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
