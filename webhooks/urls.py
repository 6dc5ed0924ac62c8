"""Below `/api/`: the default door, its health, and the inbox of an integration."""

from django.urls import include, path

from webhooks.views import HealthView, ReceiveView

urlpatterns = [
    path("webhooks/health", HealthView.as_view(), name="webhook-health"),
    path("webhooks/<int:integration_id>", ReceiveView.as_view(), name="webhook"),
    path("webhooks/<int:integration_id>/<str:path_secret>", ReceiveView.as_view(schema=None), name="webhook-with-secret"),
    path("", include("webhooks.api.urls")),
]
