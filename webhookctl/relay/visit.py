"""One request while the relay deals with it: who asks, over which connection, and how its answer is to be written.

Knows aiohttp's request and connection. Nothing of channels.
"""

from dataclasses import dataclass

from aiohttp import web

from webhookctl.model import Headers
from webhookctl.relay.answering import Asked
from webhookctl.relay.connection import Connection


@dataclass(slots=True)
class Visit:
    """A request, with what is worked out of it once. `channel` is its name as soon as it is known."""

    request: web.BaseRequest
    connection: Connection
    headers: Headers
    asked: Asked
    began_s: float
    peer: str
    channel: str = ""

    def write(self, data: bytes) -> None:
        """Send bytes to the sender, if it is still there."""
        transport = self.request.transport
        if transport is not None and not transport.is_closing():
            transport.write(data)

    def offers(self, name: str, values: tuple[str, ...] = ()) -> bool:
        """Whether a field of that name has one of `values` (lower case); without `values`, any."""
        headers = self.request.headers
        if name not in headers:  # the usual case
            return False
        return not values or any(value.strip().lower() in values for value in headers.getall(name))
