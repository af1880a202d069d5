"""What texts of a contract file may refer to: variables, the port, mocks. And the commands that are written there.

Must not know cases; fills in variables only, the rest when it is known.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from shlex import split

from webhookctl.contract.model import Command
from webhookctl.contract.table import Table, suggestion

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_MOCK_URL = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\.url\}")
_OPTIONS = ("env", "folder", "shell")


@dataclass(frozen=True, slots=True)
class Context:
    """The environment of whoever runs the contract, the names of its mocks, and whether it starts its receiver."""

    environment: Mapping[str, str]
    mocks: tuple[str, ...] = ()
    is_started: bool = False

    def filled(self, table: Table, key: str, text: str) -> str:
        """`text` with ``${NAME}`` and ``${NAME:-default}`` filled in; refuses what nothing will ever fill in."""

        def value(match: re.Match[str]) -> str:
            found = self.environment.get(match[1]) or match[2]
            if found is None:
                table.refuse(
                    key,
                    f"needs the environment variable {match[1]}",
                    f"set it, or write ${{{match[1]}:-a default}}",
                )
            return found

        for match in _MOCK_URL.finditer(text):
            if match[1] not in self.mocks and match[1] != "event":
                table.refuse(key, f"names no mock with {match[0]}", suggestion(match[1], self.mocks))
        if "{port}" in text and not self.is_started:
            table.refuse(key, "holds {port}, which a receiver has that is started", "add start to [receiver]")
        return _VARIABLE.sub(value, text)

    def command(self, table: Table, key: str) -> Command | None:
        """A command: a list of arguments, or one text that is split as a shell would; a shell only when asked for."""
        place = table.place_of(key)
        value = table.raw(key)
        if value is None:
            for option in _OPTIONS:
                if table.has(option):
                    table.refuse(option, f"goes with {key}")
            return None
        environment = {name: self.filled(table, "env", str(text)) for name, text in table.pairs("env")}
        folder = table.take("folder", str) or ""
        is_shell = table.take("shell", bool) or False
        arguments = (value,) if isinstance(value, str) and is_shell else _arguments(table, key, value)
        if is_shell and len(arguments) != 1:
            table.refuse(key, "has to be one text for the shell")
        if any("\0" in each for each in (*arguments, *environment.values(), folder)):
            table.refuse(key, "holds NUL")
        return Command(
            tuple(self.filled(table, key, each) for each in arguments), environment, folder, place, is_shell
        )


def _arguments(table: Table, key: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            value = split(value)
        except ValueError as error:
            table.refuse(key, f"cannot be split into arguments: {error}")
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        table.refuse(key, "has to be a command: a text, or a list of its arguments")
    return tuple(value)
