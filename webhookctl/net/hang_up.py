"""Sends a request and closes the connection without waiting for the answer, as a sender does whose time is up.

Knows sockets and wire bytes only.
"""

import asyncio
import ssl
from collections.abc import Callable
from time import perf_counter

from webhookctl.model import Attempt, Endpoint, Failure, FailureKind, Request
from webhookctl.net.wire import request_bytes


async def send_and_hang_up(
    endpoint: Endpoint,
    request: Request,
    *,
    is_body_sent: bool,
    tls: ssl.SSLContext | None,
    timeout_s: float,
    now_s: Callable[[], float],
) -> Attempt:
    """Send head and body (or the head alone) and hang up. The attempt always holds a failure: CLOSED when all was sent.

    Raises UsageError for a request that cannot be written.
    """
    data = request_bytes(request, host=endpoint.authority.encode("latin-1"))
    if not is_body_sent:
        data = data[: len(data) - len(request.body)]
    started_at_s, start = now_s(), perf_counter()
    try:
        async with asyncio.timeout(timeout_s):
            await _send(endpoint, data, tls)
        failure = Failure(FailureKind.CLOSED, "hung up without waiting for the answer, as asked")
    except TimeoutError:
        failure = Failure(FailureKind.TIMEOUT, f"{endpoint.origin} took nothing for {timeout_s:g} s")
    except ConnectionRefusedError:
        failure = Failure(FailureKind.REFUSED, "it refuses connections")
    except OSError as error:
        failure = Failure(FailureKind.NETWORK, f"{endpoint.origin}: {error.strerror or error}")
    return Attempt(
        endpoint.origin + request.target, started_at_s, (perf_counter() - start) * 1000, failure=failure
    )


async def _send(endpoint: Endpoint, data: bytes, tls: ssl.SSLContext | None) -> None:
    _, writer = await asyncio.open_connection(
        endpoint.host, endpoint.port, ssl=(tls or True) if endpoint.is_tls else None
    )
    try:
        writer.write(data)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    finally:
        writer.transport.abort()
