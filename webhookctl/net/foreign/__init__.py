"""Clients of other people's relays (smee, gosmee, Svix Play): their wires into requests, answers back where one can.

Must not know sessions, signatures or rendering.
"""
