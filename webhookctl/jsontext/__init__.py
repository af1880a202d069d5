"""JSON as bytes: checked, laid out anew, looked into and edited at the level of tokens, nothing re-serialised.

Numbers, escapes, names given twice and their order survive. Must not know providers, fixtures or requests.
"""

from webhookctl.jsontext.editing import edit, parse_value
from webhookctl.jsontext.layout import compact, indented, lines, spaced
from webhookctl.jsontext.path import paths, value_at
from webhookctl.jsontext.scanner import JsonTextError, Token, is_json, iter_tokens, tokens

__all__ = [
    "JsonTextError",
    "Token",
    "compact",
    "edit",
    "indented",
    "is_json",
    "iter_tokens",
    "lines",
    "parse_value",
    "paths",
    "spaced",
    "tokens",
    "value_at",
]
