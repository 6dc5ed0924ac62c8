"""Keeps card data out of the bodies we store: numbers are cut to first six and last four, codes and tracks are dropped.

Works on the text of the JSON, so that everything else stays byte for byte what the vendor sent. Called by ingest.
"""

import re

from integrations.security.redaction import REDACTED, mask_cards

_CODE = re.compile(r"cvv|cvc|card_?code|security_?code|track_?(?:data|[12])|magstripe", re.I)
_CODE_WORDS = ("cvv", "cvc", "code", "track", "magstripe")
_LONG_NUMBER = re.compile(r"[0-9](?:[0-9 .\u00a0]|\\u00a0){12}")
_STRING = r'"(?:[^"\\]|\\.)*"'
_NUMBER = r"-?[0-9][0-9.eE+-]*"
_TOKEN = re.compile(rf"({_STRING})(\s*:\s*)({_STRING}|{_NUMBER})?|{_STRING}|{_NUMBER}")


def without_card_data(text: str) -> str:
    """Return the text of a JSON document without card data."""
    lower = text.lower()
    if not _LONG_NUMBER.search(text) and not any(word in lower for word in _CODE_WORDS):
        return text  # as nearly all
    return _TOKEN.sub(_masked, text)


def _masked(token: re.Match[str]) -> str:
    name, colon, value = token.groups()
    if name is None:
        return _masked_value(token[0])
    if value and _CODE.search(name):
        return f'{name}{colon}"{REDACTED}"'
    return mask_cards(name) + colon + (_masked_value(value) if value else "")


def _masked_value(value: str) -> str:
    shown = mask_cards(value)
    return shown if shown == value or value.startswith('"') else f'"{shown}"'
