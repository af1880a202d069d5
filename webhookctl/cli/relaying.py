"""The options of `listen` that are about a relay, made into a plan.

Knows options and configuration; nothing of tunnels.
"""

import sys
from typing import TYPE_CHECKING, NamedTuple

from webhookctl.errors import UsageError

if TYPE_CHECKING:
    from webhookctl.wiring.listening import ListenPlan
    from webhookctl.wiring.project import Project
    from webhookctl.wiring.source import RelayPlan
    from webhookctl.wiring.watching import Renderer


class RelayOptions(NamedTuple):
    """The options of `listen` that are about the relay, as given."""

    url: str | None
    channel: str | None
    key: str | None
    takeover: bool
    observe: bool
    backlog: str | None
    concurrency: int | None


def relay_plan(
    project: "Project", plan: "ListenPlan", given: RelayOptions, *, is_timed: bool, is_forwarding: bool
) -> "RelayPlan | None":
    """Flags over configuration; None without a relay. Raises UsageError `relay-missing`, `mode-ambiguous`."""
    from webhookctl.wiring.source import Attach, RelayPlan

    config = project.config
    url = given.url or config.relay
    if given.takeover and given.observe:
        raise UsageError("mode-ambiguous", "--takeover and --observe contradict each other", "choose one")
    if url is None:
        if given.takeover or given.observe or any(part is not None for part in given[1:3] + given[5:]):
            raise UsageError(
                "relay-missing",
                "which relay? --channel, --key, --takeover, --observe, --backlog and --concurrency are about one",
                'name it with --relay https://relay.example.com, or put relay = "…" into webhookctl.toml',
            )
        return None
    attach = Attach.TAKEOVER if given.takeover else Attach.OBSERVE if given.observe else Attach.CONSUME
    return RelayPlan(
        url,
        channel=given.channel or config.channel or "",
        key=given.key or config.relay_key or "",
        attach=attach,
        backlog=_backlog(given.backlog or ("none" if given.observe else "all")),
        concurrency=given.concurrency or config.relay_concurrency,
        is_insecure=plan.is_insecure,
        ca_file=plan.ca_file,
        max_body_bytes=plan.max_body_bytes,
        timeout_s=plan.timeout_s if is_timed else None,
        is_forwarding=is_forwarding or not given.observe,
    )


def _backlog(text: str) -> int:
    if text == "all":
        return -1
    if text == "none":
        return 0
    if not text.isdecimal() or len(text) > 15:
        raise UsageError(
            "backlog-invalid",
            f"--backlog {text}: give all, none or a number",
            "--backlog 10 takes the newest ten",
        )
    return int(text)


def backlog_renderer() -> "Renderer":
    """What shows on stderr how far the missed deliveries are through."""
    from webhookctl.output.relaying import BacklogRenderer
    from webhookctl.wiring.project import now_s

    return BacklogRenderer(sys.stderr, now_s=now_s)
