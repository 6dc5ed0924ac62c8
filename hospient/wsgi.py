"""The web process: console and API (`granian --interface wsgi hospient.wsgi:application`)."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hospient.settings")
application = get_wsgi_application()
