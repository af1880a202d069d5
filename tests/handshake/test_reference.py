"""The reference page is the table."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_of_handshakes_is_up_to_date() -> None:
    script = ROOT / "docs" / "generate_handshakes.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
