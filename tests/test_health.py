"""What load balancers and Prometheus ask."""

from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test import Client

from hospient import health


def test_the_process_answers_without_a_database(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.django_db
class TestReadiness:
    def test_ready_when_the_database_has_the_tables_this_code_expects(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(health, "_is_migrated", lambda: True)
        assert client.get("/readyz").json() == {"status": "ok", "checks": {"database": "ok", "migrations": "ok"}}

    def test_unready_while_migrations_are_missing(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(health, "_migrated", False)
        monkeypatch.setattr("django.db.migrations.executor.MigrationExecutor.migration_plan", lambda self, targets: ["one"])
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert "migrate" in answer.json()["checks"]["migrations"]

    def test_unready_while_the_database_is_away(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        def away() -> Any:
            raise DatabaseError("connection to server at 10.0.0.5 refused")

        monkeypatch.setattr(connection, "cursor", away)
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]) == (503, {"database": "unreachable"})
        assert b"10.0.0.5" not in answer.content
        assert client.get("/healthz").status_code == 200


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

    @pytest.mark.parametrize("written", ["", "junk", "127.0.0.1, ", "127.0.0.1, unknown", "127.0.0.1:80:80", "203.0.113.7:51234"])
    def test_behind_a_proxy_its_own_address_opens_nothing(self, client: Client, settings: Any, written: str) -> None:
        settings.TRUSTED_PROXIES = 1
        assert client.get("/metrics", headers={"X-Forwarded-For": written}).status_code == 404
        assert client.get("/metrics").status_code == 404

    @pytest.mark.parametrize("written", ["127.0.0.1", "127.0.0.1:51234", "::ffff:127.0.0.1", "[::1]:80", "203.0.113.7, ::1%lo"])
    def test_behind_a_proxy_they_open_for_whom_it_names(self, client: Client, settings: Any, written: str) -> None:
        settings.TRUSTED_PROXIES = 1
        assert client.get("/metrics", headers={"X-Forwarded-For": written}).status_code == 200
