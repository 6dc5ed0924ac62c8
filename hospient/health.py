"""Is the process up, can it work, and what does it count. Asked by load balancers and Prometheus, so without signing in."""

import ipaddress
from collections import Counter
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from django_prometheus.exports import ExportToDjangoView

from hotels.addresses import client_address
from integrations.models import Integration
from monitoring import house
from monitoring.health import judge
from monitoring.summary import summarise


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers; beside that, how the house is, and for who may read metrics how many integrations are in which state."""
    checks = house.look()
    told: dict[str, Any] = {"status": "ok", "house": {check.name: check.sentence for check in house.trouble(checks)} or "well"}
    if _may_read_metrics(request) and "database" not in told["house"]:
        judged = judge(Integration.objects.select_related("hotel")).values()
        told["integrations"] = {state.value: number for state, number in Counter(one.state for one in judged).items()}
        told["summary"] = summarise(checks, judged).sentence
    return JsonResponse(told)


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """The process can work: 503 if it cannot. What only makes others wait (a worker that is silent) is told as degraded: taking this
    process out of service would hide the page that says so."""
    checks = house.look()
    ready = not any(check.stops_requests for check in house.trouble(checks))
    status = "unready" if not ready else "ok" if all(check.is_well for check in checks) else "degraded"
    told = {check.name: "ok" if check.is_well else f"{check.sentence} {check.todo}".strip() for check in checks}
    return JsonResponse({"status": status, "checks": told}, status=200 if ready else 503)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text, for the networks in METRICS_ALLOW; for everybody else it is not there."""
    if not _may_read_metrics(request):
        raise Http404
    return ExportToDjangoView(request)


def _may_read_metrics(request: HttpRequest) -> bool:
    # A proxy that nobody told us about makes the whole world look like this machine.
    if not settings.TRUSTED_PROXIES and "X-Forwarded-For" in request.headers:
        return False
    try:
        reader = ipaddress.ip_address(client_address(request))
    except ValueError:  # unknown
        return False
    return any(reader in ipaddress.ip_network(network) for network in settings.METRICS_ALLOW)
