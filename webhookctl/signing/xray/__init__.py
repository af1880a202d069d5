"""The X-ray of a signature that fits nothing: its cause named by trying it, so that a signature comes out right.

Runs after a failure only. Must not know the clock, nor where secrets come from.
"""
