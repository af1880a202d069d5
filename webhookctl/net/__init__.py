"""The network shell: the listener (over llhttp) and the forwarder (exact HTTP/1.1 over asyncio)."""
