"""`webhookctl keys`: test keys of a provider's own form, made here, kept in the project, used by every command."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from webhookctl.cli import options
from webhookctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from webhookctl.signing import Scheme
    from webhookctl.store.keys import StoredKey
    from webhookctl.wiring.project import Project

app = typer.Typer(no_args_is_help=True)

_FILE_NAMES: Mapping[str, str] = {
    "pem": "public.pem",
    "spki": "public.spki",
    "hex": "public.hex",
    "base64": "public.base64",
    "jwks": "jwks.json",
    "certificate": "cert.pem",
}

Provider: TypeAlias = Annotated[
    str, typer.Argument(metavar="PROVIDER", autocompletion=options.complete_provider)
]
Out: TypeAlias = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Write what the app needs to files in DIR.")
]
PrintSecret: TypeAlias = Annotated[
    bool, typer.Option("--print-secret", help="Print the secret or private key too.")
]
Force: TypeAlias = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


@app.callback()
def keys() -> None:
    """Make and look at test keys, in the form in which the provider shows its own."""


@app.command("new")
def new(
    provider: Provider,
    algorithm: Annotated[
        str | None,
        typer.Option("--algorithm", metavar="NAME", help="For schemes with a choice. [default: the usual]"),
    ] = None,
    out: Out = None,
    print_secret: PrintSecret = False,
    force: Force = False,
    json: options.Json = False,
) -> int:
    """Make a test key: `sign`, `trigger` and `replay` sign with it, `listen` and `verify` accept it.

    \b
    Examples:
      webhookctl keys new discord | tee -a .env
      webhookctl keys new stripe --print-secret

    What the app needs to verify is printed as NAME=value. A secret that both sides share is printed with
    --print-secret only, or written to a file that its owner alone can read: --out DIR.
    """
    import secrets

    from webhookctl import signing
    from webhookctl.model import Secret
    from webhookctl.store.keys import StoredKey
    from webhookctl.wiring.project import DEVELOPMENT, now_s, open_project

    project = open_project()
    scheme = project.scheme(provider)
    if not force and project.state.keys.find(scheme.id) is not None:
        raise project.state.keys.refusal(scheme.id)
    made = signing.make_key(scheme, secrets.token_bytes, algorithm=algorithm)
    key = StoredKey(
        provider=scheme.id,
        algorithm=algorithm or scheme.algorithm,
        secret=Secret(made.secret, DEVELOPMENT),
        public=made.public if made.is_pair else "",
        made_at_s=now_s(),
    )
    shown = _Shown(scheme, key, scheme.public_key, is_private=print_secret)
    files = shown.write(out, is_replacing=force) if out else []
    project.state.keys.keep(key, is_replacing=force)
    return _tell("keys new", project, shown, files, is_json=json)


@app.command("show")
def show(
    provider: Provider,
    form: Annotated[
        str | None,
        typer.Option(
            "--form",
            metavar="NAME",
            help="pem, spki, hex, base64, jwks or certificate. [default: the provider's own]",
        ),
    ] = None,
    out: Out = None,
    print_secret: PrintSecret = False,
    force: Force = False,
    json: options.Json = False,
) -> int:
    """Show what the app needs to verify with this project's test key.

    \b
    Examples:
      webhookctl keys show stripe --print-secret
      webhookctl keys show plaid --form jwks --out keys
    """
    from webhookctl.wiring.project import open_project

    project = open_project()
    scheme = project.scheme(provider)
    key = project.state.keys.find(scheme.id)
    if key is None:
        raise _no_key(scheme.id)
    shown = _Shown(scheme, key, form or scheme.public_key, is_private=print_secret)
    files = shown.write(out, is_replacing=force) if out else []
    return _tell("keys show", project, shown, files, is_json=json)


@app.command("list")
def list_keys(json: options.Json = False) -> int:
    """List the providers that this project has a test key for.

    \b
    Examples:
      webhookctl keys list
      webhookctl keys list --json | jq -r '.data.keys[].provider'
    """
    from webhookctl.output import envelope, record
    from webhookctl.wiring.project import open_project

    folder = open_project().state.keys
    found = [key for provider in folder.providers() if (key := folder.find(provider)) is not None]
    if json:
        records: list[dict[str, object]] = [
            {
                "provider": key.provider,
                "algorithm": key.algorithm,
                "is_pair": bool(key.public),
                "made_at": record.timestamp(key.made_at_s),
            }
            for key in found
        ]
        envelope.write_envelope("keys list", {"keys": records}, exit_code=ExitCode.OK)
        return ExitCode.OK
    from webhookctl.formats import safe_line

    width = max((len(key.provider) for key in found), default=0)
    for key in found:
        kind = "key pair" if key.public else "shared secret"
        line = f"{key.provider.ljust(width)}  {kind.ljust(13)}  {key.algorithm.ljust(17)}"
        envelope.write(f"{safe_line(line)}  made {record.timestamp(key.made_at_s)[:10]}\n")
    if not found:
        envelope.write_note("no keys here; make one: webhookctl keys new stripe")
    return ExitCode.OK


@app.command("remove")
def remove(provider: Provider, json: options.Json = False) -> int:
    """Delete this project's test key of a provider; the project's development secret serves again.

    \b
    Examples:
      webhookctl keys remove stripe
      webhookctl keys remove discord --json
    """
    from webhookctl.output import envelope
    from webhookctl.wiring.project import open_project

    project = open_project()
    scheme = project.scheme(provider)
    if not project.state.keys.remove(scheme.id):
        raise _no_key(scheme.id)
    if json:
        envelope.write_envelope("keys remove", {"provider": scheme.id}, exit_code=ExitCode.OK)
    else:
        envelope.write_note(f"removed the key of {scheme.id}")
    return ExitCode.OK


def _no_key(provider: str) -> UsageError:
    return UsageError(
        "key-missing",
        f"this project has no key for {provider}",
        f"make one: webhookctl keys new {provider}",
    )


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is shown of a key: its public half in `form`, and the secret when `is_private`."""

    scheme: "Scheme"
    key: "StoredKey"
    form: str
    is_private: bool

    @property
    def variable(self) -> str:
        """The name of the variable in which the app, and webhookctl itself, look for it."""
        usual = re.sub(r"[^A-Z0-9]", "_", self.scheme.id.upper()) + "_WEBHOOK_SECRET"
        return next(iter(self.scheme.secret_variables), usual)

    def public(self) -> str:
        """The public half in `form`, "" for a shared secret. Raises UsageError `form-unknown`."""
        if self.form == self.scheme.public_key or not self.key.public:
            return self.key.public
        from webhookctl import signing

        forms = signing.public_forms(self.scheme, self.key.secret)
        if self.form not in forms:
            raise UsageError(
                "form-unknown", f"this key is not shown as {self.form!r}", f"known: {', '.join(forms)}"
            )
        return forms[self.form]

    def lines(self) -> list[str]:
        """`NAME=value` lines, as a shell and most .env readers take them."""
        public = self.public()
        found = [_assignment(self.variable, public)] if public else []
        if self.is_private:
            name = f"{self.variable}_PRIVATE" if public else self.variable
            found.append(_assignment(name, self.key.secret.reveal()))
        return found

    def write(self, folder: Path, *, is_replacing: bool) -> list[str]:
        """Write the public half to a file of `folder`, or a shared secret to one that its owner alone can read."""
        public = self.public()
        texts: dict[str, str] = {}
        if public:
            texts[f"{self.scheme.id}.{_FILE_NAMES[self.form]}"] = public
        if self.is_private and public:
            texts[f"{self.scheme.id}.private.pem"] = self.key.secret.reveal()
        if not public:
            texts[f"{self.scheme.id}.env"] = _assignment(self.variable, self.key.secret.reveal())
        from webhookctl.store.private_file import write_texts

        return write_texts(folder, texts, is_replacing=is_replacing)


