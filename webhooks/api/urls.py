"""`/api/integrations/{id}/webhook-events`."""

urlpatterns = []
