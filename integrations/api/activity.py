"""What happened at an integration, and what is still under way: runs, logs, rejected records, conflicts, operations."""

from django.db.models import Exists, OuterRef, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from hotels.api.base import find
from integrations.api import filters, serializers
from integrations.api.base import OUTCOMES, IntegrationView, answer
from integrations.models import Conflict, IntegrationLog, Operation, RejectedRecord, SyncRun
from integrations.services import service_for
from integrations.services.outlook import still_rejected


class OfIntegration(IntegrationView):
    """Base of the lists: the rows of the integration in the address."""

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        return super().filter_queryset(queryset.filter(integration=self.integration))


@extend_schema(tags=["activity"])
class SyncRunsView(OfIntegration, ListAPIView):
    """The runs of the integration's streams, newest first."""

    queryset = SyncRun.objects.select_related("integration__hotel").annotate(
        still_rejected=Exists(still_rejected().filter(run=OuterRef("pk")))
    )
    serializer_class = serializers.SyncRunSerializer
    filterset_class = filters.SyncRunFilter


@extend_schema(tags=["activity"])
class SyncRunView(OfIntegration, RetrieveAPIView):
    """How far a run is, and what it did."""

    queryset = SyncRun.objects.select_related("integration__hotel").annotate(
        still_rejected=Exists(still_rejected().filter(run=OuterRef("pk")))
    )
    serializer_class = serializers.SyncRunSerializer
    lookup_url_kwarg = "run_id"


@extend_schema(tags=["activity"])
class LogsView(OfIntegration, ListAPIView):
    """Everything that happened at the integration, newest first. Rows with one correlation id have one cause."""

    queryset = IntegrationLog.objects.all()
    serializer_class = serializers.LogSerializer
    filterset_class = filters.LogFilter


@extend_schema(tags=["activity"])
class RejectedRecordsView(OfIntegration, ListAPIView):
    """Records of the vendor that could not be stored, with the reason."""

    queryset = RejectedRecord.objects.all()
    serializer_class = serializers.RejectedRecordSerializer
    filterset_class = filters.RejectedRecordFilter


@extend_schema(tags=["activity"])
class ConflictsView(OfIntegration, ListAPIView):
    """Fields that both the hotel and the vendor changed: who won, and the value that lost."""

    queryset = Conflict.objects.all()
    serializer_class = serializers.ConflictSerializer
    filterset_class = filters.ConflictFilter


@extend_schema(tags=["activity"])
class OperationsView(OfIntegration, ListAPIView):
    """What was posted to the vendor, newest first."""

    queryset = Operation.objects.select_related("integration__hotel")
    serializer_class = serializers.OperationSerializer
    filterset_class = filters.OperationFilter


@extend_schema(tags=["activity"])
class OperationView(OfIntegration, RetrieveAPIView):
    """How an operation stands."""

    queryset = Operation.objects.select_related("integration__hotel")
    serializer_class = serializers.OperationSerializer
    lookup_url_kwarg = "operation_id"


@extend_schema(tags=["activity"])
class RetryView(IntegrationView):
    calls_vendor = True

    @extend_schema(request=None, responses=OUTCOMES)
    def post(self, request: Request, integration_id: int, operation_id: int) -> Response:
        """Try an operation again that gave up, or whose outcome is unknown. It still acts once."""
        operation = find(Operation.objects.filter(integration=self.integration), pk=operation_id)
        return answer(service_for(self.integration, user=request.user).retry_operation(operation))
