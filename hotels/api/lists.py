"""How every list is paged and filtered: by limit and offset, and by a fixed set of filters; and how small bodies are read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.db.models import QuerySet
from django_filters import rest_framework as filters
from django_filters.fields import IsoDateTimeField
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from pydantic.alias_generators import to_snake
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

MAX_ID = 2**63 - 1


class Pages(BasePagination):
    """`limit` and `offset`, and whether there is more.

    Rows are not counted: on a table of millions a count costs more than the page, and grows with the table. For the same reason
    `offset` ends where a filter is the better way.
    """

    DEFAULT_LIMIT = 50
    MAX_LIMIT = 200
    MAX_OFFSET = 100_000

    def paginate_queryset(self, queryset: QuerySet, request: Request, view: APIView | None = None) -> list[Any]:
        self.request = request
        self.limit = min(_number(request, "limit", 1, self.DEFAULT_LIMIT), self.MAX_LIMIT)
        self.offset = _number(request, "offset", 0, 0)
        if self.offset > self.MAX_OFFSET:
            raise ValidationError({"offset": f"The offset goes up to {self.MAX_OFFSET:,}. Narrow the list with a filter."})
        rows = list(queryset[self.offset : self.offset + self.limit + 1])
        self.has_more = len(rows) > self.limit
        return rows[: self.limit]

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "next": self._link(self.offset + self.limit) if self.has_more else None,
                "previous": self._link(max(0, self.offset - self.limit)) if self.offset else None,
                "results": data,
            }
        )

    def _link(self, offset: int) -> str:
        url = replace_query_param(self.request.build_absolute_uri(), "limit", self.limit)
        return replace_query_param(url, "offset", offset)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        properties = {"next": link | {"description": "Null on the last page."}, "previous": link, "results": schema}
        return {"type": "object", "required": list(properties), "properties": properties}

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        limit = {"type": "integer", "minimum": 1, "default": self.DEFAULT_LIMIT}
        offset = {"type": "integer", "minimum": 0, "maximum": self.MAX_OFFSET, "default": 0}
        return [
            {"name": "limit", "in": "query", "schema": limit, "description": f"Rows in a page; never more than {self.MAX_LIMIT}."},
            {"name": "offset", "in": "query", "schema": offset, "description": "Rows to leave out before the page."},
        ]


def _number(request: Request, name: str, minimum: int, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) >= minimum):
        raise ValidationError({name: f"Give a whole number, {minimum} or more."})
    return int(text)


class FilterBackend(filters.DjangoFilterBackend):
    """Filters by the view's `filterset_class` and nothing else: a filter that is not there is an error, not a longer list."""

    def filter_queryset(self, request: Request, queryset: QuerySet, view: APIView) -> QuerySet:
        filterset_class = self.get_filterset_class(view, queryset)
        known = list(filterset_class.base_filters) if filterset_class else []
        unknown = [name for name in request.query_params if name not in (*known, "limit", "offset")]
        if unknown:
            sentence = f"There is no such filter. There are: {', '.join([*known, 'limit', 'offset'])}."
            raise ValidationError(dict.fromkeys(unknown, sentence))
        return super().filter_queryset(request, queryset, view)


@extend_schema_field({"type": "integer", "format": "int64", "minimum": 1, "maximum": MAX_ID})
class IdFilter(filters.NumberFilter):
    """Equal to an id at Hospient."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, min_value=1, max_value=MAX_ID, **kwargs)


class MomentField(IsoDateTimeField):
    def to_python(self, value: Any) -> datetime | None:
        moment = super().to_python(value)
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError:  # the year 1 in a zone ahead of UTC
            raise forms.ValidationError("Give a time that also exists in UTC.", "invalid") from None


@extend_schema_field(OpenApiTypes.DATETIME)
class MomentFilter(filters.IsoDateTimeFilter):
    """A time in ISO 8601; without a zone it is read as UTC."""

    field_class = MomentField


class ChoiceFilter(filters.ChoiceFilter):
    """One of a fixed set of words; anything else is an error that names them."""

    def __init__(self, *args: Any, choices: Any, **kwargs: Any) -> None:
        words = [str(value) for value, _ in getattr(choices, "choices", choices)]
        super().__init__(*args, choices=choices, error_messages={"invalid_choice": f"Use one of: {', '.join(words)}."}, **kwargs)


class _Truth(forms.NullBooleanField):
    def to_python(self, value: Any) -> bool | None:
        if value in (None, ""):
            return None
        if value not in ("true", "false"):
            raise forms.ValidationError("Use true or false.", "invalid")
        return value == "true"


@extend_schema_field(OpenApiTypes.BOOL)
class BooleanFilter(filters.BooleanFilter):
    """True or false; anything else is an error, not a filter that is left out."""

    field_class = _Truth

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, widget=forms.TextInput, **kwargs)  # its own widget reads what it does not know as nothing


class Body(serializers.Serializer):
    """Base of bodies with a fixed set of fields: names are taken in snake_case and in camelCase, and one that is not there is an error."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            data = {to_snake(name) if name not in self.fields else name: value for name, value in data.items()}
            if unknown := set(data) - set(self.fields):
                raise ValidationError(dict.fromkeys(unknown, "There is no such field. Check its spelling."))
        return super().to_internal_value(data)
