"""Secrets from where people keep them: an option, the environment, a file, the configuration.

Must not know the signing schemes: a provider's usual variables are passed in.
"""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from webhookctl.config.settings import Config, SecretSource, path_from
from webhookctl.errors import UsageError
from webhookctl.model import Secret

_MAX_FILE_BYTES = 64 * 1024
_LIKE_SECRET = re.compile(r"(?:WEBHOOK|SIGNING|ENDPOINT)\w*(?:SECRET|KEY|TOKEN)", re.IGNORECASE)
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


def verify_tokens(
    config: Config,
    *,
    flag: Sequence[str],
    usual_variables: Sequence[str],
    environ: Mapping[str, str] | None = None,
) -> tuple[Secret, ...]:
    """The verify tokens that handshakes are checked with; empty when none is known.

    The `flag` values win alone; else the first variable that is set, of `usual_variables` and
    ``WEBHOOKCTL_VERIFY_TOKEN``; else the setting. Raises what `read_secret` raises.
    """
    environ = os.environ if environ is None else environ
    if flag:
        return tuple(read_secret(text, environ=environ, base=Path()) for text in flag)
    for name in (*usual_variables, "WEBHOOKCTL_VERIFY_TOKEN"):
        if value := _clean(environ.get(name, "")):
            return (Secret(value, f"env:{name}"),)
    if config.verify_token is None:
        return ()
    return (read_secret(config.verify_token, environ=environ, base=Path()),)


def every_secret(
    config: Config, usual_variables: Mapping[str, Sequence[str]], *, environ: Mapping[str, str] | None = None
) -> tuple[tuple[str, Secret], ...]:
    """Every secret there is, with its provider ("" where its name tells none), to find the one that fits.

    `usual_variables` are those of each provider; variables of the environment that are called like a signing secret
    count too. References that lead nowhere are left out: nobody asked for these secrets.
    """
    environ = os.environ if environ is None else environ
    owners = {name: provider for provider, names in usual_variables.items() for name in names}
    owners |= {_own_variables(provider)[0]: provider for provider in usual_variables}
    found = [
        (owners.get(name, ""), Secret(_clean(value), f"env:{name}"))
        for name, value in environ.items()
        if _clean(value) and (name in owners or name == "WEBHOOKCTL_SECRET" or _LIKE_SECRET.search(name))
    ]
    for source in config.secrets:
        for reference in source.references:
            with suppress(UsageError):
                found.append((source.provider, _configured(source, reference, environ)))
    return tuple(found)


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
