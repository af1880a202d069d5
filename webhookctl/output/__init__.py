"""The only room that prints: lines for people, NDJSON and envelopes for programs, both escaped.

stdout is data, stderr is everything else. Must not know the network, the disk or what any event leads to.
"""
