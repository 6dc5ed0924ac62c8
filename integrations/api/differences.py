"""What people do about differences: decide a conflict for the side that lost, have rejected records read again."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from hotels.api.base import find
from integrations.api import serializers
from integrations.api.base import IntegrationView
from integrations.models import Conflict
from integrations.services.conflicts import apply_conflict
from integrations.services.inputs import RetryRejectedInput, read
from integrations.services.rejected import retry_rejected, waiting_records


@extend_schema(tags=["activity"])
class ApplyConflictView(IntegrationView):
    calls_vendor = True

    @extend_schema(request=None, responses=serializers.AppliedConflictSerializer)
    def post(self, request: Request, integration_id: int, conflict_id: int) -> Response:
        """Let the value that lost win after all: at the hotel, and at the systems that take it. A second time does nothing."""
        conflict = find(Conflict.objects.filter(integration=self.integration), pk=conflict_id)
        conflict.operations = apply_conflict(conflict, user=request.user)
        return Response(serializers.AppliedConflictSerializer(conflict).data)


@extend_schema(tags=["activity"])
class RetryRejectedView(IntegrationView):
    calls_vendor = True

    @extend_schema(
        request=RetryRejectedInput,
        responses={
            200: OpenApiResponse(serializers.RetriedSerializer, "All that could be read was read."),
            202: OpenApiResponse(serializers.RetriedSerializer, "A worker reads the rest; look at the runs."),
        },
    )
    def post(self, request: Request, integration_id: int) -> Response:
        """Read rejected records again, and take what the vendor has corrected."""
        wanted = read(RetryRejectedInput, request.data)
        records = waiting_records(self.integration, stream=wanted.stream)
        if wanted.ids is not None:
            records = records.filter(pk__in=wanted.ids)
        outcome = retry_rejected(self.integration, records, user=request.user)
        return Response(serializers.RetriedSerializer(outcome).data, 202 if outcome.waiting else 200)
