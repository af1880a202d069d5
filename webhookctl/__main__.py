"""Entry point of `webhookctl` and `python -m webhookctl`: answers `--version`, runs the command, owns the exit code.

Everything else is imported only when it is needed.
"""

import sys

from webhookctl import __version__


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        sys.stdout.write(f"webhookctl {__version__}\n")
        sys.exit(0)
    from webhookctl.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
