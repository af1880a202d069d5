"""Which channel of which relay a project listens on: given by its key, remembered, or made at first use.

Knows the relay's address and this project's memory; neither frames nor deliveries.
"""

import re
import secrets as randomness
import ssl
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from webhookctl import config as configuration
from webhookctl.address import parse_endpoint
from webhookctl.errors import RelayError, UsageError
from webhookctl.model import Secret
from webhookctl.net.dialling import LostError, dial, is_loopback
from webhookctl.net.relay_api import create_channel
from webhookctl.net.tunnel import unreachable
from webhookctl.store.relay_state import RelayState, RememberedChannel
from webhookctl.wiring.listening import client_tls
from webhookctl.wiring.source import RelayPlan, is_foreign

if TYPE_CHECKING:
    from webhookctl.wiring.project import Project

_KEY = re.compile(r"[\x21-\x7e]{8,512}\Z")
_NAME_BYTES = 63
_TRIES = 3  # names of one's own are tried with a random end this often


def relay_url(text: str) -> str:
    """The relay's URL in its usual form, without a slash at the end. Raises UsageError `relay-invalid`."""
    given = text.strip()
    given_url = given if "://" in given else f"https://{given}"
    try:
        parts = urlsplit(given_url)
        parse_endpoint(given_url)
    except (ValueError, UsageError):
        parts = SplitResult("", "", "", "", "")
    if (
        not parts.netloc
        or parts.query
        or parts.fragment
        or parts.username
        or re.search(r"[^\x21-\x7e]", given)
    ):
        raise UsageError(
            "relay-invalid",
            f"{text!r} is not the URL of a relay",
            "write --relay https://relay.example.com (a channel's own key goes into --key)",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def warning(relay: str) -> str:
    """What is wrong with speaking to `relay` in words, "" when nothing is."""
    parts = urlsplit(relay)
    if parts.scheme == "https" or is_loopback(parts.hostname or ""):
        return ""
    return (
        "the channel key and all deliveries go there unencrypted (http://): anybody on the way can read them"
    )


def tunnel_tls(plan: RelayPlan, relay: str) -> ssl.SSLContext | None:
    """The TLS settings for the relay. Raises UsageError `ca-file-unusable`."""
    if not relay.startswith("https:"):
        return None
    return client_tls(is_insecure=plan.is_insecure, ca_file=plan.ca_file)


async def find_or_make(
    plan: RelayPlan, relay: str, project: "Project", state: RelayState, tls: ssl.SSLContext | None
) -> tuple[RememberedChannel, Secret, bool]:
    """The channel to listen on (as far as it is known before the first connection), its key, is it one that worked.

    Raises RelayError when the relay makes no channel, UsageError for a key that is none.
    """
    known = state.find(relay, plan.channel)
    if plan.key:
        key = _given_key(plan, project)
        found = known or RememberedChannel(relay, plan.channel, "")
        return RememberedChannel(relay, found.name, found.url if plan.channel else ""), key, False
    if known is not None and known.key:
        return known, Secret(known.key, "remembered"), True
    made = await _make(plan, relay, project, tls)
    state.remember(made)
    return made, Secret(made.key, "made"), False


async def look_at(project: "Project", url: str) -> str:
    """What the relay of the configuration says to this project, in words. Raises RelayError and UsageError."""
    config = project.config
    plan = RelayPlan(
        url,
        channel=config.channel or "",
        key=config.relay_key or "",
        is_insecure=config.insecure,
        ca_file=config.ca_file,
    )
    if is_foreign(url):
        return f"{url}: a relay of others, not looked at"
    relay = relay_url(url)
    known = RelayState(project.state).find(relay, plan.channel)
    if not plan.key and not (known and known.key):
        return f"{relay}: a channel is made at first use (webhookctl listen)"
    key = _given_key(plan, project) if plan.key or known is None else Secret(known.key, "remembered")
    try:
        connection = await dial(relay, key, tls=tunnel_tls(plan, relay))
    except LostError as lost:
        raise unreachable(relay, lost.reason) from lost
    await connection.close()
    return f"{relay}: reachable, it accepts the channel key" + (f" of {known.name}" if known else "")


def _given_key(plan: RelayPlan, project: "Project") -> Secret:
    (key,) = configuration.secrets_for(project.config, None, flag=(plan.key,), usual_variables=())
    if not _KEY.match(key.reveal()):
        raise UsageError(
            "relay-key-invalid",
            f"what {plan.key if plan.key.startswith(('env:', 'file:')) else '--key'} holds is no channel key",
            "it is the line that `webhookctl relay channel new` printed: wck_…",
        )
    return key


async def _make(
    plan: RelayPlan, relay: str, project: "Project", tls: ssl.SSLContext | None
) -> RememberedChannel:
    name = plan.channel or _project_name(project.config.root.name)
    for _ in range(_TRIES):
        try:
            made = await create_channel(relay, name, tls=tls)
        except RelayError as error:
            if error.code != "relay-channel-exists" or plan.channel:
                raise
            name = f"{_project_name(project.config.root.name)[: _NAME_BYTES - 5]}-{randomness.token_hex(2)}"
        else:
            return RememberedChannel(relay, made.name, made.url, made.key)
    made = await create_channel(relay, name, tls=tls)
    return RememberedChannel(relay, made.name, made.url, made.key)


def _project_name(folder: str) -> str:
    """A channel name from the name of the project's folder."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")[:_NAME_BYTES].rstrip("-")
    return name or "webhooks"
