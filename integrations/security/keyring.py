"""Encryption of stored secrets: AES-256-CBC with HMAC-SHA-512, as the standard JWE `A256CBC-HS512` (RFC 7518, 5.2.5).

Keys come from the environment (`ENCRYPTION_KEY`) as a ring: the first encrypts, all decrypt. A token names its key in its protected
header, and is bound to its row by additional authenticated data that is never stored: moved elsewhere, it does not open.
"""

import base64
import hashlib
import re
import secrets
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from integrations.exceptions import DecryptionFailed

KEY_BYTES = 64
"""A256CBC-HS512 takes 256 bits for AES and 256 for the MAC (RFC 7518, 5.2.5)."""
RANDOM_BYTES = 24
"""So many different ones has every random key of that length; zeros, words and patterns have fewer."""
MAKE_ONE = "Make one with: python manage.py rotate_keys --new-key"

_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,40}")


def new_entry() -> str:
    """Return a new key as it stands in the ring. Its id has the day, and something of the key: two of one day differ."""
    key = secrets.token_bytes(KEY_BYTES)
    key_id = f"{datetime.now(UTC):%Y-%m-%d}-{hashlib.sha256(key).hexdigest()[:8]}"
    return f"{key_id}:{base64.urlsafe_b64encode(key).decode()}"


def parse_ring(text: str, *, other_key: str = "") -> list[tuple[str, bytes]]:
    """Read `id:base64,id:base64`, newest first. Raises ImproperlyConfigured, never with a key in the message.

    `other_key` is one that serves something else (SECRET_KEY): it must not encrypt too.
    """
    if other_key and other_key in text:
        raise ImproperlyConfigured(f"ENCRYPTION_KEY holds the SECRET_KEY: whoever learns one would have both. {MAKE_ONE}")
    if not text.strip():
        raise ImproperlyConfigured(f"ENCRYPTION_KEY is empty: secrets cannot be stored without it. {MAKE_ONE}")
    ring: list[tuple[str, bytes]] = []
    for number, entry in enumerate(text.split(","), 1):
        key_id, _, encoded = entry.strip().partition(":")
        try:
            key = base64.b64decode(encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4), b"-_", validate=True)
        except ValueError:
            key = b""
        place = f"ENCRYPTION_KEY, entry {number}"
        if not _KEY_ID.fullmatch(key_id) or len(key) != KEY_BYTES:
            raise ImproperlyConfigured(f"{place}: expected id:base64 of {KEY_BYTES} random bytes. {MAKE_ONE}")
        if len(set(key)) < RANDOM_BYTES:
            raise ImproperlyConfigured(f"{place}: the key is not random, so it can be guessed. {MAKE_ONE}")
        if key_id in dict(ring):
            raise ImproperlyConfigured(f"{place}: the id “{key_id}” is used twice. Give each key an id of its own.")
        if key in dict(ring).values():
            raise ImproperlyConfigured(f"{place}: it is the key of another entry again. {MAKE_ONE}")
        ring.append((key_id, key))
    return ring


# joserfc costs some 190 ms to import: only what touches a secret pays for it.
@lru_cache(maxsize=4)
def _load(text: str) -> tuple[Any, Any, Any]:
    from joserfc.jwe import JWERegistry
    from joserfc.jwk import KeySet, OctKey

    keys = [OctKey.import_key(key, {"kid": key_id}) for key_id, key in parse_ring(text)]
    return keys[0], KeySet(keys), JWERegistry(algorithms=["dir", "A256CBC-HS512"])


def newest_key_id() -> str:
    """Return the id of the key that encrypts."""
    return parse_ring(settings.ENCRYPTION_KEY)[0][0]


def key_id_of(token: str) -> str:
    """Return the id of the key `token` is encrypted with, unverified: for reports and rotation. Empty if it names none."""
    from joserfc.util import json_b64decode

    try:
        return str(json_b64decode(token.split(".", 1)[0].encode())["kid"])
    except (ValueError, KeyError, TypeError):
        return ""


def seal(plain: bytes, aad: str) -> str:
    """Encrypt `plain`, bound to `aad` (`hospient:v1:<table>:<field>:<hotel>:<row>`), with the newest key."""
    from joserfc import jwe

    key, _, registry = _load(settings.ENCRYPTION_KEY)
    sealed = jwe.FlattenedJSONEncryption({"alg": "dir", "enc": "A256CBC-HS512", "kid": key.kid}, plain, aad=aad.encode())
    sealed.add_recipient(None, key)
    parts = jwe.encrypt_json(sealed, key, registry=registry)
    return ".".join((parts["protected"], "", parts["iv"], parts["ciphertext"], parts["tag"]))


def unseal(token: str, aad: str) -> bytes:
    """Decrypt `token`. Raises DecryptionFailed for another row, a changed bit, an unknown key or another algorithm."""
    from joserfc import jwe
    from joserfc.errors import JoseError
    from joserfc.util import urlsafe_b64encode

    _, ring, registry = _load(settings.ENCRYPTION_KEY)
    try:
        protected, recipient, iv, ciphertext, tag = token.split(".")
        if recipient:
            raise ValueError("a direct key has no encrypted key")
        sealed = {
            "protected": protected,
            "iv": iv,
            "ciphertext": ciphertext,
            "tag": tag,
            "aad": urlsafe_b64encode(aad.encode()).decode(),
        }
        return jwe.decrypt_json(sealed, ring, registry=registry).plaintext
    except (JoseError, ValueError, KeyError, TypeError, UnicodeError) as error:
        raise DecryptionFailed() from error
