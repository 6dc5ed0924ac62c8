"""How the API describes itself: every operation also answers with the one body all errors have."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema as SpectacularSchema
from drf_spectacular.plumbing import build_bearer_security_scheme_object

from integrations.api.errors import ErrorSerializer

ERRORS = {
    "400": "Something in the request is wrong: `attr` names it, `detail` says how to cure it.",
    "401": "No valid token came with the request.",
    "403": "Your role in this hotel does not allow it.",
    "404": "There is no such thing among your hotels.",
    "default": (
        "409: the integration is not ready for this. 415: the body is not JSON. 422: the vendor refused the request. 429: too many requests. "
        "502: the vendor failed or refused the credentials. 503: the vendor or the database is busy; see `Retry-After`."
    ),
}


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = "hotels.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: SpectacularSchema) -> dict[str, Any]:
        return build_bearer_security_scheme_object(header_name="Authorization", token_prefix="Bearer")  # noqa: S106


class AutoSchema(SpectacularSchema):
    """Adds the errors to what the view declares."""

    def _get_response_bodies(self, direction: str = "response") -> dict[str, Any]:
        responses = super()._get_response_bodies(direction)
        if direction != "response":
            return responses
        errors = {status: self._get_response_for_code(ErrorSerializer, status) for status in ERRORS if status not in responses}
        for status, error in errors.items():
            error["description"] = ERRORS[status]
        if not self.view.get_authenticators():
            errors.pop("403", None)
        if "{" not in self.path:
            errors.pop("404", None)
        return responses | errors
