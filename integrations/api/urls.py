"""`/api/integrations`, and one guest of a hotel. Addresses have no slash at the end; `hospient.middleware` takes one off."""

from django.urls import path, register_converter

from integrations.api import activity, catalogue, differences, guest_management, guests, integrations, pms, pos
from integrations.api.addresses import ReferenceConverter, TextConverter

register_converter(TextConverter, "text")
register_converter(ReferenceConverter, "reference")

ONE = "integrations/<int:integration_id>"

urlpatterns = [
    path("hotels/<int:hotel_id>/guests/<int:pk>", guests.GuestRecords.as_view({"get": "retrieve", "patch": "edit"}), name="guests-one"),
    path("hotels/<int:hotel_id>/guests/<int:pk>/split", guests.GuestRecords.as_view({"post": "split"}), name="guest-split"),
    path("hotels/<int:hotel_id>/guest-questions", guests.GuestQuestions.as_view({"get": "list"}), name="guest-questions"),
    path(
        "hotels/<int:hotel_id>/guest-questions/<int:pk>",
        guests.GuestQuestions.as_view({"get": "retrieve", "post": "decide"}),
        name="guest-question",
    ),
    path("integrations", integrations.IntegrationsView.as_view(), name="integrations"),
    path("integrations/providers", catalogue.ProvidersView.as_view(), name="providers"),
    path(ONE, integrations.IntegrationDetailView.as_view(), name="integration"),
    path(f"{ONE}/webhook-secret", integrations.WebhookSecretView.as_view(), name="integration-webhook-secret"),
    path(f"{ONE}/test", integrations.TestView.as_view(), name="integration-test"),
    path(f"{ONE}/sync", integrations.SyncView.as_view(), name="integration-sync"),
    # what happened
    path(f"{ONE}/sync-runs", activity.SyncRunsView.as_view(), name="sync-runs"),
    path(f"{ONE}/sync-runs/<int:run_id>", activity.SyncRunView.as_view(), name="sync-run"),
    path(f"{ONE}/logs", activity.LogsView.as_view(), name="logs"),
    path(f"{ONE}/rejected-records", activity.RejectedRecordsView.as_view(), name="rejected-records"),
    path(f"{ONE}/rejected-records/retry", differences.RetryRejectedView.as_view(), name="rejected-records-retry"),
    path(f"{ONE}/conflicts", activity.ConflictsView.as_view(), name="conflicts"),
    path(f"{ONE}/conflicts/<int:conflict_id>/apply", differences.ApplyConflictView.as_view(), name="conflict-apply"),
    path(f"{ONE}/operations", activity.OperationsView.as_view(), name="operations"),
    path(f"{ONE}/operations/<int:operation_id>", activity.OperationView.as_view(), name="operation"),
    path(f"{ONE}/operations/<int:operation_id>/retry", activity.RetryView.as_view(), name="operation-retry"),
    # point of sale
    path(f"{ONE}/checks", pos.ChecksView.as_view(), name="vendor-checks"),
    path(f"{ONE}/checks/<reference:check_id>", pos.CheckView.as_view(), name="vendor-check"),
    path(f"{ONE}/checks/<reference:check_id>/void", pos.VoidView.as_view(), name="vendor-check-void"),
    # property management
    path(f"{ONE}/check-ins", pms.CheckInsView.as_view(), name="check-ins"),
    path(f"{ONE}/check-outs", pms.CheckOutsView.as_view(), name="check-outs"),
    path(f"{ONE}/charges", pms.ChargesView.as_view(), name="charges"),
    path(f"{ONE}/requests", pms.RequestsView.as_view(), name="requests"),
    path(f"{ONE}/rooms", pms.RoomsView.as_view(), name="vendor-rooms"),
    path(f"{ONE}/rooms/<text:room_number>/status", pms.RoomStatusView.as_view(), name="vendor-room-status"),
    path(f"{ONE}/guests/<reference:guest_id>", pms.GuestView.as_view(), name="vendor-guest"),
    # guest management
    path(f"{ONE}/feedback", guest_management.FeedbackView.as_view(), name="vendor-feedback"),
    path(f"{ONE}/chat-messages", guest_management.ChatMessagesView.as_view(), name="vendor-chat-messages"),
    path(f"{ONE}/notifications", guest_management.NotificationsView.as_view(), name="vendor-notifications"),
    path(
        f"{ONE}/notifications/<reference:notification_id>/status",
        guest_management.NotificationStatusView.as_view(),
        name="vendor-notification-status",
    ),
    path(f"{ONE}/guests/<reference:guest_id>/preferences", guest_management.PreferencesView.as_view(), name="guest-preferences"),
]
