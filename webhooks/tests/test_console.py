"""The inbox in the console: nothing can be changed, replaying asks first, and nobody sees another hotel's events."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hotels.models import Hotel, Membership, Role
from integrations.models import Integration, IntegrationLog
from integrations.services import registry
from webhooks.models import WebhookEvent
from webhooks.tests.conftest import SECRET, Connect
from webhooks.tests.doors import ViewDoor, signed
from webhooks.tests.test_ingest import BODY
from webhooks.tests.test_secrets import active
from webhooks.tests.vendor import Subscribing, Vendor

pytestmark = pytest.mark.django_db

LIST = "admin:webhooks_webhookevent_changelist"
ONE = "admin:webhooks_webhookevent_change"
REPLAY = "admin:webhooks_webhookevent_replay"
REPLAY_MATCHING = "admin:webhooks_webhookevent_replay_matching"
HOSTILE = "<script>alert(1)</script>\r\nforged \x1b[31mline\u2028x"


def make(integration: Integration, number: int, status: str = "dead", **columns: str) -> WebhookEvent:
    body = json.dumps({"event_type": HOSTILE, "data": {"note": HOSTILE}})
    return WebhookEvent.objects.create(
        integration=integration,
        event_id=f"evt-{number}",
        status=status,
        received_at=timezone.now(),
        body=body.encode(),
        **{"event_type": "menu_updated", "error_message": "The vendor said no."} | columns,
    )


@pytest.fixture
def login(hotel: Hotel) -> Callable[[Role, Hotel], Client]:
    def make_client(role: Role, where: Hotel) -> Client:
        user = User.objects.create_user(f"{role}@{where.slug}", is_staff=True)
        Membership.objects.create(user=user, hotel=where, role=role)
        client = Client()
        client.force_login(user)
        return client

    return make_client


def test_events_are_shown_and_cannot_be_changed(login: Callable[..., Client], connect: Connect, hotel: Hotel) -> None:
    event = make(connect(), 1)
    client = login(Role.MANAGER, hotel)
    assert "menu_updated" in client.get(reverse(LIST)).text
    page = client.get(reverse(ONE, args=[event.pk])).text
    assert "The vendor said no." in page
    assert client.post(reverse(ONE, args=[event.pk]), {"status": "done"}).status_code == 403
    assert client.get(reverse("admin:webhooks_webhookevent_add")).status_code == 403
    assert client.post(reverse("admin:webhooks_webhookevent_delete", args=[event.pk]), {"post": "yes"}).status_code == 403
    event.refresh_from_db()
    assert event.status == "dead"


def test_what_a_vendor_writes_is_shown_as_text(login: Callable[..., Client], connect: Connect, hotel: Hotel) -> None:
    event = make(connect(), 1, event_type=HOSTILE, object_key=HOSTILE, error_message=HOSTILE)
    client = login(Role.VIEWER, hotel)
    for page in (reverse(LIST), reverse(ONE, args=[event.pk])):
        assert "<script>alert" not in client.get(page).text


def test_replay_says_how_many_and_asks(login: Callable[..., Client], connect: Connect, hotel: Hotel) -> None:
    integration = connect()
    events = [make(integration, number) for number in range(3)]
    make(integration, 3, status="done")
    client = login(Role.OPERATOR, hotel)
    matching = f"{reverse(REPLAY_MATCHING)}?status__exact=dead"
    assert "Have 3 events worked again?" in client.get(matching).text
    assert WebhookEvent.objects.filter(status="pending").count() == 0
    client.post(matching)
    assert set(WebhookEvent.objects.filter(status="pending").values_list("pk", flat=True)) == {event.pk for event in events}
    assert client.get(reverse(REPLAY_MATCHING)).status_code == 302  # without a filter it would be everything


def test_replay_of_one_event_is_noted_in_its_history(login: Callable[..., Client], connect: Connect, hotel: Hotel) -> None:
    event = make(connect(), 1)
    client = login(Role.OPERATOR, hotel)
    assert "Have 1 event worked again?" in client.get(reverse(REPLAY, args=[event.pk])).text
    client.post(reverse(REPLAY, args=[event.pk]))
    event.refresh_from_db()
    assert event.status == "pending"
    assert "Had it worked again." in client.get(reverse("admin:webhooks_webhookevent_history", args=[event.pk])).text


def test_neither_viewer_nor_stranger_replays(login: Callable[..., Client], connect: Connect, hotel: Hotel, other_hotel: Hotel) -> None:
    event = make(connect(), 1)
    for client in (login(Role.VIEWER, hotel), login(Role.MANAGER, other_hotel)):
        client.post(reverse(REPLAY, args=[event.pk]))
        client.post(f"{reverse(REPLAY_MATCHING)}?status__exact=dead")
        event.refresh_from_db()
        assert event.status == "dead"
    assert "menu_updated" not in client.get(reverse(LIST)).text
    assert client.get(reverse(REPLAY, args=[event.pk])).status_code == 404


def test_subscription_is_handled_for_the_manager(
    login: Callable[..., Client],
    connect: Connect,
    hotel: Hotel,
    other_hotel: Hotel,
    vendor: type[Vendor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "providers", lambda: {"vendor": Subscribing})
    integration = connect(provider="vendor", secret="")
    page = reverse("admin:webhooks_subscription", args=[integration.pk])
    assert login(Role.OPERATOR, hotel).post(page).status_code == 403
    assert login(Role.MANAGER, other_hotel).post(page).status_code == 404
    assert not integration.webhook_secrets.exists()
    client = login(Role.MANAGER, hotel)
    assert "wbhk_1" in client.get(page).text
    assert "is stored" in client.post(page, follow=True).text
    rotated = client.post(page, {"rotate": "wbhk_1"}, follow=True).text
    assert "The subscription has a new key" in rotated
    assert "key-of-the-vendor" not in rotated
    assert [secret.reveal()["secret"] for secret in (row.secret for row in integration.webhook_secrets.order_by("id"))] == [
        "first-key-of-the-vendor",
        "second-key-of-the-vendor",
    ]
    assert "Subscription" in client.get(reverse("admin:integrations_integration_change", args=[integration.pk])).text


def test_vendor_without_subscriptions_says_what_to_do(
    login: Callable[..., Client], connect: Connect, hotel: Hotel, vendor: type[Vendor]
) -> None:
    page = reverse("admin:webhooks_subscription", args=[connect(provider="vendor").pk])
    assert "enter the address and the secret there by hand" in login(Role.MANAGER, hotel).get(page).text


@pytest.mark.django_db(transaction=True)
def test_what_was_refused_at_the_door_is_shown_with_the_check_that_failed(
    login: Callable[..., Client], connect: Connect, hotel: Hotel, other_hotel: Hotel
) -> None:
    wrong, off, foreign = connect(), connect(status="inactive"), connect(hotel=other_hotel)
    door = ViewDoor()
    for integration, secret in ((wrong, "wrong-secret-wrong-secret"), (off, SECRET), (foreign, "wrong-secret-wrong-secret")):
        assert door.post(f"/api/webhooks/{integration.pk}", BODY, signed(BODY, secret)).status in (401, 403)
    client = login(Role.VIEWER, hotel)
    why = "1 × The signature does not match (signature_mismatch, body). If they are the vendor&#x27;s, check that the webhook secret"
    closed = "1 × This integration is switched off, so nothing is stored (integration_inactive, body). Switch the integration on"
    for address in (reverse("admin:index"), reverse(LIST)):
        page = client.get(address).text
        assert (page.count(why), page.count(closed)) == (1, 1)
    assert why in client.get(reverse("admin:integrations_integration_change", args=[wrong.pk])).text
    assert why not in client.get(f"{reverse(LIST)}?integration={off.pk}").text
    assert door.post("/api/webhooks/health", b"", method="GET").json["refused_in_an_hour"] == 3
    IntegrationLog.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert why not in client.get(reverse(LIST)).text


def test_vendors_new_secret_is_taken_from_the_page_at_once_and_a_short_one_refused(
    login: Callable[..., Client], connect: Connect, hotel: Hotel
) -> None:
    integration = connect()
    address = reverse("admin:integrations_integration_webhook_secret", args=[integration.pk])
    client = login(Role.MANAGER, hotel)
    assert (
        "a shorter secret can be guessed" in client.post(address, {"webhook_secret": "fifteen-letters", "at_once": "1"}, follow=True).text
    )
    assert active(integration) == {SECRET}
    page = client.post(address, {"webhook_secret": "the-vendors-own-new-secret", "at_once": "1"}, follow=True).text
    assert "the one before is refused" in page
    assert "the-vendors-own-new-secret" not in page
    assert active(integration) == {"the-vendors-own-new-secret"}
    [made] = active(integration) if client.post(address, {"at_once": "1"}).status_code == 200 else [""]
    assert len(bytes.fromhex(made)) == 32
