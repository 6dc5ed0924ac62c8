"""Is the process up, can it work, and what does it count. Asked by load balancers and Prometheus, so without signing in."""

import ipaddress

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from django_prometheus.exports import ExportToDjangoView

from hotels.addresses import client_address


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """The process can work: the database answers and has the tables this code expects."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        checks = {"database": "ok", "migrations": "ok" if _is_migrated() else "unapplied: run manage.py migrate"}
    except DatabaseError:
        checks = {"database": "unreachable"}
    ready = set(checks.values()) == {"ok"}
    return JsonResponse({"status": "ok" if ready else "unready", "checks": checks}, status=200 if ready else 503)


_migrated = False


def _is_migrated() -> bool:
    """Look until it is so: a process never sees its migrations undone, and looking reads every migration file."""
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _migrated


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text, for the networks in METRICS_ALLOW; for everybody else it is not there."""
    # A proxy that nobody told us about makes the whole world look like this machine.
    unknown_proxy = not settings.TRUSTED_PROXIES and "X-Forwarded-For" in request.headers
    if unknown_proxy or not _may_read_metrics(client_address(request)):
        raise Http404
    return ExportToDjangoView(request)


def _may_read_metrics(address: str) -> bool:
    try:
        reader = ipaddress.ip_address(address)
    except ValueError:  # unknown
        return False
    return any(reader in ipaddress.ip_network(network) for network in settings.METRICS_ALLOW)
