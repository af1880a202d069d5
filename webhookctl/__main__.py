"""Entry point of `webhookctl` and `python -m webhookctl`: answers `--version`, runs the command, owns the exit code.

Everything else is imported only when it is needed.
"""

import os
import sys

from webhookctl import __version__


def main() -> None:
    """Run the command line and exit with its code."""
    _mend_streams()
    if sys.argv[1:] in (["--version"], ["-V"]):
        sys.stdout.write(f"webhookctl {__version__}\n")
        sys.exit(0)
    from webhookctl.cli.app import run

    sys.exit(run(sys.argv[1:]))


def _mend_streams() -> None:
    """No stream is missing (a caller may close one), and no character is too much for the terminal's encoding."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  (open to the end)
        elif mode == "w":
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