def _assignment(name: str, value: str) -> str:
    value = value.rstrip("\n")
    if "\n" in value:
        return f'{name}="{value}"'
    return f"{name}='{value}'" if re.search(r"[^\w+/=:.,-]", value) else f"{name}={value}"


def _tell(command: str, project: "Project", shown: _Shown, files: list[str], *, is_json: bool) -> int:
    from webhookctl.output import envelope, record

    key = shown.key
    public = shown.public()
    if is_json:
        data: dict[str, object] = {
            "provider": key.provider,
            "algorithm": key.algorithm,
            "variable": shown.variable,
            "form": shown.form if public else None,
            "public": public or None,
            "secret": key.secret.reveal() if shown.is_private else None,
            "made_at": record.timestamp(key.made_at_s),
            "files": files,
        }
        envelope.write_envelope(command, data, exit_code=ExitCode.OK)
        return ExitCode.OK
    if not files:
        envelope.write("".join(f"{line}\n" for line in shown.lines()))
    for file in files:
        envelope.write_note(f"written: {file}")
    if not (public or shown.is_private or files):
        envelope.write_note(
            f"{shown.scheme.name} and your app share one secret: add --print-secret to see it, or --out DIR"
        )
    configured = project.known_secrets(key.provider)
    if configured and configured[0].reveal() not in (key.secret.reveal(), key.public):
        envelope.write_note(f"note: {configured[0].origin} is set too, and is used before this key")
    return ExitCode.OK
