"""Secrets from where people keep them: an option, the environment, a file, the configuration.

Must not know the signing schemes: a provider's usual variables are passed in.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from webhookctl.config.settings import Config, SecretSource, path_from
from webhookctl.errors import UsageError
from webhookctl.model import Secret

_MAX_FILE_BYTES = 64 * 1024
_PEM_START = "-----BEGIN "


def read_secret(text: str, *, environ: Mapping[str, str] | None = None, base: Path) -> Secret:
    """The secret that ``env:NAME`` or ``file:PATH`` (relative to `base`) refers to, else `text` itself.

    Of a file its first line counts, or the whole of it when it is a PEM key. The origin is the reference,
    ``flag`` for a literal. Raises UsageError `secret-missing` or `secret-unreadable`; never shows a literal.
    """
    kind, _, name = text.partition(":")
    if kind == "env":
        value = _clean((os.environ if environ is None else environ).get(name, ""))
        if not value:
            message = f"the environment variable {name or '(no name)'} is not set or empty"
            raise UsageError("secret-missing", message, f"export {name or 'NAME'}=…")
        return Secret(value, text)
    if kind == "file":
        return Secret(_read_file(path_from(base, name)), text)
    if not text:
        raise UsageError("secret-missing", "the secret is empty", "give env:NAME or file:PATH")
    return Secret(text, "flag")


def secrets_for(
    config: Config,
    provider: str | None,
    *,
    flag: Sequence[str],
    usual_variables: Sequence[str],
    environ: Mapping[str, str] | None = None,
) -> tuple[Secret, ...]:
    """The secrets of `provider`, the first to sign with; empty when none is known.

    The `flag` values win alone (relative to the working folder); else the first variable that is set, of
    `usual_variables`, ``<PROVIDER>_WEBHOOK_SECRET`` and ``WEBHOOKCTL_SECRET``; else the configuration.
    Raises what `read_secret` raises.
    """
    environ = os.environ if environ is None else environ
    if flag:
        return tuple(read_secret(text, environ=environ, base=Path()) for text in flag)
    for name in (*usual_variables, *_own_variables(provider)):
        if value := _clean(environ.get(name, "")):
            return (Secret(value, f"env:{name}"),)
    return tuple(
        _configured(source, reference, environ)
        for source in config.secrets
        if source.provider == provider
        for reference in source.references
    )


def _own_variables(provider: str | None) -> tuple[str, ...]:
    if provider is None:
        return ("WEBHOOKCTL_SECRET",)
    return (re.sub(r"[^A-Z0-9]", "_", provider.upper()) + "_WEBHOOK_SECRET", "WEBHOOKCTL_SECRET")


def _configured(source: SecretSource, reference: str, environ: Mapping[str, str]) -> Secret:
    secret = read_secret(reference, environ=environ, base=source.base)
    return secret if secret.origin != "flag" else Secret(secret.reveal(), f"config {source.origin}")


def _clean(text: str) -> str:
    return text.rstrip("\r\n")  # a file's line end often comes along with its content


def _read_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES).decode()
    except OSError as error:
        code = "secret-missing" if isinstance(error, FileNotFoundError) else "secret-unreadable"
        message = f"cannot read the secret file {path}: {error.strerror}"
        raise UsageError(code, message, "check the path of file:PATH") from error
    except ValueError as error:
        message = f"the secret file {path} is not text"
        raise UsageError("secret-unreadable", message, "put the secret on its first line") from error
    if text.startswith(_PEM_START):
        return text
    first = _clean(text.partition("\n")[0])
    if not first:
        message = f"the secret file {path} is empty, or its first line is"
        raise UsageError("secret-missing", message, "put the secret on its first line")
    return first
