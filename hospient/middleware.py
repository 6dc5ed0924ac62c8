"""Gives every request a correlation id, which follows it into logs, calls to vendors and background work."""

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from integrations.transport import correlation

_ACCEPTABLE = re.compile(r"^[A-Za-z0-9._-]{8,64}$")


class CorrelationMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        offered = request.headers.get("X-Request-Id", "")
        with correlation.bind(offered if _ACCEPTABLE.match(offered) else "") as correlation_id:
            response = self.get_response(request)
            response["X-Request-Id"] = correlation_id
            return response
