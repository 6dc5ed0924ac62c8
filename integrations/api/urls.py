"""`/api/integrations`."""

urlpatterns = []
