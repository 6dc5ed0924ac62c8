"""`/api/integrations/{id}/webhook-events`."""

from django.urls import path

from webhooks.api import views

EVENTS = "integrations/<int:integration_id>/webhook-events"

urlpatterns = [
    path(EVENTS, views.EventsView.as_view(), name="webhook-events"),
    path(f"{EVENTS}/replay", views.ReplayMatchingView.as_view(), name="webhook-events-replay"),
    path(f"{EVENTS}/<int:event_id>", views.EventView.as_view(), name="webhook-event"),
    path(f"{EVENTS}/<int:event_id>/replay", views.ReplayView.as_view(), name="webhook-event-replay"),
]
