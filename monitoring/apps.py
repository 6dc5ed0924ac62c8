"""Knowing: how integrations and the house are, and who is told."""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    name = "monitoring"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from integrations.health import set_judge
        from monitoring import house, metrics
        from monitoring.health import judge
        from webhooks.health import look_at_house

        metrics.register()
        set_judge(judge)
        look_at_house[:] = [house.told]
