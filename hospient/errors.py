"""What is answered where no view is reached: JSON under /api, Django's plain pages elsewhere."""

import sys
from http import HTTPStatus

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import loader
from django.views import csrf, defaults

from integrations.transport import correlation

RETRY_SECONDS = 5


def json_error(status: HTTPStatus, code: str, detail: str, attr: str | None = None, hint: str = "") -> JsonResponse:
    kind = "server_error" if status >= 500 else "client_error"
    errors = [{"code": code, "detail": detail, "attr": attr}]
    body = {"type": kind, "errors": errors, "hint": hint, "correlation_id": correlation.current()}
    return JsonResponse(body, status=status)


def refused(request: HttpRequest, status: HTTPStatus, code: str, detail: str, attr: str | None = None, hint: str = "") -> HttpResponse:
    """Answer what cannot be taken, in words: JSON under /api, a page elsewhere."""
    if _is_api(request):
        return json_error(status, code, detail, attr, hint)
    return HttpResponse(loader.render_to_string("refused.html", {"detail": detail, "hint": hint}), status=status)


def body_too_large(request: HttpRequest) -> HttpResponse:
    sentence = f"The body is larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE / 2**20:g} MiB."
    return refused(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", sentence, hint="Send it in parts.")


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, RequestDataTooBig):
        return body_too_large(request)
    if isinstance(exception, TooManyFieldsSent):
        sentence = f"There are more than {settings.DATA_UPLOAD_MAX_NUMBER_FIELDS:,} fields in the form."
        return refused(request, HTTPStatus.BAD_REQUEST, "too_large", sentence, hint="Send it in parts.")
    return refused(request, HTTPStatus.BAD_REQUEST, "bad_request", "The request cannot be understood.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return json_error(HTTPStatus.NOT_FOUND, "not_found", "Not found.")
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        return _busy(request)
    if _is_api(request):
        return json_error(HTTPStatus.INTERNAL_SERVER_ERROR, "error", "Server Error (500)")
    return defaults.server_error(request)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    if _is_api(request):
        return json_error(HTTPStatus.FORBIDDEN, "permission_denied", "The request is refused: it carries no valid CSRF token.")
    return csrf.csrf_failure(request, reason)


def _busy(request: HttpRequest) -> HttpResponse:
    """The database is restarting, or busy beyond its time-out: nobody's fault, and worth another try."""
    status = HTTPStatus.SERVICE_UNAVAILABLE
    if _is_api(request):
        response: HttpResponse = json_error(status, "busy", "The database cannot answer just now; nothing was changed.")
    else:
        response = HttpResponse(loader.render_to_string("503.html"), status=status)
    response["Retry-After"] = str(RETRY_SECONDS)
    return response
