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
            request.correlation_id = correlation_id
            response = self.get_response(request)
            response["X-Request-Id"] = correlation_id
            return response


class ApiPathMiddleware:
    """Takes `/api/integrations/` for `/api/integrations`, without a redirect: a redirected POST loses its body."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith("/api/") and request.path_info.endswith("/"):
            request.path_info = request.path_info.rstrip("/")
        return self.get_response(request)


class ContentPolicyMiddleware:
    """Says what a page may load: nothing from anywhere else and no script inside the page; for the API nothing at all.

    The console's Alpine evaluates the expressions in its attributes (`unsafe-eval`), and Swagger UI sets styles on elements.
    """

    PAGES = (
        "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    )
    DATA = "default-src 'none'; frame-ancestors 'none'"

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_page = response.get("Content-Type", "").startswith("text/html")
        response.headers.setdefault("Content-Security-Policy", self.PAGES if is_page else self.DATA)
        if request.path_info.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response
