"""Gives every request a correlation id, which follows it into logs, calls to vendors and background work; and its answer what is left of its
rate."""

import re
from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from hospient.errors import body_too_large, refused
from integrations.security.kept import keepable, mask_shapes
from integrations.transport import correlation

_ACCEPTABLE = re.compile(r"^[A-Za-z0-9._-]{8,64}$")


class CorrelationMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        offered = request.headers.get("X-Request-Id", "")
        is_fit = _ACCEPTABLE.match(offered) and mask_shapes(offered) == offered
        with correlation.bind(offered if is_fit else "") as correlation_id:
            request.correlation_id = correlation_id
            response = self.get_response(request)
            response["X-Request-Id"] = correlation_id
            for name, value in getattr(request, "rate", {}).items():  # hotels.api.rates
                response[name] = str(value)
            return response


class ApiPathMiddleware:
    """Takes `/api/integrations/` for `/api/integrations`, without a redirect: a redirected POST loses its body."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith("/api/") and request.path_info.endswith("/"):
            request.path_info = request.path_info.rstrip("/")
        return self.get_response(request)


class SizeMiddleware:
    """Refuses what no request to API or console needs, before anything reads it. The webhook door has limits of its own."""

    MAX_PARAMETERS = 100
    MAX_PARAMETER = 2_000
    CHARSETS = ("utf-8", "utf8", "us-ascii")
    """Python knows more, and some of those unpack or compute."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        is_webhook = request.path_info.startswith("/api/webhooks/")
        return (None if is_webhook else self._refusal(request)) or self.get_response(request)

    def _refusal(self, request: HttpRequest) -> HttpResponse | None:
        charset = request.content_params.get("charset", "utf-8").lower()
        if charset not in self.CHARSETS:
            sentence = f"The body is declared as {charset[:40]}."
            return refused(request, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", sentence, hint="Send it in UTF-8.")
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isascii() and length.isdigit() and (len(length) > 15 or int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE):
            return body_too_large(request)
        query = request.META.get("QUERY_STRING", "")
        if query.count("&") + query.count(";") >= self.MAX_PARAMETERS:
            sentence = f"There are more than {self.MAX_PARAMETERS} parameters in the address."
            return refused(request, HTTPStatus.BAD_REQUEST, "too_large", sentence, "query", "Leave out what is no filter of this list.")
        for part in query.split("&"):
            if len(part) > self.MAX_PARAMETER:
                sentence = f"The parameter is longer than {self.MAX_PARAMETER:,} characters."
                name = keepable(part.partition("=")[0][:100])
                return refused(request, HTTPStatus.BAD_REQUEST, "too_large", sentence, name, "Shorten it.")
        return None


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
