"""Handshake room: the challenges that providers send, what answers them, and what is wrong with an answer.

Must not know the clock, I/O, or how signatures are made and judged: verdicts and secrets are passed in.
"""

from webhookctl.handshake.answering import Answer, Known, acknowledge, answer
from webhookctl.handshake.challenge import challenge
from webhookctl.handshake.checking import Judgement, check, check_refusal
from webhookctl.handshake.recognition import find
from webhookctl.handshake.sns import is_sns_url
from webhookctl.handshake.table import Handshake, SignaturePolicy, load_all, resolve

__all__ = [
    "Answer",
    "Handshake",
    "Judgement",
    "Known",
    "SignaturePolicy",
    "acknowledge",
    "answer",
    "challenge",
    "check",
    "check_refusal",
    "find",
    "is_sns_url",
    "load_all",
    "resolve",
]
