"""What Prometheus reads: rows are read when it asks, so that the figures are right whichever process answers."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus

from django.db import DatabaseError
from django.db.models import Aggregate, Avg, Count, DurationField, F, Max, OuterRef, QuerySet, Subquery
from django.utils import timezone
from prometheus_client.core import REGISTRY, GaugeMetricFamily
from prometheus_client.registry import Collector

from integrations.models import Integration, IntegrationLog, LogStatus, RunStatus, SyncRun
from integrations.services import registry
from monitoring import health, house
from webhooks.models import WebhookEvent

LATELY = timedelta(hours=1)


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
        yield from _lately(list(judged))


def _lately(ids: list[int]) -> Iterator[GaugeMetricFamily]:
    """Yield what syncs, webhooks and vendors' limits came to in the last hour, for each integration that had any."""
    since = timezone.now() - LATELY
    shown = Integration.objects.filter(pk__in=ids)  # each looks into an index of its own rows, newest first
    runs = SyncRun.objects.filter(integration=OuterRef("pk"), created_at__gte=since, finished_at__isnull=False)
    events = WebhookEvent.objects.filter(integration=OuterRef("pk"), received_at__gte=since, processed_at__isnull=False)
    failed = IntegrationLog.objects.filter(integration=OuterRef("pk"), status=LogStatus.FAILED, created_at__gte=since)
    took = F("processed_at") - F("received_at")
    rows = shown.annotate(
        well=_one(runs.filter(status=RunStatus.SUCCEEDED), Count("pk")),
        partial=_one(runs.filter(status=RunStatus.PARTIAL), Count("pk")),
        failed=_one(runs.filter(status=RunStatus.FAILED), Count("pk")),
        events=_one(events, Count("pk")),
        mean=_one(events, Avg(took, output_field=DurationField())),
        longest=_one(events, Max(took, output_field=DurationField())),
        limited=_one(failed.filter(http_status=HTTPStatus.TOO_MANY_REQUESTS), Count("pk")),
    ).values("pk", "provider", "well", "partial", "failed", "events", "mean", "longest", "limited")
    families = {
        "runs": GaugeMetricFamily("hospient_sync_runs", "Runs that ended in the last hour.", labels=["integration", "status"]),
        "ratio": GaugeMetricFamily("hospient_sync_success_ratio", "Part of those runs that took everything.", labels=["integration"]),
        "mean": GaugeMetricFamily(
            "hospient_webhook_seconds", "From arrival to effect, in the last hour: mean and longest.", labels=["integration", "of"]
        ),
        "limited": GaugeMetricFamily(
            "hospient_vendor_rate_limited", "Calls of the last hour that the vendor refused as too many.", labels=["integration"]
        ),
        "allowed": GaugeMetricFamily(
            "hospient_vendor_rate_allowed", "Requests a second that we allow ourselves, as the vendor does.", labels=["integration"]
        ),
    }
    known = registry.providers()
    for row in rows:
        pk = str(row["pk"])
        ended = {status: row[name] or 0 for name, status in (("well", "succeeded"), ("partial", "partial"), ("failed", "failed"))}
        for status, number in ended.items():
            families["runs"].add_metric([pk, status], number)
        if total := sum(ended.values()):
            families["ratio"].add_metric([pk], ended["succeeded"] / total)
        if row["events"]:
            families["mean"].add_metric([pk, "mean"], row["mean"].total_seconds())
            families["mean"].add_metric([pk, "longest"], row["longest"].total_seconds())
        families["limited"].add_metric([pk], row["limited"] or 0)
        rate = known[row["provider"]].manifest.rate if row["provider"] in known else None
        if rate:
            families["allowed"].add_metric([pk], rate.requests / rate.per_seconds)
    yield from families.values()


def _one(rows: QuerySet, value: Aggregate) -> Subquery:
    """Return one figure over rows that are looked up for each integration."""
    return Subquery(rows.order_by().values("integration").annotate(figure=value).values("figure"))


def register() -> None:
    """Let the process's own registry ask us. Once, however often the app is made ready."""
    if not any(isinstance(known, HealthCollector) for known in REGISTRY._collector_to_names):
        REGISTRY.register(HealthCollector())
