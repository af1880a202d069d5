"""The project a command runs in: its configuration, state, schemes, secrets, fixtures and default endpoint.

Opened once per command. Imports neither asyncio nor the network, so that `sign` and `verify` stay quick.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from hashlib import shake_256
from pathlib import Path
from time import time  # noqa: TID251  (the one clock)

from webhookctl import config as configuration
from webhookctl import signing
from webhookctl.address import parse_endpoint, public_url
from webhookctl.config import Config
from webhookctl.delivery.prepare import keep
from webhookctl.errors import SignatureError, UsageError
from webhookctl.fixture import Fixture
from webhookctl.model import Capture, Detection, Endpoint, Exchange, Secret, Verdict, VerdictKind
from webhookctl.signing import Scheme
from webhookctl.store.fixtures import FixtureFolder
from webhookctl.store.project import LEARNT, ProjectState
from webhookctl.store.relay_state import RelayState
from webhookctl.wiring.allowance import Allowance

DEVELOPMENT = "development"


def now_s() -> float:
    """Unix time: the one clock of webhookctl."""
    return time()


def open_project(cwd: Path | None = None, *, config_file: Path | None = None) -> "Project":
    """The project around `cwd` (the working folder by default). Raises UsageError for a bad configuration."""
    settings = configuration.load(cwd=cwd or Path.cwd(), explicit_path=config_file)
    return Project(settings, ProjectState(settings.root))


class Project:
    """Configuration and state of one project, and what follows from them."""

    def __init__(self, config: Config, state: ProjectState) -> None:
        self.config = config
        self.state = state
        self._secrets: dict[str | None, tuple[Secret, ...]] = {}
        self._development: dict[str, Secret] = {}

    @cached_property
    def own_schemes(self) -> dict[str, Scheme]:
        """The user's own signing schemes, by id. Raises UsageError for a file that cannot be used."""
        schemes = {}
        for path in self.config.providers:
            try:
                text = path.read_text("utf-8")
            except (OSError, ValueError) as error:
                raise UsageError(
                    "provider-unreadable",
                    f"the provider file {path} cannot be read: {error}",
                    "see `config show`",
                ) from error
            scheme = signing.parse_scheme(text, str(path))
            schemes[scheme.id] = scheme
        return schemes

    def scheme(self, provider: str) -> Scheme:
        """The signing scheme of `provider`. Raises UsageError `provider-unknown` with a suggestion."""
        return self.own_schemes.get(provider) or signing.load(provider)

    def provider_ids(self) -> tuple[str, ...]:
        """All providers known here, sorted."""
        return self._provider_ids

    @cached_property
    def _provider_ids(self) -> tuple[str, ...]:
        return tuple(sorted({*signing.provider_ids(), *self.own_schemes}))

    def provider_entries(self) -> tuple[Scheme | signing.Entry, ...]:
        """Id, name and evidence of every provider, sorted by id; the files of packaged ones are not read."""
        known: dict[str, Scheme | signing.Entry] = {**signing.entries(), **self.own_schemes}
        return tuple(known[provider] for provider in self.provider_ids())

    @cached_property
    def detector(self) -> signing.Detector:
        """Recognises providers, the user's own first."""
        return signing.Detector(self.own_schemes.values(), is_packaged=True)

    def secrets(self, provider: str, *, flag: Sequence[str] = ()) -> tuple[Secret, ...]:
        """The secrets of `provider`: from the flag, its usual variable or the configuration; else the development one.

        Raises UsageError `secret-missing` when a reference leads nowhere.
        """
        known = self._with_own_half(provider, self.known_secrets(provider, flag=flag))
        return known or (self._development_secret(provider),)

    def _with_own_half(self, provider: str, known: tuple[Secret, ...]) -> tuple[Secret, ...]:
        """`known`, where it is the public half of a key made here, with the private half, which can sign too."""
        if len(known) != 1 or (stored := self.state.keys.find(provider)) is None or not stored.public:
            return known
        is_half = known[0].reveal().replace("\\n", "\n").strip() == stored.public.strip()
        return (stored.secret,) if is_half else known

    def _development_secret(self, provider: str) -> Secret:
        """The development secret in the form that `provider` takes: the same text where a text will do."""
        if provider not in self._development:
            made = self.own_key(provider)
            if made is None:
                made = _in_form_of(self.scheme(provider), self.state.development_secret())
            self._development[provider] = made
        return self._development[provider]

    def own_key(self, provider: str) -> Secret | None:
        """The key that `keys new` made for `provider` in this project, or None. Raises UsageError `key-damaged`."""
        stored = self.state.keys.find(provider)
        return stored.secret if stored is not None else None

    def has_new_key(self, provider: str) -> bool:
        """True when `keys new` made another key for `provider` since; from then on that one counts."""
        made = self.own_key(provider)
        if made is None or made == self._development.get(provider):
            return False
        self._development.pop(provider, None)
        self._secrets.pop(provider, None)
        return True

    def existing_secrets(self, provider: str, *, flag: Sequence[str] = ()) -> tuple[Secret, ...]:
        """As `secrets`, but makes none: for commands that leave nothing behind. Raises UsageError `secret-missing`."""
        known = self._with_own_half(provider, self.known_secrets(provider, flag=flag))
        if known:
            return known
        scheme = self.scheme(provider)
        made = self.own_key(provider)
        if made is not None:
            return (made,)
        development = self.state.peek_development_secret()
        if development is None:
            variable = scheme.secret_variables[0] if scheme.secret_variables else "NAME"
            raise UsageError(
                "secret-missing",
                f"no secret of {scheme.name} is known here",
                f"--secret env:{variable}, or export {variable}=…, or make a test key: webhookctl keys new {scheme.id}",
            )
        return (_in_form_of(scheme, development),)

    def known_secrets(self, provider: str, *, flag: Sequence[str] = ()) -> tuple[Secret, ...]:
        """The secrets that somebody configured for `provider`, else those learnt from handshakes; empty for none."""
        if flag:
            return configuration.secrets_for(self.config, provider, flag=flag, usual_variables=())
        if provider not in self._secrets:
            configured = configuration.secrets_for(
                self.config, provider, flag=(), usual_variables=self._variables(provider)
            )
            self._secrets[provider] = configured or self.state.learnt_secrets(provider)
        return self._secrets[provider]

    def _variables(self, provider: str) -> tuple[str, ...]:
        """The usual variables of `provider`, from the index where that knows them: no file is read for it."""
        entry = None if provider in self.own_schemes else signing.entries().get(provider)
        return (entry or self.scheme(provider)).secret_variables

    def learn(self, provider: str, secret: Secret) -> bool:
        """Keep what a handshake brought as a secret of `provider`; False when one is configured, or it is known.

        Raises UsageError `state-unwritable` or `state-unsafe`.
        """
        if any(known.origin != LEARNT for known in self.known_secrets(provider)):
            return False
        is_new = self.state.learn_secret(provider, secret)
        self._secrets.pop(provider, None)
        return is_new

    def verify_tokens(
        self, usual_variables: Sequence[str], *, flag: Sequence[str] = ()
    ) -> tuple[Secret, ...]:
        """The verify tokens of a handshake: from the flag, one of `usual_variables`, or the setting; () for none.

        Raises UsageError `secret-missing` when a reference leads nowhere.
        """
        return configuration.verify_tokens(self.config, flag=flag, usual_variables=usual_variables)

    def search(self, max_signatures: int = signing.MAX_SIGNATURES) -> signing.Search:
        """What else is known here, to find the cause of a bad signature."""
        return signing.Search(self._every_secret, tuple(self.own_schemes.values()), max_signatures)

    @cached_property
    def _every_secret(self) -> tuple[tuple[str, Secret], ...]:
        variables = {provider: entry.secret_variables for provider, entry in signing.entries().items()}
        variables |= {provider: scheme.secret_variables for provider, scheme in self.own_schemes.items()}
        development = self.state.peek_development_secret()
        own = (("", development),) if development is not None else ()
        return (*configuration.every_secret(self.config, variables), *own)

    @cached_property
    def allowance(self) -> Allowance:
        """What may be tried while this project listens."""
        return Allowance()

    def judge(self, *, provider: str | None, flag: Sequence[str]) -> "Judge":
        """The judge of captured deliveries. Raises UsageError when the provider or a secret is unknown."""
        if provider is not None:
            self.scheme(provider)
        return Judge(self, provider, tuple(flag))

    def fixture_folder(self, folder: Path | None = None) -> FixtureFolder:
        """The project's fixtures, or those in `folder`."""
        return FixtureFolder(folder or self.config.fixtures)

    def fixture_of(
        self, exchange: Exchange, *, name: str | None = None, keep_secrets: bool = False
    ) -> Fixture:
        """An exchange made into a fixture, redacted by the known rules and the user's own."""
        provider = exchange.detection.provider
        return keep(
            exchange,
            scheme=self.scheme(provider) if provider in self.provider_ids() else None,
            name=name,
            headers=self.config.redact_headers,
            fields=self.config.redact_fields,
            is_keeping_secrets=keep_secrets,
        )

    def _channel_url(self, name: str) -> str:
        channels = RelayState(self.state).channels()
        for channel in channels:
            if channel.name == name:
                return channel.url
        names = sorted({channel.name for channel in channels})
        close = get_close_matches(name, names, n=1)
        known = (
            f"known here: {', '.join(names)}" if names else "listen on it once: webhookctl listen --relay URL"
        )
        raise UsageError(
            "channel-not-known-here",
            f"this project knows no channel {name or '(no name)'}",
            f"did you mean channel:{close[0]}?" if close else known,
        )

    def target(self, to: str | None) -> Endpoint:
        """Where `replay` and `trigger` send: `to`, else this project's running listener, else the `endpoint` setting.

        `channel:NAME` is the public URL of a relay's channel that this project has listened on. Raises UsageError
        `endpoint-missing` that shows each way to say it, `channel-not-known-here` with a suggestion.
        """
        if to is not None:
            kind, _, name = to.partition(":")
            return parse_endpoint(self._channel_url(name) if kind == "channel" else to)
        for listener in self.state.running_listeners():
            return parse_endpoint(listener.url)
        if self.config.endpoint:
            return parse_endpoint(self.config.endpoint)
        raise UsageError(
            "endpoint-missing",
            "no listener runs in this project and no endpoint is set",
            "start one with `webhookctl listen`, name the endpoint with --to http://localhost:3000/webhooks, "
            'or put endpoint = "http://localhost:3000/webhooks" into webhookctl.toml',
        )


