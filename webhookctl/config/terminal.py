"""What the environment says beyond settings: colours, and what a process of ours may inherit of it."""

import os
from collections.abc import Mapping

_SETTINGS_PREFIX = "WEBHOOKCTL_"
_SECRET_SUFFIXES = ("_WEBHOOK_SECRET", "_SIGNING_SECRET")


def forces_color(environ: Mapping[str, str] | None = None) -> bool:
    """True when FORCE_COLOR asks for colours though the output is no terminal (https://force-color.org)."""
    return bool((os.environ if environ is None else environ).get("FORCE_COLOR"))


def inherited_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without webhookctl's settings and providers' secrets, for processes that must not see them."""
    return {
        name: value
        for name, value in (os.environ if environ is None else environ).items()
        if not name.startswith(_SETTINGS_PREFIX) and not name.endswith(_SECRET_SUFFIXES)
    }


def environment_secret(name: str) -> str:
    """The value of the variable `name`, "" when it is not set."""
    return os.environ.get(name, "")


def whole_environment() -> dict[str, str]:
    """The environment as it is: for the user's own commands, and for ``${NAME}`` in files of theirs."""
    return dict(os.environ)
