"""Merging the layers of configuration into one Config, each value with its origin.

Must not know what a setting is for.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from webhookctl.config.document import Document, find_project_document, find_project_root, read_document
from webhookctl.config.settings import Config, Kind, SecretSource, Setting, path_from, unknown_name
from webhookctl.errors import UsageError

_PREFIX = "WEBHOOKCTL_"
_OTHER_VARIABLES = (
    "WEBHOOKCTL_CONFIG",
    "WEBHOOKCTL_PROFILE",
    "WEBHOOKCTL_SECRET",
    "WEBHOOKCTL_VERIFY_TOKEN",  # the token itself; the setting is a reference
)
_HIDDEN = "****"
_TEST_LITERALS = ("whsec_test", "test_")
_SECRET_HEADER = re.compile(r"auth|cookie|key|token|secret|signature|password", re.IGNORECASE)
_USER_INFO = re.compile(r"//[^/@\s]*@")

_SETTINGS = {known.name: known.metadata for known in fields(Config) if known.metadata}


@dataclass(frozen=True, slots=True)
class _Value:
    """A checked value of a setting (dotted name), how it is shown, and its origin."""

    name: str
    value: Any
    shown: str
    origin: str

    def entry(self) -> Setting:
        meaning = _SETTINGS[self.name]["meaning"] if self.name in _SETTINGS else ""
        return Setting(self.name, self.shown, self.origin, meaning)


def load(
    *,
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    explicit_path: Path | None = None,
    profile: str | None = None,
) -> Config:
    """The configuration as seen from the folder `cwd`.

    Layers, the stronger first: WEBHOOKCTL_* variables, the `profile` tables of the project and the user file,
    the project file, the user file, the defaults. `explicit_path` (else WEBHOOKCTL_CONFIG) stands in for the
    project file, `profile` (else WEBHOOKCTL_PROFILE) names the profile. Options are the caller's layer above.
    Raises UsageError `config-…` or `profile-unknown`, each naming the file and line or the variable.
    """
    environ = os.environ if environ is None else environ
    cwd = cwd.resolve()
    root = find_project_root(cwd)
    if explicit_path is None and environ.get("WEBHOOKCTL_CONFIG"):
        explicit_path = path_from(cwd, environ["WEBHOOKCTL_CONFIG"])
    if explicit_path is not None:
        project: Document | None = read_document(cwd / explicit_path, title=str(explicit_path))
    else:
        project = find_project_document(cwd)
    documents = [document for document in (_user_document(), project) if document]
    profile = profile or environ.get("WEBHOOKCTL_PROFILE") or None
    values = {value.name.lower(): value for value in _layers(documents, profile, environ, root, cwd)}
    return Config(
        **{name: values[name].value for name in _SETTINGS},
        headers=tuple((value.name.partition(".")[2], value.value) for value in _group(values, "headers")),
        secrets=tuple(value.value for value in _group(values, "secrets")),
        root=root,
        profile=profile,
        files=tuple(document.path for document in documents),
        _entries=tuple(value.entry() for value in values.values()),
    )


def _group(values: Mapping[str, _Value], table: str) -> list[_Value]:
    return [value for name, value in values.items() if name.startswith(f"{table}.")]


def _user_document() -> Document | None:
    from platformdirs import user_config_path

    path = user_config_path("webhookctl") / "config.toml"
    return read_document(path, title=str(path), is_private=True) if os.path.lexists(path) else None


def _layers(
    documents: Sequence[Document], profile: str | None, environ: Mapping[str, str], root: Path, cwd: Path
) -> Iterator[_Value]:
    """Every value there is, the weakest first."""
    for name, known in _SETTINGS.items():
        default = known["default"]
        value = None if default is None else known["kind"].check(default, root)
        yield _Value(name, value, _shown(default), "default")
    profiles = [_split_profiles(document) for document in documents]
    for document, (base, _) in zip(documents, profiles, strict=True):
        yield from _document_values(document, base, "")
    names = {name for _, tables in profiles for name in tables}
    if profile is not None and profile not in names:
        raise _unknown_profile(profile, names)
    for document, (_, tables) in zip(documents, profiles, strict=True):
        for name, table in tables.items():
            values = list(_document_values(document, table, f"profile.{name}."))  # all are checked
            yield from values if name == profile else ()
    yield from _environment_values(environ, cwd)


def _split_profiles(document: Document) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document's own settings, and its profiles by name."""
    base = dict(document.table)
    profiles = base.pop("profile", {})
    if not isinstance(profiles, dict) or not all(isinstance(table, dict) for table in profiles.values()):
        raise _wrong(document.place("profile"), "profile", "tables [profile.NAME]", "")
    return base, profiles


