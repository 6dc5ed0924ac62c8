"""How the API describes itself: every operation also answers with the one body all errors have."""

from typing import Any, ClassVar

from drf_spectacular.contrib.pydantic import PydanticExtension
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator as SpectacularGenerator
from drf_spectacular.openapi import AutoSchema as SpectacularSchema
from drf_spectacular.plumbing import ResolvedComponent, build_bearer_security_scheme_object

from integrations.api.errors import ErrorSerializer

ERRORS = {
    "400": ("Invalid", "Something in the request is wrong: `attr` names it, `detail` says how to cure it."),
    "401": ("Unauthenticated", "No valid token came with the request."),
    "403": ("Forbidden", "Your role in this hotel does not allow it."),
    "404": ("NotFound", "There is no such thing among your hotels."),
    "default": (
        "Failed",
        "409: the integration is not ready for this. 415: the body is not JSON. 422: the vendor refused the request. 429: too many requests. "
        "502: the vendor failed or refused the credentials. 503: the vendor or the database is busy. `Retry-After` says when to come back.",
    ),
}
"""Status -> name of the component, and what it means."""


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = "hotels.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: SpectacularSchema) -> dict[str, Any]:
        return build_bearer_security_scheme_object(header_name="Authorization", token_prefix="Bearer")  # noqa: S106


class InputExtension(PydanticExtension):
    """Describes a request body by what it accepts (money as number or text), not by what a model would write."""

    target_class = "integrations.services.inputs.Input"
    priority = 1

    def map_serializer(self, auto_schema: SpectacularSchema, direction: str) -> dict[str, Any]:
        schema = self.target.model_json_schema(ref_template="#/components/schemas/{model}", mode="validation")
        for name, part in schema.pop("$defs", {}).items():
            auto_schema.registry.register_on_missing(ResolvedComponent(name, ResolvedComponent.SCHEMA, part, name))
        return schema


class AutoSchema(SpectacularSchema):
    """Takes the summary from the docstring's first line, and adds the errors to what the view declares."""

    def get_summary(self) -> str:
        return super().get_description().partition("\n")[0].rstrip(".")

    def get_description(self) -> str:
        first, _, more = super().get_description().partition("\n")
        return more.strip() if first.rstrip(".") == self.get_summary() else f"{first}\n{more}".strip()

    def _get_response_bodies(self, direction: str = "response") -> dict[str, Any]:
        responses = super()._get_response_bodies(direction)
        return responses if direction != "response" else responses | {s: self._error(s) for s in self._errors() if s not in responses}

    def _errors(self) -> list[str]:
        unlikely = set() if self.view.get_authenticators() else {"403"}
        return [status for status in ERRORS if status not in unlikely and (status != "404" or "{" in self.path)]

    def _error(self, status: str) -> dict[str, Any]:
        name, description = ERRORS[status]
        body = {"schema": self.resolve_serializer(ErrorSerializer, "response").ref}
        response = {"description": description, "content": {"application/json": body}}
        component = ResolvedComponent(name, ResolvedComponent.RESPONSE, response, name)
        self.registry.register_on_missing(component)
        return component.ref


class SchemaGenerator(SpectacularGenerator):
    """Generates once: the schema follows from the code alone, and anybody may ask for it."""

    _schema: ClassVar[dict[str, Any]] = {}

    def get_schema(self, request: Any = None, public: bool = False) -> dict[str, Any]:
        if not self._schema:
            self._schema.update(super().get_schema(request, public))
        return self._schema
