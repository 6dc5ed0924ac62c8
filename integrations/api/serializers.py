"""How integrations, and what happens at them, look from outside. Never a secret."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from hotels.api.lists import Body
from hotels.api.serializers import GuestSerializer
from hotels.models import Guest, GuestQuestion
from integrations.exceptions import DecryptionFailed, InvalidInput
from integrations.health import judge
from integrations.models import (
    Conflict,
    ExternalReference,
    Integration,
    IntegrationLog,
    IntegrationStatus,
    IntegrationType,
    Operation,
    RejectedRecord,
    SyncRun,
    WebhookSecret,
)
from integrations.services.guests import known_as
from integrations.services.outlook import Outlook, of_operation, of_run
from integrations.services.setup import describe_credentials


class CredentialSerializer(serializers.Serializer):
    name = serializers.CharField()
    label = serializers.CharField()
    is_secret = serializers.BooleanField()
    is_set = serializers.BooleanField()
    set_at = serializers.DateTimeField(allow_null=True)
    ends_in = serializers.CharField(allow_null=True, help_text="The last characters of a secret, to tell one from another.")
    value = serializers.CharField(allow_null=True, help_text="Of what is no secret.")


class WebhookSecretSerializer(serializers.ModelSerializer):
    class Meta:
        model = WebhookSecret
        fields = ["key_id", "created_at", "expires_at", "is_active"]


class HealthSerializer(serializers.Serializer):
    """How an integration is. Said alike by the console, the commands and the metrics."""

    state = serializers.ChoiceField(
        choices=["needs_person", "waiting_for_vendor", "working_late", "not_tried", "working", "off"],
        help_text="What a vendor refused for reasons of the hotel's business changes none of these.",
    )
    sentence = serializers.CharField()
    why = serializers.CharField(help_text="The cause; empty where there is none.")
    todo = serializers.CharField(help_text="What a person can do; empty where nothing is to be done.")
    cure = serializers.CharField(help_text="The same as a code, such as enter_credentials.")
    since = serializers.DateTimeField(allow_null=True)
    last_good = serializers.DateTimeField(allow_null=True, help_text="When the vendor last did what was asked.")
    next_try = serializers.DateTimeField(allow_null=True, help_text="When it is called next by itself; null: by hand.")


class IntegrationSerializer(serializers.ModelSerializer):
    health = serializers.SerializerMethodField()
    credentials = serializers.SerializerMethodField(
        help_text="What is set, in the vendor's order; never a secret. Null if it cannot be read: the encryption key or the vendor is gone."
    )
    webhook_secrets = WebhookSecretSerializer(many=True)
    config = serializers.DictField()
    sync_settings = serializers.DictField()

    class Meta:
        model = Integration
        fields = [
            "id", "hotel_id", "integration_type", "provider", "provider_name", "provider_version", "environment", "status", "config",
            "credentials", "webhook_url", "webhook_secrets", "sync_settings", "health", "error_count", "failing_since", "last_error",
            "last_error_code", "last_error_hint", "last_error_at", "last_success_at", "last_sync_at", "sync_status", "next_sync_at",
            "created_at", "updated_at",
        ]  # fmt: skip

    @extend_schema_field(HealthSerializer)
    def get_health(self, integration: Integration) -> dict[str, Any]:
        judged = self.context.get("judged") or judge([integration])
        return HealthSerializer(judged[integration.pk]).data

    @extend_schema_field(CredentialSerializer(many=True, allow_null=True))
    def get_credentials(self, integration: Integration) -> list[dict[str, Any]] | None:
        try:
            return CredentialSerializer(describe_credentials(integration), many=True).data
        except (DecryptionFailed, InvalidInput):  # one such row must not hide all the others
            return None


class StoredIntegrationSerializer(IntegrationSerializer):
    """The answer to a create or a change."""

    warnings = serializers.ListField(child=serializers.CharField(), help_text="What was kept although the vendor does not use it.")

    class Meta(IntegrationSerializer.Meta):
        fields = [*IntegrationSerializer.Meta.fields, "warnings"]


class IntegrationInputSerializer(serializers.Serializer):
    """What can be written. Everything else in `IntegrationSerializer` is accepted and has no effect."""

    hotel_id = serializers.IntegerField(required=False, help_text="Left out: your only hotel. It cannot be changed later.")
    integration_type = serializers.ChoiceField(choices=IntegrationType)
    provider_name = serializers.CharField(max_length=120, help_text="As people call it: Square POS.")
    provider = serializers.CharField(required=False, help_text="Slug in the catalogue; found from provider_name if left out.")
    provider_version = serializers.CharField(required=False, allow_blank=True, max_length=20)
    environment = serializers.CharField(required=False, help_text="One of the vendor's; production if left out.")
    status = serializers.ChoiceField(choices=IntegrationStatus, required=False)
    config = serializers.DictField(required=False)
    credentials = serializers.DictField(required=False, help_text="Those left out, empty or masked stay as they are.")
    webhook_url = serializers.URLField(required=False, allow_blank=True, max_length=500, help_text="Exactly as registered at the vendor.")
    webhook_secret = serializers.CharField(required=False, write_only=True, help_text="The one before it is accepted for 24 hours more.")
    sync_settings = serializers.DictField(required=False)


class NewWebhookSecretSerializer(Body):
    webhook_secret = serializers.CharField(required=False, help_text="At least 16 characters. Left out: one is made, and shown this once.")
    at_once = serializers.BooleanField(
        default=False, help_text="Refuse the one before from now on, as after a leak; else it passes for 24 hours."
    )


class WebhookSecretMadeSerializer(serializers.Serializer):
    webhook_secret = serializers.CharField(allow_null=True, help_text="The one that was made; null if you gave one.")
    webhook_secrets = WebhookSecretSerializer(many=True)


class TestOutcomeSerializer(serializers.Serializer):
    success = serializers.BooleanField()
    connection = serializers.ChoiceField(choices=["ok", "failed"])
    message = serializers.CharField()
    hint = serializers.CharField(allow_blank=True)
    code = serializers.CharField(allow_blank=True)
    details = serializers.DictField()
    processing_time = serializers.IntegerField(help_text="Milliseconds.")


class OutlookSerializer(serializers.ModelSerializer):
    """Base of rows that say what becomes of them."""

    next = serializers.SerializerMethodField(help_text="What happens next by itself, and when; empty: nothing.")
    todo = serializers.SerializerMethodField(help_text="What a person can do; empty: nothing is to be done.")

    def outlook(self, row: Any) -> Outlook:
        raise NotImplementedError

    def get_next(self, row: Any) -> str:
        return self.outlook(row).next

    def get_todo(self, row: Any) -> str:
        return self.outlook(row).todo


class SyncRunSerializer(OutlookSerializer):
    created = serializers.IntegerField(source="created_count")
    updated = serializers.IntegerField(source="updated_count")
    unchanged = serializers.IntegerField(source="unchanged_count")
    deleted = serializers.IntegerField(source="deleted_count")
    rejected = serializers.IntegerField(source="rejected_count")
    conflicts = serializers.IntegerField(source="conflict_count")
    pages = serializers.IntegerField(source="page_count")

    class Meta:
        model = SyncRun
        fields = [
            "id", "integration_id", "stream", "mode", "trigger", "status", "since", "until", "total", "pages", "created", "updated",
            "unchanged", "deleted", "rejected", "conflicts", "summary", "attempts", "next_attempt_at", "error_code", "error_message",
            "hint", "next", "todo", "correlation_id", "created_at", "started_at", "finished_at",
        ]  # fmt: skip

    def outlook(self, row: SyncRun) -> Outlook:
        return of_run(row)


class LogSerializer(serializers.ModelSerializer):
    request_data = serializers.JSONField(help_text="Redacted.")
    response_data = serializers.JSONField(help_text="Redacted.")

    class Meta:
        model = IntegrationLog
        fields = [
            "id", "integration_id", "operation_type", "operation_name", "direction", "status", "request_data", "response_data",
            "http_status", "attempt", "error_code", "error_message", "processing_time", "records_processed", "records_success",
            "records_failed", "correlation_id", "created_at",
        ]  # fmt: skip


class OperationSerializer(OutlookSerializer):
    answer = serializers.DictField(help_text="What the vendor said.")
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="What was asked and not passed on, by field with the reason; and what the vendor remarked."
    )

    class Meta:
        model = Operation
        fields = [
            "id", "uuid", "integration_id", "name", "status", "idempotency_key", "record_type", "object_id", "vendor_reference",
            "answer", "warnings", "attempts", "next_attempt_at", "error_code", "error_message", "hint", "next", "todo",
            "correlation_id", "created_at", "done_at",
        ]  # fmt: skip

    def outlook(self, row: Operation) -> Outlook:
        return of_operation(row)


class RejectedRecordSerializer(serializers.ModelSerializer):
    class Meta:
        model = RejectedRecord
        fields = ["id", "run_id", "stream", "record_type", "external_id", "reason", "payload", "created_at", "resolved_at"]


class RetriedSerializer(serializers.Serializer):
    """What became of rejected records that were tried again."""

    tried = serializers.IntegerField()
    taken = serializers.IntegerField(help_text="They came through this time.")
    left = serializers.IntegerField(help_text="Rejected again, or not read: the runs say why.")
    waiting = serializers.IntegerField(help_text="A worker reads their whole stream; look at the run.")
    runs = SyncRunSerializer(many=True)


class ConflictSerializer(serializers.ModelSerializer):
    class Meta:
        model = Conflict
        fields = [
            "id", "run_id", "record_type", "external_id", "object_id", "field", "base_value", "vendor_value", "hotel_value", "rule",
            "winner", "created_at", "applied_at",
        ]  # fmt: skip


class AppliedConflictSerializer(ConflictSerializer):
    """The answer to a decision."""

    operations = OperationSerializer(many=True, help_text="What tells the vendors; empty where none takes the change.")

    class Meta(ConflictSerializer.Meta):
        fields = [*ConflictSerializer.Meta.fields, "operations"]


class GuestReferenceSerializer(serializers.ModelSerializer):
    provider_name = serializers.CharField(source="integration.provider_name")
    matched_by = serializers.CharField(
        help_text="Why this system's record was taken for a guest the hotel had already; empty where it made the guest."
    )

    class Meta:
        model = ExternalReference
        fields = ["id", "integration_id", "provider_name", "external_id", "matched_by", "synced_at"]


class KnownGuestSerializer(GuestSerializer):
    """A guest with what the hotel's systems call them."""

    references = serializers.SerializerMethodField()

    class Meta(GuestSerializer.Meta):
        fields = [*GuestSerializer.Meta.fields, "references"]

    @extend_schema_field(GuestReferenceSerializer(many=True))
    def get_references(self, guest: Guest) -> list[dict[str, Any]]:
        return GuestReferenceSerializer(known_as(guest), many=True).data


class GuestQuestionSerializer(serializers.ModelSerializer):
    """Whether two guests are one person."""

    guest = GuestSerializer()
    other = GuestSerializer(help_text="The one the hotel got to know later.")
    reasons = serializers.ListField(child=serializers.CharField(), help_text="What speaks for one person, and what against it.")

    class Meta:
        model = GuestQuestion
        fields = ["id", "guest", "other", "reasons", "verdict", "decided_at", "created_at"]


class EditedGuestSerializer(KnownGuestSerializer):
    """The answer to an edit."""

    operations = OperationSerializer(many=True, help_text="What tells the systems that know the guest and take changes.")

    class Meta(KnownGuestSerializer.Meta):
        fields = [*KnownGuestSerializer.Meta.fields, "operations"]