def _unknown_profile(profile: str, names: set[str]) -> UsageError:
    error = unknown_name("profile", profile, names)
    return UsageError("profile-unknown", error.message, error.hint if names else "add a table [profile.NAME]")


def _document_values(document: Document, table: Mapping[str, Any], prefix: str) -> Iterator[_Value]:
    base = document.path.absolute().parent
    for name, raw in table.items():
        place = document.place(prefix + name)
        if name in _SETTINGS:
            kind: Kind = _SETTINGS[name]["kind"]
            yield _Value(
                name, _checked(kind, kind.check, raw, base, place, name), _shown_as(kind, raw), place
            )
        elif name in _TABLES:
            if not isinstance(raw, dict):
                raise _wrong(place, name, f"a table [{name}]", "")
            for key, element in raw.items():
                place = document.place(f"{prefix}{name}.{key}")
                yield _TABLES[name](document, key, element, place)
        else:
            raise unknown_name("setting", name, [*_SETTINGS, *_TABLES, "profile"], place=place)


def _header(_: Document, name: str, raw: Any, place: str) -> _Value:
    if not isinstance(raw, str):
        raise _wrong(place, f"headers.{name}", "a text", "")
    return _Value(f"headers.{name}", raw, _HIDDEN if _SECRET_HEADER.search(name) else raw, place)


def _secret(document: Document, provider: str, raw: Any, place: str) -> _Value:
    references = tuple(raw) if isinstance(raw, list) else (raw,)
    if not references or not all(isinstance(reference, str) and reference for reference in references):
        raise _wrong(place, f"secrets.{provider}", "a text or a list of texts", "")
    for reference in references:
        if not (document.is_private or reference.startswith(("env:", "file:", *_TEST_LITERALS))):
            raise UsageError(
                "secret-in-project",
                f"{place}: the secret of {provider} stands in a file that is shared with the project",
                'write "env:NAME" or "file:PATH", or keep it in your user configuration',
            )
    shown = ", ".join(
        f"{_HIDDEN} ({reference})" if reference.startswith(("env:", "file:")) else _HIDDEN
        for reference in references
    )
    source = SecretSource(provider.lower(), references, document.path.absolute().parent, place)
    return _Value(f"secrets.{provider}", source, shown, place)


_TABLES: Mapping[str, Callable[[Document, str, Any, str], _Value]] = {"headers": _header, "secrets": _secret}


def _environment_values(environ: Mapping[str, str], cwd: Path) -> Iterator[_Value]:
    for variable, text in environ.items():
        name = variable.removeprefix(_PREFIX).lower()
        if not variable.startswith(_PREFIX) or variable in _OTHER_VARIABLES or not text:
            continue
        if name in _SETTINGS and name != "route":
            kind: Kind = _SETTINGS[name]["kind"]
            value = _checked(kind, kind.check_text, text, cwd, variable, name)
            yield _Value(name, value, _shown_as(kind, text), f"env {variable}")
        else:
            _refuse_near_miss(variable)


def _refuse_near_miss(variable: str) -> None:
    """A near miss of a variable of ours is a typo; anything else may belong to somebody's own scripts."""
    from difflib import get_close_matches

    known = [*(_PREFIX + name.upper() for name in _SETTINGS if name != "route"), *_OTHER_VARIABLES]
    tails = [name.removeprefix(_PREFIX) for name in known]
    if get_close_matches(variable.removeprefix(_PREFIX), tails, n=1, cutoff=0.75):
        raise unknown_name("variable", variable, known)


def _checked(
    kind: Kind, check: Callable[[Any, Path], Any], raw: object, base: Path, place: str, name: str
) -> Any:
    try:
        return check(raw, base)
    except ValueError:
        raise _wrong(place, name, kind.expected, f", not {_shown_as(kind, raw)!r:.60}") from None


def _shown_as(kind: Kind, raw: Any) -> str:
    """The value as people write it; of a secret its reference alone."""
    if kind.is_secret and not (isinstance(raw, str) and raw.startswith(("env:", "file:"))):
        return _HIDDEN
    return _shown(raw)


def _wrong(place: str, name: str, expected: str, found: str) -> UsageError:
    return UsageError(
        "config-value",
        f"{place}: {name} must be {expected}{found}",
        "webhookctl config show --origin lists every setting",
    )


def _shown(raw: Any) -> str:
    """The value as people write it, without the password of a URL."""
    match raw:
        case None:
            return "none"
        case bool():
            return str(raw).lower()
        case list():
            return ", ".join(_shown(element) for element in raw)
        case {"match": str(match), "to": str(to)}:
            return f"{match} -> {_USER_INFO.sub(f'//{_HIDDEN}@', to)}"
        case _:
            return _USER_INFO.sub(f"//{_HIDDEN}@", str(raw))
