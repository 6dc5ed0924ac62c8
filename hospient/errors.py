"""What is answered where no view is reached: JSON under /api, Django's plain pages elsewhere."""

import sys
from http import HTTPStatus

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import loader
from django.views import defaults

from integrations.transport import correlation

RETRY_SECONDS = 5


def _json(status: HTTPStatus, code: str, detail: str) -> JsonResponse:
    kind = "server_error" if status >= 500 else "client_error"
    errors = [{"code": code, "detail": detail, "attr": None}]
    body = {"type": kind, "errors": errors, "hint": "", "correlation_id": correlation.current()}
    return JsonResponse(body, status=status)


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _json(HTTPStatus.BAD_REQUEST, "bad_request", "The request cannot be understood.")
    return defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _json(HTTPStatus.NOT_FOUND, "not_found", "Not found.")
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        return _busy(request)
    if _is_api(request):
        return _json(HTTPStatus.INTERNAL_SERVER_ERROR, "error", "Server Error (500)")
    return defaults.server_error(request)


def _busy(request: HttpRequest) -> HttpResponse:
    """The database is restarting, or busy beyond its time-out: nobody's fault, and worth another try."""
    status = HTTPStatus.SERVICE_UNAVAILABLE
    if _is_api(request):
        response: HttpResponse = _json(status, "busy", "The database cannot answer just now; nothing was changed.")
    else:
        response = HttpResponse(loader.render_to_string("503.html"), status=status)
    response["Retry-After"] = str(RETRY_SECONDS)
    return response
