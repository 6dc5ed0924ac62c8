"""Replacing webhook secrets: with an overlap, at once, and never by one that can be guessed; by API, console and command alike."""

import io
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.urls import reverse
from rest_framework.test import APIClient

from hotels.models import Hotel, Role
from integrations.exceptions import InvalidInput
from integrations.models import Integration
from integrations.services.setup import set_webhook_secret
from integrations.tests.console import sign_in
from webhooks.tests.conftest import SECRET, Connect
from webhooks.tests.doors import LeanDoor, signed
from webhooks.tests.test_ingest import BODY

NOON = datetime(2026, 6, 9, 12, tzinfo=UTC)
OTHER = "another-secret-that-is-long-enough"


def active(integration: Integration) -> set[str]:
    return {row.secret.reveal()["secret"] for row in integration.webhook_secrets.all() if row.is_active}


def by_command(integration: Integration, *flags: str) -> None:
    call_command("webhook_secret", str(integration.pk), *flags, stdout=io.StringIO())


def test_leaked_secret_is_refused_by_a_door_that_knew_it(lean: LeanDoor, connect: Connect) -> None:
    integration = connect()
    address = f"/api/webhooks/{integration.pk}"
    assert lean.post(address, BODY, signed(BODY, SECRET)).status == 202
    by_command(integration, "--now")
    [made] = active(integration)
    lean.ingest.facts._clock = lambda: time.monotonic() + 2  # what is known of the integration is a second old at most
    assert lean.post(address, BODY, signed(BODY, SECRET)).status == 401
    assert lean.post(address, BODY, signed(BODY, made)).status == 202


@pytest.mark.django_db
def test_one_that_is_made_has_32_random_bytes_and_the_old_one_passes_or_not(connect: Connect) -> None:
    integration = connect()
    by_command(integration)
    assert len(active(integration)) == 2
    by_command(integration, "--now")
    [made] = active(integration)
    assert len(bytes.fromhex(made)) == 32


@pytest.mark.django_db
def test_a_newer_secret_shortens_the_older_ones_and_never_prolongs_them(connect: Connect) -> None:
    integration = connect(secret="")
    secrets = [f"secret-number-{number}-of-the-tests" for number in range(4)]
    left: dict[int, timedelta | None] = {}
    with time_machine.travel(NOON, tick=False):
        for number, overlap in enumerate((timedelta(days=1), timedelta(days=1), timedelta(hours=1), timedelta(days=1))):
            set_webhook_secret(integration, secrets[number], overlap=overlap)
        for secret in integration.webhook_secrets.order_by("pk"):
            left[secrets.index(secret.secret.reveal()["secret"])] = secret.expires_at and secret.expires_at - NOON
    assert left == {0: timedelta(hours=1), 1: timedelta(hours=1), 2: timedelta(days=1), 3: None}


@pytest.mark.django_db
def test_the_active_secret_given_again_at_once_ends_the_others(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    integration = connect()
    set_webhook_secret(integration, OTHER)
    assert active(integration) == {SECRET, OTHER}
    monkeypatch.setattr(sys, "stdin", io.StringIO(OTHER + "\n"))
    by_command(integration, "--now", "--stdin")
    assert active(integration) == {OTHER}


@pytest.mark.django_db
@pytest.mark.parametrize("secret", ["", "short", "fifteen-letters"])
def test_short_secret_is_refused_by_every_door(connect: Connect, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    integration = connect()
    with pytest.raises(InvalidInput, match="webhook_secret: Use between 16"):
        set_webhook_secret(integration, secret)
    for flags in (["--stdin"], ["--stdin", "--now"], ["--stdin", "--dry-run"]):
        monkeypatch.setattr(sys, "stdin", io.StringIO(secret + "\n"))
        with pytest.raises(CommandError, match="webhook_secret: Use between 16"):
            by_command(integration, *flags)
    assert active(integration) == {SECRET}


@pytest.mark.django_db
def test_dry_run_replaces_nothing(connect: Connect) -> None:
    integration = connect()
    by_command(integration, "--now", "--dry-run")
    assert active(integration) == {SECRET}


@pytest.mark.django_db
def test_integration_is_neither_made_nor_changed_with_a_short_one(manager: APIClient, hotel: Hotel, connect: Connect) -> None:
    integration = connect(config={"base_url": "https://vendor.example.com"})
    body = {
        "hotel_id": hotel.pk,
        "integration_type": "pms",
        "provider_name": "Generic REST",
        "config": integration.config,
        "credentials": {"api_key": "key-of-the-tests"},
    }
    for answer in (
        manager.post("/api/integrations", body | {"webhook_secret": "fifteen-letters"}, format="json"),
        manager.patch(f"/api/integrations/{integration.pk}", {"webhook_secret": "fifteen-letters"}, format="json"),
        manager.patch(f"/api/integrations/{integration.pk}", {"webhook_secret": "a-secret-with-ümlauts"}, format="json"),
    ):
        assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "webhook_secret")
    assert (Integration.objects.count(), active(integration)) == (1, {SECRET})


@pytest.mark.django_db
def test_console_form_refuses_a_short_one_beside_its_field(connect: Connect, hotel: Hotel) -> None:
    integration = connect(config={"base_url": "https://vendor.example.com"})
    page = sign_in(Role.MANAGER, hotel).post(
        reverse("admin:integrations_integration_settings", args=[integration.pk]),
        {"provider_name": "Till", "environment": "production", "config.base_url": "https://vendor.example.com", "credentials.api_key": "key-of-the-tests", "sync_interval": "hourly",
         "conflict_rule": "vendor_wins", "webhook_secret": "fifteen-letters"},
    )  # fmt: skip
    assert page.status_code == 200
    assert "a shorter secret can be guessed" in page.text
    assert active(integration) == {SECRET}


@pytest.mark.django_db
def test_api_replaces_it_at_once_shows_what_it_made_and_refuses_a_short_one(
    manager: APIClient, viewer: APIClient, connect: Connect
) -> None:
    integration = connect()
    url = f"/api/integrations/{integration.pk}/webhook-secret"
    short = manager.post(url, {"webhook_secret": "fifteen-letters"})
    assert (short.status_code, short.json()["errors"][0]["attr"]) == (400, "webhook_secret")
    assert viewer.post(url, {"at_once": True}).status_code == 403
    answer = manager.post(url, {"at_once": True})
    assert (answer.status_code, active(integration)) == (201, {answer.json()["webhook_secret"]})
