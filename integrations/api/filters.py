"""What the lists of integrations, and of what happens at them, can be filtered by."""

from django_filters import rest_framework as filters

from hotels.api.lists import BooleanFilter, ChoiceFilter, IdFilter, MomentFilter
from integrations.models import (
    ConflictWinner,
    Direction,
    IntegrationStatus,
    IntegrationType,
    LogStatus,
    OperationStatus,
    OperationType,
    RunStatus,
)


class IntegrationFilter(filters.FilterSet):
    hotel_id = IdFilter()
    integration_type = ChoiceFilter(choices=IntegrationType)
    status = ChoiceFilter(choices=IntegrationStatus)
    provider = filters.CharFilter()


class CreatedFilter(filters.FilterSet):
    since = MomentFilter(field_name="created_at", lookup_expr="gte")
    until = MomentFilter(field_name="created_at", lookup_expr="lt")


class SyncRunFilter(CreatedFilter):
    stream = filters.CharFilter()
    status = ChoiceFilter(choices=RunStatus)


class LogFilter(CreatedFilter):
    operation_type = ChoiceFilter(choices=OperationType)
    status = ChoiceFilter(choices=LogStatus)
    direction = ChoiceFilter(choices=Direction)
    correlation_id = filters.CharFilter()


class OperationFilter(CreatedFilter):
    name = filters.CharFilter()
    status = ChoiceFilter(choices=OperationStatus)
    idempotency_key = filters.CharFilter()
    correlation_id = filters.CharFilter()


class RejectedRecordFilter(CreatedFilter):
    run_id = IdFilter()
    stream = filters.CharFilter()
    record_type = filters.CharFilter()
    external_id = filters.CharFilter()
    is_open = BooleanFilter(field_name="resolved_at", lookup_expr="isnull", help_text="No later run has taken it.")


class ConflictFilter(CreatedFilter):
    record_type = filters.CharFilter()
    external_id = filters.CharFilter()
    winner = ChoiceFilter(choices=ConflictWinner)
