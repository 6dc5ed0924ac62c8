"""Knowing: how integrations and the house are, and who is told."""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    name = "monitoring"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from monitoring import house, metrics
        from webhooks import health

        metrics.register()
        health.look_at_house.append(house.told)