def _in_form_of(scheme: Scheme, development: Secret) -> Secret:
    """`development` as it is where `scheme` can use it, else a key that is derived from it, always the same."""
    try:
        signing.sign_request(
            scheme, development, body=b"{}", timestamp_s=0.0, message_id="msg_0", url="http://localhost/"
        )
    except SignatureError as error:
        if error.code == "secret-malformed":
            made = signing.make_key(scheme, _stream(f"{scheme.id} {development.reveal()}".encode()))
            return Secret(made.secret, DEVELOPMENT)
    return development


def _stream(seed: bytes) -> Callable[[int], bytes]:
    """Bytes that look random and follow from `seed`."""
    position = 0

    def draw(count: int) -> bytes:
        nonlocal position
        position += 1
        return shake_256(position.to_bytes(8, "big") + seed).digest(count)

    return draw


@dataclass(frozen=True, slots=True)
class Judge:
    """Says of a captured delivery what it is and whether its signature is right, by the secrets of the project."""

    project: Project
    provider: str | None
    flag: tuple[str, ...]

    def __call__(self, capture: Capture) -> tuple[Detection, Verdict]:
        project = self.project
        detection = project.detector.detect(capture.request, provider=self.provider)
        if capture.large_body is not None:
            reason = f"the body ({capture.body_bytes:,} bytes) is too large to be held, so its signature was not judged"
            return detection, Verdict(VerdictKind.UNKNOWN_SCHEME, None, reason)
        if detection.provider is None:
            reason = (
                "no provider recognised: name it with --provider" if self.flag else "no provider recognised"
            )
            return detection, Verdict(VerdictKind.UNKNOWN_SCHEME, None, reason)
        scheme = project.scheme(detection.provider)
        secrets = self.secrets(detection.provider)
        verdict = signing.verify(
            scheme,
            secrets,
            capture.request,
            now_s=capture.received_at_s,
            url=public_url(capture) if scheme.needs_line else "",
            tolerance_s=project.config.tolerance_s,
            search=lambda: self._search(capture),
        )
        if verdict.kind is VerdictKind.WRONG_SECRET and secrets[0].origin == DEVELOPMENT:
            if project.has_new_key(detection.provider):  # made while we listen
                return self(capture)
            if verdict.is_explained:
                return detection, verdict
            # Real deliveries are signed with a secret nobody told us: that is no finding about the sender.
            variable = scheme.secret_variables[0] if scheme.secret_variables else "--secret"
            verdict = Verdict(
                VerdictKind.NO_SECRET,
                scheme.id,
                f"signed with a secret that is not known here: set {variable}",
            )
        return detection, verdict

    def _search(self, capture: Capture) -> signing.Search:
        """Where the cause of a bad signature is looked for, within what is allowed."""
        size = len(capture.request.body)
        allowed = self.project.allowance.signatures(at_s=capture.received_at_s, body_bytes=size)
        return self.project.search(allowed)

    def secrets(self, provider: str) -> tuple[Secret, ...]:
        """What deliveries of `provider` are judged with."""
        if self.flag:
            return self._flag_secrets(provider)
        return self.project.secrets(provider)

    def _flag_secrets(self, provider: str) -> tuple[Secret, ...]:
        cache = self.project._secrets  # noqa: SLF001  (one cache for the project and its judge)
        key = f"flag {provider}"
        if key not in cache:
            cache[key] = self.project.secrets(provider, flag=self.flag)
        return cache[key]
