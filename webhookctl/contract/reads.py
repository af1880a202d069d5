"""What a receiver reads, as contract files say it: the tables ``[reads."event"]``, read and written.

Must not know how it was found out, nor open files.
"""

import json
import re
from collections.abc import Mapping

from webhookctl.contract.places import places
from webhookctl.contract.profile import parse_type
from webhookctl.contract.table import Table, parse
from webhookctl.errors import UsageError
from webhookctl.jsontext.path import parse_path

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ASSIGNMENT = re.compile(r"\s*(?:[A-Za-z0-9_-]|\"|')")


def read_reads(toml: bytes, *, origin: str) -> dict[str, dict[str, str]]:
    """What a contract file says of reads, event → path → type; nothing else in it is looked at.

    Raises UsageError `contract-invalid`.
    """
    return take_reads(parse(toml, origin))


def take_reads(top: Table) -> dict[str, dict[str, str]]:
    """The tables below `reads`, taken out of `top`. Raises UsageError `contract-invalid`."""
    return {event: _paths(table) for event, table in top.named_tables("reads")}


def _paths(table: Table) -> dict[str, str]:
    paths: dict[str, str] = {}
    for path, text in table.every_item():
        if not isinstance(text, str):
            table.refuse(path, "has to be the type of the field, for example string")
        try:
            parse_type(text)
        except ValueError as error:
            table.refuse(path, str(error))
        _check_path(table, path)
        paths[path] = text
    return paths


def _check_path(table: Table, path: str) -> None:
    try:
        parse_path(path.replace("[]", "[0]").replace("{*}", "any"))
    except UsageError as error:
        table.refuse(path, f"is no path: {error.message}", "write it like data.object.amount or items[].id")


def reads_toml(reads: Mapping[str, Mapping[str, str]]) -> str:
    """The tables, one for each event: ``"data.object.id" = "string"``."""
    return "\n".join(_table(event, paths) for event, paths in reads.items())


def with_reads(toml: str, reads: Mapping[str, Mapping[str, str]]) -> str:
    """`toml` with the tables of these events in the place of those it has, or at its end. Comments stay.

    Raises UsageError `reads-inline` when an event is not written as a table of its own.
    """
    text = toml.replace("\r\n", "\n")
    for event, paths in reads.items():
        lines = text.split("\n")
        known = places(text).keys
        if ("reads", event) not in known:
            text = text.rstrip("\n") + "\n\n" + _table(event, paths)
            continue
        start = known["reads", event][0] - 1
        if not lines[start].lstrip().startswith("["):
            raise UsageError(
                "reads-inline",
                f"line {start + 1}: the reads of {event} are no table of their own",
                f"write them below [reads.{_key(event)}], or leave out --write and copy what is printed",
            )
        end = start + 1
        while end < len(lines) and not lines[end].lstrip().startswith("["):
            end += 1
        kept = [line for line in lines[start + 1 : end] if line.strip() and not _ASSIGNMENT.match(line)]
        table = [lines[start], *kept, *_assignments(paths), *([""] if end < len(lines) else [])]
        text = "\n".join([*lines[:start], *table, *lines[end:]]).rstrip("\n") + "\n"
    return text.replace("\n", "\r\n") if "\r\n" in toml else text


def _table(event: str, paths: Mapping[str, str]) -> str:
    return "\n".join([f"[reads.{_key(event)}]", *_assignments(paths)]) + "\n"


def _assignments(paths: Mapping[str, str]) -> list[str]:
    return [f"{_key(path)} = {_text(kind)}" for path, kind in paths.items()]


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    """A TOML text: JSON's escapes are TOML's, but for lone surrogates and DEL, which TOML does not have."""
    safe = text.encode("utf-8", "replace").decode()
    return json.dumps(safe, ensure_ascii=False).replace("\x7f", "\\u007f")
