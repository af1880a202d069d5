"""Whether a process runs (Linux)."""

from pathlib import Path


def is_alive(pid: int | str) -> bool:
    """Whether it runs: neither gone, nor on its way there (its memory is given back), nor waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False
