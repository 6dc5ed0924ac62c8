"""What the lists of integrations, and of what happens at them, can be filtered by."""

from django_filters import rest_framework as filters

from hotels.api.lists import IdFilter, MomentFilter
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
    integration_type = filters.ChoiceFilter(choices=IntegrationType)
    status = filters.ChoiceFilter(choices=IntegrationStatus)
    provider = filters.CharFilter()


class CreatedFilter(filters.FilterSet):
    since = MomentFilter(field_name="created_at", lookup_expr="gte")
    until = MomentFilter(field_name="created_at", lookup_expr="lt")


class SyncRunFilter(CreatedFilter):
    stream = filters.CharFilter()
    status = filters.ChoiceFilter(choices=RunStatus)


class LogFilter(CreatedFilter):
    operation_type = filters.ChoiceFilter(choices=OperationType)
    status = filters.ChoiceFilter(choices=LogStatus)
    direction = filters.ChoiceFilter(choices=Direction)
    correlation_id = filters.CharFilter()


class OperationFilter(CreatedFilter):
    name = filters.CharFilter()
    status = filters.ChoiceFilter(choices=OperationStatus)
    correlation_id = filters.CharFilter()


class RejectedRecordFilter(CreatedFilter):
    run_id = IdFilter()
    stream = filters.CharFilter()
    record_type = filters.CharFilter()
    external_id = filters.CharFilter()
    is_open = filters.BooleanFilter(field_name="resolved_at", lookup_expr="isnull", help_text="No later run has taken it.")


class ConflictFilter(CreatedFilter):
    record_type = filters.CharFilter()
    external_id = filters.CharFilter()
    winner = filters.ChoiceFilter(choices=ConflictWinner)
