"""Holds what arrives against Square's own contract, `contract.json`, and refuses with Square's codes.

A key that the contract does not know is passed over, as Square does (forum 1259, 2026-03).
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SCHEMAS: Mapping[str, Any] = json.loads((Path(__file__).parent / "contract.json").read_text())
BODIES = [
    (method, re.compile(pattern), name)
    for method, pattern, name in (
        ("POST", "/v2/orders", "CreateOrderRequest"),
        ("POST", "/v2/orders/calculate", "CalculateOrderRequest"),
        ("POST", "/v2/orders/search", "SearchOrdersRequest"),
        ("POST", "/v2/orders/batch-retrieve", "BatchRetrieveOrdersRequest"),
        ("PUT", "/v2/orders/[^/]+", "UpdateOrderRequest"),
        ("POST", "/v2/orders/[^/]+/pay", "PayOrderRequest"),
        ("POST", "/v2/payments", "CreatePaymentRequest"),
        ("POST", "/v2/catalog/search", "SearchCatalogObjectsRequest"),
        ("POST", "/v2/catalog/batch-retrieve", "BatchRetrieveCatalogObjectsRequest"),
        ("POST", "/oauth2/token", "ObtainTokenRequest"),
        ("POST", "/oauth2/revoke", "RevokeTokenRequest"),
        ("POST", "/v2/webhooks/subscriptions", "CreateWebhookSubscriptionRequest"),
        ("PUT", "/v2/webhooks/subscriptions/[^/]+", "UpdateWebhookSubscriptionRequest"),
    )
]
TYPES = {
    "string": (str, "EXPECTED_STRING"),
    "integer": (int, "EXPECTED_INTEGER"),
    "boolean": (bool, "EXPECTED_BOOLEAN"),
    "array": (list, "EXPECTED_ARRAY"),
    "object": (dict, "EXPECTED_OBJECT"),
}
LIMITS = {
    "minLength": (lambda value, limit: len(value) < limit, "VALUE_TOO_SHORT", "shorter than"),
    "maxLength": (lambda value, limit: len(value) > limit, "VALUE_TOO_LONG", "longer than"),
    "minItems": (lambda value, limit: len(value) < limit, "ARRAY_LENGTH_TOO_SHORT", "shorter than"),
    "maxItems": (lambda value, limit: len(value) > limit, "ARRAY_LENGTH_TOO_LONG", "longer than"),
    "minimum": (lambda value, limit: value < limit, "VALUE_TOO_LOW", "less than"),
    "maximum": (lambda value, limit: value > limit, "VALUE_TOO_HIGH", "more than"),
}

Breach = tuple[str, str, str]
"""(field, code, words)"""


def breaches(method: str, path: str, body: Any) -> Iterator[Breach]:
    """Yield where the body of a request breaks the contract."""
    for its_method, pattern, name in BODIES:
        if its_method == method and pattern.fullmatch(path):
            yield from _breaches({"$ref": name}, body, "")
            return


def _breaches(schema: Mapping[str, Any], value: Any, field: str) -> Iterator[Breach]:
    if value is None and schema.get("nullable"):
        return
    if "$ref" in schema:
        schema = SCHEMAS[schema["$ref"]]
    shown = f"`{field}`" if field else "The body"
    kind, code = TYPES.get(schema.get("type", ""), (object, ""))
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        yield field, code, f"{shown} is not of type {schema['type']}."
        return
    if "enum" in schema and value not in schema["enum"]:
        yield field, "INVALID_ENUM_VALUE", f"{shown} is not a valid enum value: {value!r}."
    for name, (is_beyond, code, words) in LIMITS.items():
        if name in schema and is_beyond(value, schema[name]):
            yield field, code, f"{shown} is {words} {schema[name]}."
    if isinstance(value, list) and "items" in schema:
        for number, one in enumerate(value):
            yield from _breaches(schema["items"], one, f"{field}[{number}]")
    if isinstance(value, dict):
        prefix = f"{field}." if field else ""
        for name in schema.get("required", []):
            if value.get(name) is None:
                yield prefix + name, "MISSING_REQUIRED_PARAMETER", f"`{prefix}{name}` is required."
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, one in value.items():
            its_schema = properties.get(name, others if isinstance(others, dict) else None)
            if its_schema is not None and not (one is None and name in schema.get("required", [])):
                yield from _breaches(its_schema, one, prefix + name)
