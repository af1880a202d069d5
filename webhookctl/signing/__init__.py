"""Signing room: schemes as data, the engine that signs and verifies by them, and detection of providers.

Must not know I/O, the clock, or where secrets come from.
"""

from webhookctl.signing.detect import Detector, detect
from webhookctl.signing.engine import sign, verify
from webhookctl.signing.scheme import DeliveryPolicy, DetectionRules, Scheme, TimestampPolicy
from webhookctl.signing.scheme_file import load, parse_scheme, provider_ids

__all__ = [
    "DeliveryPolicy",
    "DetectionRules",
    "Detector",
    "Scheme",
    "TimestampPolicy",
    "detect",
    "load",
    "parse_scheme",
    "provider_ids",
    "sign",
    "verify",
]
