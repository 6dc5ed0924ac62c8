"""What Prometheus reads: rows are read when it asks, so that the figures are right whichever process answers."""

from collections import Counter
from collections.abc import Iterator

from django.db import DatabaseError
from prometheus_client.core import REGISTRY, GaugeMetricFamily
from prometheus_client.registry import Collector

from integrations.models import Integration
from monitoring import health, house


class HealthCollector(Collector):
    def describe(self) -> list[GaugeMetricFamily]:
        return []  # asked when registered, before there is a database

    def collect(self) -> Iterator[GaugeMetricFamily]:
        checks = house.look()
        family = GaugeMetricFamily("hospient_house_well", "Whether a part of the house is well.", labels=["check"])
        for check in checks:
            family.add_metric([check.name], float(check.is_well))
        yield family
        try:
            judged = health.judge(Integration.objects.select_related("hotel"))
        except DatabaseError:
            return
        states = Counter(one.state for one in judged.values())
        family = GaugeMetricFamily("hospient_integrations", "Integrations by their state.", labels=["state"])
        for state in health.State:
            family.add_metric([state.value], states[state])
        yield family
        family = GaugeMetricFamily("hospient_integration_well", "Whether an integration works, or is switched off.", labels=["integration"])
        for pk, one in judged.items():
            family.add_metric([str(pk)], float(one.state.is_well))
        yield family


def register() -> None:
    """Let the process's own registry ask us. Once, however often the app is made ready."""
    if not any(isinstance(known, HealthCollector) for known in REGISTRY._collector_to_names):
        REGISTRY.register(HealthCollector())
