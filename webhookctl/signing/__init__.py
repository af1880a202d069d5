"""Signing room: schemes as data, the engine that signs and verifies by them, and detection of providers.

Must not know I/O, the clock, or where secrets come from.
"""

from webhookctl.signing.detect import Detector, detect
from webhookctl.signing.engine import Signed, sign, sign_request, verify
from webhookctl.signing.new_key import NewKey, make_key
from webhookctl.signing.scheme import Coverage, DeliveryPolicy, DetectionRules, Scheme, TimestampPolicy
from webhookctl.signing.scheme_file import load, parse_scheme, provider_ids

__all__ = [
    "Coverage",
    "DeliveryPolicy",
    "DetectionRules",
    "Detector",
    "NewKey",
    "Scheme",
    "Signed",
    "TimestampPolicy",
    "detect",
    "load",
    "make_key",
    "parse_scheme",
    "provider_ids",
    "sign",
    "sign_request",
    "verify",
]
