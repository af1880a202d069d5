"""`make fuzz`: bytes that atheris makes up, guided by coverage, against the codec and an open tunnel's two ends.

Whatever is not a frame has to be a ProtocolError; what is one has to be the same after encoding.
"""

import sys

import atheris

with atheris.instrument_imports(include=["webhookctl.tunnel_protocol"]):
    from tests.tunnel_protocol.drawing import EACH, HELLO, WELCOME
    from webhookctl.tunnel_protocol import ClientSide, Frame, ProtocolError, RelaySide, decode, encode


def try_bytes(data: bytes) -> None:
    """One run: `data` as one frame, and cut into pieces as what an open tunnel hears on either end."""
    frame = decoded(data)
    if frame is not None:
        assert decode(encode(frame)) == frame, frame
    relay, client = RelaySide(0.0), ClientSide(0.0)
    relay.receive(client.send(HELLO, 0.0), 0.0)
    client.receive(relay.send(WELCOME, 0.0), 0.0)
    for piece in data.split(b"\xfe\xfe"):
        for side in (relay, client):
            hear(side, piece)


def decoded(data: bytes) -> Frame | None:
    try:
        return decode(data)
    except ProtocolError:
        return None


def hear(side: RelaySide | ClientSide, data: bytes) -> None:
    try:
        side.receive(data, 0.0)
    except ProtocolError:
        assert side.credit_deliveries >= 0
        assert side.credit_bytes >= 0


def main() -> None:
    """Run until atheris's `-atheris_runs` or `-max_total_time` is reached."""
    for frame in EACH:
        try_bytes(encode(frame))
    atheris.Setup(sys.argv, try_bytes)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
