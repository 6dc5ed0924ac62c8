"""Console and API for other servers than ours, which have to bring their own limits; `manage.py serve` does not need it."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hospient.settings")
application = get_wsgi_application()
