"""What can be connected: every provider as its manifest declares it."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from integrations.services import registry
from integrations.services.manifest import DeletesBy, Idempotency, Kind, Manifest, Stream


class StreamSerializer(serializers.Serializer):
    name = serializers.CharField(help_text="What `sync_type` takes.")
    label = serializers.CharField()
    records = serializers.SerializerMethodField()
    incremental = serializers.BooleanField(help_text="Can read only what changed.")
    by_date = serializers.BooleanField(help_text="Takes `start_date` and `end_date`.")
    deletes_by = serializers.ChoiceField(choices=[way.value for way in DeletesBy])

    def get_records(self, stream: Stream) -> list[str]:
        return [record.record_type for record in stream.records]


class OperationDeclarationSerializer(serializers.Serializer):
    name = serializers.CharField()
    label = serializers.CharField()
    writes = serializers.BooleanField()
    idempotency = serializers.ChoiceField(choices=[way.value for way in Idempotency])


class WebhookDeclarationSerializer(serializers.Serializer):
    verifier = serializers.CharField()
    events = serializers.DictField(child=serializers.CharField(), help_text="The vendor's name -> ours.")
    subscription = serializers.BooleanField(help_text="Hospient can register the webhook at the vendor.")


class ProviderSerializer(serializers.Serializer):
    slug = serializers.CharField()
    name = serializers.CharField()
    kinds = serializers.ListField(child=serializers.ChoiceField(choices=[kind.value for kind in Kind]))
    answers_to = serializers.ListField(child=serializers.CharField(), help_text="Names `provider_name` is recognised by.")
    docs_url = serializers.CharField(allow_blank=True)
    environments = serializers.DictField(child=serializers.CharField(allow_blank=True), help_text="Name -> address.")
    credentials = serializers.SerializerMethodField(help_text="JSON Schema of the credentials.")
    config = serializers.SerializerMethodField(help_text="JSON Schema of the config.")
    streams = StreamSerializer(many=True)
    operations = OperationDeclarationSerializer(many=True)
    webhooks = WebhookDeclarationSerializer(allow_null=True)

    def get_credentials(self, manifest: Manifest) -> dict[str, Any]:
        return manifest.credentials.model_json_schema(by_alias=False)

    def get_config(self, manifest: Manifest) -> dict[str, Any]:
        return manifest.config.model_json_schema(by_alias=False)


@extend_schema(tags=["integrations"])
class ProvidersView(APIView):
    @extend_schema(responses=ProviderSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Every vendor that can be connected: its fields, streams, operations and webhooks."""
        manifests = [provider.manifest for provider in registry.providers().values()]
        return Response(ProviderSerializer(manifests, many=True).data)
