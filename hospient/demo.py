"""The environment of the demo: keys and addresses made once and kept in `.env`, so that every later command sees the same.

Used by manage.py before the settings are read; reads none of them.
"""

import os
import secrets
from pathlib import Path

from integrations.security import keyring

MARK = "HOSPIENT_DEMO"


def prepare(folder: Path) -> None:
    """Write `.env` if there is none. Exits with a sentence if there is one that is not the demo's: it would write into your hotels."""
    path = folder / ".env"
    if not path.exists() and "DATABASE_URL" not in os.environ:
        text = (
            "# Written by `manage.py demo`. Delete this file and var/ to start anew.\n"
            f"{MARK}=1\n"
            f"SECRET_KEY={secrets.token_urlsafe(50)}\n"
            f"ENCRYPTION_KEY={keyring.new_entry()}\n"
            f"DEMO_PASSWORD={secrets.token_urlsafe(9)}\n"
            "# The simulated vendors live on this machine; outside of a demo no integration may call it.\n"
            "EGRESS_ALLOW=127.0.0.0/8\n"
        )
        with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(text)
    elif path.exists() and f"{MARK}=1" not in path.read_text() and os.environ.get(MARK) != "1":
        raise SystemExit(
            "This folder is set up for real hotels (.env), and the demo would write into their database. "
            f"Run it in another clone, or set {MARK}=1 if that is what you want."
        )
