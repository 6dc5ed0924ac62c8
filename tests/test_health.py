"""What load balancers and Prometheus ask."""

import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone

from hotels.models import Hotel
from integrations.models import Integration, IntegrationLog, SyncRun
from integrations.tests.conftest import Connect
from monitoring import house
from monitoring.models import Heartbeat
from tests.faults.world import environment
from webhooks.models import WebhookEvent


@pytest.fixture
def worker(db: None) -> None:
    Heartbeat.beat(Heartbeat.WORKER)


def away(*_: Any) -> Any:
    raise DatabaseError("connection to server at 10.0.0.5 refused")


@pytest.mark.django_db
class TestLiveness:
    def test_the_process_answers_and_says_how_the_house_is(self, client: Client, worker: None) -> None:
        assert client.get("/healthz", REMOTE_ADDR="203.0.113.9").json() == {"status": "ok", "house": "well"}

    def test_without_a_database_it_answers_all_the_same(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection, "cursor", away)
        answer = client.get("/healthz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok", "house": {"database": "The database does not answer."}})
        assert b"10.0.0.5" not in answer.content

    def test_who_may_read_metrics_is_told_how_many_work(self, client: Client, worker: None, hotel: Hotel, connect: Connect) -> None:
        connect(hotel)
        assert client.get("/healthz").json()["integrations"] == {"working": 1}
        assert "integrations" not in client.get("/healthz", REMOTE_ADDR="203.0.113.9").json()


