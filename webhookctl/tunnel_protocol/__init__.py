"""The tunnel's protocol, sans I/O: frames, their bytes, and which side may say what when.

Must not know sockets, clocks or queues.
"""

from webhookctl.tunnel_protocol.codec import (
    MAX_COUNT,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    MAX_TEXT_BYTES,
    ProtocolError,
    decode,
    encode,
)
from webhookctl.tunnel_protocol.frames import (
    CHUNK_BYTES,
    MAX_FRAME_BYTES,
    SUBPROTOCOL,
    VERSION,
    Acknowledge,
    Answer,
    AnswerBody,
    Close,
    CloseCode,
    Credit,
    Delivery,
    DeliveryBody,
    Frame,
    Hello,
    Mode,
    Ping,
    Pong,
    Skipped,
    Welcome,
)
from webhookctl.tunnel_protocol.sides import ClientSide, RelaySide, State, common_version

__all__ = [
    "CHUNK_BYTES",
    "MAX_COUNT",
    "MAX_FIELDS",
    "MAX_FRAME_BYTES",
    "MAX_HEAD_BYTES",
    "MAX_TEXT_BYTES",
    "SUBPROTOCOL",
    "VERSION",
    "Acknowledge",
    "Answer",
    "AnswerBody",
    "ClientSide",
    "Close",
    "CloseCode",
    "Credit",
    "Delivery",
    "DeliveryBody",
    "Frame",
    "Hello",
    "Mode",
    "Ping",
    "Pong",
    "ProtocolError",
    "RelaySide",
    "Skipped",
    "State",
    "Welcome",
    "common_version",
    "decode",
    "encode",
]
