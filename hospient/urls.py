"""Which door is where."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from hospient import health, timeline

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="console"),
    path("admin/cause/<str:correlation_id>/", admin.site.admin_view(timeline.cause), name="cause"),
    path("admin/", admin.site.urls),
    path("api/", include("hotels.api.urls")),
    path("api/", include("integrations.api.urls")),
    path("api/", include("webhooks.urls")),
    path("api/schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("api-docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="api-docs"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
]

handler400 = "hospient.errors.bad_request"
handler404 = "hospient.errors.not_found"
handler500 = "hospient.errors.server_error"
