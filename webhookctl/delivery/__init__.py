"""The engine room for what we send: requests prepared (forged, re-signed, exact), then delivered and counted.

No sockets, no disk, no clock of its own; what varies (time, seeds, new ids) is passed in.
"""
