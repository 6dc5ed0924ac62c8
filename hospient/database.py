"""The database's address (DATABASE_URL), read from the environment: an odd one is refused in a sentence that shows nothing of it."""

import re
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

ENGINES = ("django.db.backends.postgresql", "django.db.backends.sqlite3")
FORM = "It looks like postgres://user:password@host:5432/name, or sqlite:////folder/file.sqlite3."
ENCODE = (
    "Characters such as @ : / ? # % [ ] in the user name and the password are written percent-encoded; this prints how: "
    "python -c \"import urllib.parse; print(urllib.parse.quote(input(), safe=''))\""
)


def configuration(url: str) -> dict[str, Any]:
    """Return an address as Django wants it. Raises ImproperlyConfigured, never with a piece of the address in the message."""
    scheme, _, rest = url.strip().partition("://")
    if environ.Env.DB_SCHEMES.get(scheme) not in ENGINES:
        raise ImproperlyConfigured(f"DATABASE_URL is no address of a PostgreSQL or SQLite database. {FORM}")
    try:
        found = environ.Env.db_url_config(url.strip())
    except ValueError:  # its message may hold a piece of the password
        raise ImproperlyConfigured(f"DATABASE_URL cannot be read. {FORM} {ENCODE}") from None
    # A slash or a question mark in the password ends the host, and what follows is taken for the name.
    if found["ENGINE"] == ENGINES[0] and ("@" in "".join(re.split("[/?]", rest)[1:]) or "\0" in f"{found['USER']}{found['PASSWORD']}"):
        raise ImproperlyConfigured(f"DATABASE_URL cannot be read. {FORM} {ENCODE}")
    if not found["NAME"]:
        raise ImproperlyConfigured(f"DATABASE_URL names no database. {FORM}")
    return found
