"""The network shell: the listener (aiohttp's low-level server) and the forwarder (exact HTTP/1.1 over asyncio)."""
