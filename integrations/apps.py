"""Connections to vendors."""

from django.apps import AppConfig


class IntegrationsConfig(AppConfig):
    name = "integrations"
    verbose_name = "Connections"
    default_auto_field = "django.db.models.BigAutoField"
