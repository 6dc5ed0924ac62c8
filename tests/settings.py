"""The project's settings as the tests want them; `pytest --pg` puts a real PostgreSQL under them."""

import atexit
import os
import shutil
import sys
import tempfile

from hospient.settings import *  # noqa: F403
from tests import postgres

if "--pg" in sys.argv or os.environ.get("TEST_PG_HOST"):
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": "postgres",
            "HOST": postgres.host(),
        }
    }
else:
    # A file, not memory: threads and other processes see the same database, as they do outside of tests. One folder for each process.
    folder = tempfile.mkdtemp(prefix="hospient-tests-")
    atexit.register(shutil.rmtree, folder, True)
    DATABASES["default"]["NAME"] = f"{folder}/tests.sqlite3"
    DATABASES["default"]["TEST"] = {"NAME": f"{folder}/tests.sqlite3"}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
TASKS = {"default": {"BACKEND": "django_tasks.backends.dummy.DummyBackend"}}
EGRESS_ALLOW = ["127.0.0.0/8"]
WHITENOISE_AUTOREFRESH = True  # else every test client walks through all static files
