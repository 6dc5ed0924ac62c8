"""How an error looks from outside: one body for all of them, and the one table that turns our errors into statuses.

`{"type", "errors": [{"code", "detail", "attr"}], "hint", "correlation_id"}`. A vendor's refusal of our credentials is 502, never 401:
the caller's own token is fine.
"""

import math
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from drf_standardized_errors import formatter, handler
from drf_standardized_errors.types import ErrorResponse
from rest_framework import serializers
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.response import Response

from integrations import exceptions
from integrations.api.parsers import body_too_large
from integrations.models import Operation
from integrations.services.outlook import of_operation
from integrations.transport import correlation

STATUSES: dict[type[exceptions.HospientError], int] = {
    exceptions.HospientError: 500,
    # The integration is not fit for this; a person can change that.
    exceptions.ConfigurationError: 409,
    exceptions.EgressBlocked: 409,
    exceptions.ConflictDetected: 409,
    exceptions.LikelyRepeated: 409,
    # The vendor.
    exceptions.ProviderError: 502,
    exceptions.RetryableProviderError: 503,
    exceptions.RequestRejected: 422,
    exceptions.VersionConflict: 409,
    exceptions.RecordRejected: 502,
    exceptions.SyncInterrupted: 503,
    # The request.
    exceptions.UnsupportedOperation: 400,
}
"""A class that is not named has the status of its nearest base."""

HINTS = {
    "not_authenticated": "Send Authorization: Bearer <token>. POST /api/auth/token gives you one.",
    "authentication_failed": "The token may have expired or been revoked. POST /api/auth/token gives you a new one.",
    "throttled": "Wait as long as Retry-After says.",
}
"""What to do about the errors of the framework, by code."""


class ErrorDetailSerializer(serializers.Serializer):
    code = serializers.CharField(help_text="Stable; decide by it.")
    detail = serializers.CharField(help_text="A sentence to show.")
    attr = serializers.CharField(allow_null=True, help_text="The field it is about, such as items.0.quantity.")


class ErrorSerializer(serializers.Serializer):
    type = serializers.ChoiceField(choices=["validation_error", "client_error", "server_error"])
    errors = ErrorDetailSerializer(many=True)
    hint = serializers.CharField(allow_blank=True, help_text="What to do about it.")
    correlation_id = serializers.CharField(help_text="Finds everything that happened in the logs.")


def status_of(error: type[exceptions.HospientError]) -> int:
    return next(STATUSES[base] for base in error.__mro__ if base in STATUSES)


class Refusal(APIException):
    """One of our own errors on its way out."""

    def __init__(self, error: exceptions.HospientError) -> None:
        super().__init__(error.message, error.code)
        self.status_code = status_of(type(error))
        if isinstance(error, exceptions.RequestRejected) and error.status == 404:
            self.status_code = 404  # the vendor has no such thing
        self.hint = error.hint or ("Ask again: nothing repeats a request by itself that was refused here." if error.retryable else "")
        if isinstance(error, exceptions.LikelyRepeated):
            self.operation_id = error.operation_id
        if isinstance(error, exceptions.RetryableProviderError) and error.retry_at:
            self.wait = max(1, math.ceil((error.retry_at - timezone.now()).total_seconds()))


class OperationFailed(APIException):
    """The vendor definitely did not do it; the operation stays, to be looked at and retried."""

    def __init__(self, operation: Operation) -> None:
        super().__init__(operation.error_message or "The vendor could not do it.", operation.error_code or "provider_error")
        self.status_code = _STATUS_BY_CODE.get(operation.error_code, 502)
        self.hint = of_operation(operation).todo
        self.operation_id = operation.pk


class DatabaseBusy(APIException):
    status_code = 503
    default_code = "busy"
    default_detail = "The database cannot answer just now; nothing was changed."
    hint = "Try again in a few seconds."
    wait = 5


def _with_subclasses(error: type[exceptions.HospientError]) -> list[type[exceptions.HospientError]]:
    return [error, *(found for sub in error.__subclasses__() for found in _with_subclasses(sub))]


_STATUS_BY_CODE = {error.code: status_of(error) for error in _with_subclasses(exceptions.HospientError)}


class ExceptionHandler(handler.ExceptionHandler):
    def convert_known_exceptions(self, exc: Exception) -> Exception:
        if isinstance(exc, exceptions.InvalidInput):
            invalid = ValidationError({attr: [ErrorDetail(sentence, exc.code)] for attr, sentence in exc.errors.items()})
            invalid.hint = exc.hint
            return invalid
        if isinstance(exc, exceptions.HospientError):
            return Refusal(exc)
        if isinstance(exc, OperationalError | InterfaceError):
            return DatabaseBusy()
        if isinstance(exc, RequestDataTooBig):
            return body_too_large()
        return super().convert_known_exceptions(exc)

    def report_exception(self, exc: APIException, response: Response) -> None:
        """Report what is our fault. A vendor's failure is in the integration's log already, and nobody's bug."""
        if not isinstance(exc, Refusal | OperationFailed):
            super().report_exception(exc, response)


class ExceptionFormatter(formatter.ExceptionFormatter):
    def format_error_response(self, error_response: ErrorResponse) -> dict[str, Any]:
        body = super().format_error_response(error_response)
        body["hint"] = getattr(self.exc, "hint", "") or HINTS.get(error_response.errors[0].code, "")
        body["correlation_id"] = correlation.current()
        if operation_id := getattr(self.exc, "operation_id", None):
            body["operation_id"] = operation_id
        return body
