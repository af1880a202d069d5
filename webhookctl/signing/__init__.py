"""Signing room: schemes as data, the engine that signs and verifies by them, and detection of providers.

Must not know I/O, the clock, or where secrets come from.
"""

from webhookctl.signing.detect import Detector, detect
from webhookctl.signing.engine import Signed, sign, sign_request, verify
from webhookctl.signing.index import Entry, entries
from webhookctl.signing.new_key import NewKey, make_key, public_forms, with_key_url
from webhookctl.signing.recipe import Recipe, recipe
from webhookctl.signing.rotation import max_signatures, sign_with_each
from webhookctl.signing.scheme import Coverage, DeliveryPolicy, DetectionRules, Scheme, TimestampPolicy
from webhookctl.signing.scheme_file import load, parse_scheme, provider_ids
from webhookctl.signing.xray.search import CHEAP_SIGNATURES, MAX_SIGNATURES, Search

__all__ = [
    "CHEAP_SIGNATURES",
    "MAX_SIGNATURES",
    "Coverage",
    "DeliveryPolicy",
    "DetectionRules",
    "Detector",
    "Entry",
    "NewKey",
    "Recipe",
    "Scheme",
    "Search",
    "Signed",
    "TimestampPolicy",
    "detect",
    "entries",
    "load",
    "make_key",
    "max_signatures",
    "parse_scheme",
    "provider_ids",
    "public_forms",
    "recipe",
    "sign",
    "sign_request",
    "sign_with_each",
    "verify",
    "with_key_url",
]
