"""The tenant and its own records."""

from django.apps import AppConfig


class HotelsConfig(AppConfig):
    name = "hotels"
    verbose_name = "Hotel"
    default_auto_field = "django.db.models.BigAutoField"