@pytest.mark.django_db
class TestReadiness:
    def test_ready_when_everything_was_looked_at_and_is_well(self, client: Client, worker: None) -> None:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        assert answer.json()["checks"] == dict.fromkeys(("database", "migrations", "cache", "disk", "clock", "worker", "schedule"), "ok")

    def test_unready_while_migrations_are_missing(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(house, "_migrated", False)
        monkeypatch.setattr("django.db.migrations.executor.MigrationExecutor.migration_plan", lambda self, targets: ["one"])
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "unready")
        assert "migrate" in answer.json()["checks"]["migrations"]

    def test_unready_while_the_database_is_away(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection, "cursor", away)
        answer = client.get("/readyz")
        assert (answer.status_code, set(answer.json()["checks"])) == (503, {"database"})
        assert b"10.0.0.5" not in answer.content

    def test_unready_without_the_table_of_the_cache(self, client: Client, worker: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(house, "_cache_well_at", -house.CACHE_LOOK_SECONDS)
        monkeypatch.setattr(type(house.cache._connections[house.cache._alias]), "set", away)
        for address, status in (("/readyz", "unready"), ("/api/webhooks/health", "unavailable")):
            answer = client.get(address)
            assert (answer.status_code, answer.json()["status"]) == (503, status)

    def test_unready_on_a_full_disk(self, client: Client, worker: None, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = shutil.disk_usage("/")._replace(free=house.DISK_FREE - 1)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert "200 MB" in answer.json()["checks"]["disk"]

    @pytest.mark.parametrize(("age", "status"), [(50, "ok"), (70, "degraded"), (30 * 3600, "degraded"), (-40, "degraded")])
    def test_a_dead_worker_and_a_wrong_clock_are_told_and_stop_nobody(self, client: Client, db: None, age: int, status: str) -> None:
        Heartbeat.objects.create(name=Heartbeat.WORKER, seen_at=timezone.now() - timedelta(seconds=age))
        for address in ("/readyz", "/api/webhooks/health"):
            answer = client.get(address)
            assert (answer.status_code, answer.json()["status"]) == (200, status)

    @pytest.mark.parametrize(("seconds", "status"), [(20, "ok"), (40, "degraded"), (-40, "degraded")])
    def test_a_database_with_another_clock_is_told(
        self, client: Client, worker: None, monkeypatch: pytest.MonkeyPatch, seconds: int, status: str
    ) -> None:
        monkeypatch.setattr(house, "_ask_database", lambda: timezone.now() + timedelta(seconds=seconds))
        assert client.get("/readyz").json()["status"] == status

    def test_a_schedule_that_is_behind_is_told(self, client: Client, worker: None, hotel: Hotel, connect: Connect) -> None:
        integration = connect(hotel, sync_settings={"auto_sync": True})
        for minutes, status in ((9, "ok"), (11, "degraded")):
            Integration.objects.filter(pk=integration.pk).update(next_sync_at=timezone.now() - timedelta(minutes=minutes))
            assert client.get("/readyz").json()["status"] == status
        Integration.objects.filter(pk=integration.pk).update(status="inactive")
        assert client.get("/readyz").json()["status"] == "ok"


@pytest.mark.django_db
class TestMetrics:
    def test_this_machine_may_read_them(self, client: Client) -> None:
        client.get("/healthz")
        page = client.get("/metrics")
        assert page.status_code == 200
        assert b'django_http_responses_total_by_status_total{status="200"}' in page.content

    @pytest.mark.parametrize("address", ["198.51.100.7", "2001:db8::1", ""])
    def test_for_others_they_are_not_there(self, client: Client, address: str) -> None:
        assert client.get("/metrics", REMOTE_ADDR=address).status_code == 404

    def test_a_network_can_be_allowed(self, client: Client, settings: Any) -> None:
        settings.METRICS_ALLOW = ["10.1.0.0/16"]
        assert client.get("/metrics", REMOTE_ADDR="10.1.2.3").status_code == 200
        assert client.get("/metrics").status_code == 404

    def test_a_proxy_nobody_told_us_about_opens_nothing(self, client: Client) -> None:
        assert client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 404

    def test_they_say_what_the_console_says(self, client: Client, hotel: Hotel, connect: Connect) -> None:
        connect(hotel)
        page = client.get("/metrics").content.decode()
        assert 'hospient_house_well{check="worker"} 0.0' in page
        assert 'hospient_house_well{check="database"} 1.0' in page
        assert 'hospient_integrations{state="working"} 1.0' in page
        assert 'hospient_integrations{state="needs_person"} 0.0' in page

    def test_they_tell_of_syncs_webhooks_and_vendors_limits(self, client: Client, hotel: Hotel, connect: Connect) -> None:
        integration, now = connect(hotel), timezone.now()
        for stream, status, ago in (("menus", "succeeded", 5), ("checks", "failed", 5), ("menus", "failed", 70)):
            run = SyncRun.objects.create(integration=integration, stream=stream, status=status, finished_at=now)
            SyncRun.objects.filter(pk=run.pk).update(created_at=now - timedelta(minutes=ago))
        for number, seconds in enumerate((1, 3)):
            received = now - timedelta(minutes=1)
            WebhookEvent.objects.create(
                integration=integration, event_id=str(number), body=b"{}", received_at=received, status="done",
                processed_at=received + timedelta(seconds=seconds),
            )  # fmt: skip
        IntegrationLog.objects.create(
            integration=integration,
            operation_type="api_call",
            operation_name="menus",
            direction="outbound",
            status="failed",
            http_status=429,
        )
        page = client.get("/metrics").content.decode()
        pk = integration.pk
        assert f'hospient_sync_success_ratio{{integration="{pk}"}} 0.5' in page
        assert f'hospient_sync_runs{{integration="{pk}",status="failed"}} 1.0' in page
        assert f'hospient_webhook_seconds{{integration="{pk}",of="mean"}} 2.0' in page
        assert f'hospient_webhook_seconds{{integration="{pk}",of="longest"}} 3.0' in page
        assert f'hospient_vendor_rate_limited{{integration="{pk}"}} 1.0' in page

    @pytest.mark.parametrize("written", ["", "junk", "127.0.0.1, ", "127.0.0.1, unknown", "127.0.0.1:80:80", "203.0.113.7:51234"])
    def test_behind_a_proxy_its_own_address_opens_nothing(self, client: Client, settings: Any, written: str) -> None:
        settings.TRUSTED_PROXIES = 1
        assert client.get("/metrics", headers={"X-Forwarded-For": written}).status_code == 404
        assert client.get("/metrics").status_code == 404

    @pytest.mark.parametrize("written", ["127.0.0.1", "127.0.0.1:51234", "::ffff:127.0.0.1", "[::1]:80", "203.0.113.7, ::1%lo"])
    def test_behind_a_proxy_they_open_for_whom_it_names(self, client: Client, settings: Any, written: str) -> None:
        settings.TRUSTED_PROXIES = 1
        assert client.get("/metrics", headers={"X-Forwarded-For": written}).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(("address", "status"), [("healthz", 200), ("readyz", 503), ("api/webhooks/health", 503)])
def test_a_process_whose_database_is_away_says_so_before_a_health_check_gives_up(address: str, status: int) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "manage.py", "serve", "console", "--port", str(port)]
    process = subprocess.Popen(command, env=environment("postgres://nobody:nothing@127.0.0.1:9/none"), stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), timeout=1)):
                break
            time.sleep(0.2)
        answer = requests.get(f"http://127.0.0.1:{port}/{address}", timeout=house.ANSWER_SECONDS + 3)
    finally:
        process.kill()
        process.wait()
    assert answer.status_code == status
    assert "The database does not answer." in answer.text
