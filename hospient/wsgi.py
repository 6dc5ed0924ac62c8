"""Console and API for other servers than ours, which have to bring their own limits; `manage.py serve` does not need it."""

import os
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hospient.settings")


class Request(WSGIRequest):
    """Reads everything in UTF-8. Django would read the address in the charset a body declares, and falls over one that is no text."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


class Handler(WSGIHandler):
    request_class = Request


django.setup(set_prefix=False)
application = Handler()
