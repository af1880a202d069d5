"""Contracts of receivers and senders: what a file promises, how a case is played, what came of it.

No sockets, no disk, no processes: those come in through protocols.
"""
