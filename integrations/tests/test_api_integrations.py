"""Connecting vendors through the API: what is stored, what is shown, and what is refused with which sentence."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from hotels.models import Guest, Hotel, Role
from hotels.tests.people import Caller
from integrations.models import Integration, WebhookSecret
from integrations.security import keyring
from integrations.services.setup import update_integration
from integrations.tests.conftest import Connect
from integrations.tests.stub import StubProvider

SECRET = "stub-access-token-4711"
WEBHOOK_SECRET = "stub-webhook-secret-0815"


@pytest.fixture
def body(hotel: Hotel, stub: type[StubProvider]) -> dict[str, Any]:
    return {
        "hotel_id": hotel.pk,
        "integration_type": "pos",
        "provider_name": "Stub POS",
        "provider_version": "2.0",
        "config": {"baseUrl": "https://stub.example.com", "endpoints": {"menus": "/menus"}},
        "credentials": {"accessToken": SECRET, "locationId": "L1"},
        "webhook_url": "https://hotel.example.com/api/webhooks/1",
        "webhook_secret": WEBHOOK_SECRET,
        "sync_settings": {"auto_sync": True, "sync_interval": "hourly"},
    }


def errors(answer: Any) -> dict[str | None, str]:
    return {error["attr"]: error["detail"] for error in answer.json()["errors"]}


class TestConnecting:
    def test_a_vendor_is_connected_and_no_secret_comes_back(self, manager: APIClient, body: dict[str, Any]) -> None:
        answer = manager.post("/api/integrations", body)
        assert answer.status_code == 201, answer.content
        shown = answer.json()
        assert (shown["provider"], shown["status"], shown["hotel_id"]) == ("stub", "active", body["hotel_id"])
        assert any("endpoints" in warning for warning in shown["warnings"])
        token, location = shown["credentials"]
        assert (token["name"], token["is_set"], token["ends_in"], token["value"]) == ("access_token", True, "…11", None)
        assert (location["name"], location["value"]) == ("location_id", "L1")
        assert [secret["is_active"] for secret in shown["webhook_secrets"]] == [True]
        everywhere = answer.content + b"".join(
            manager.get(address).content
            for address in ("/api/integrations", f"/api/integrations/{shown['id']}", "/api/integrations/providers")
        )
        assert SECRET.encode() not in everywhere
        assert WEBHOOK_SECRET.encode() not in everywhere

    @pytest.mark.parametrize(
        ("change", "attr", "words"),
        [
            ({"provider": "nobody"}, "provider", "Known: stub"),
            ({"integration_type": "bar"}, "integration_type", "pos, pms, guest_management"),
            ({"credentials": {}}, "credentials.access_token", "required"),
            ({"credentials": "token"}, "credentials", "JSON object"),
            ({"config": {"baseUrl": "https://169.254.169.254"}, "environment": "nowhere"}, "environment", "production"),
            ({"webhook_url": "hotel"}, "webhook_url", "https://"),
            ({"webhook_secret": "fifteen-letters"}, "webhook_secret", "16"),
            ({"hotel_id": None}, "hotel_id", "GET /api/hotels"),
            ({"hotel_id": "1"}, "hotel_id", "GET /api/hotels"),
            ({"hotel_id": 10**30}, "hotel_id", "GET /api/hotels"),
            ({"webhook_secrt": "x"}, "webhook_secrt", "spelling"),
            ({"uuid": "x", "tokens": {}}, "tokens", "spelling"),
        ],
    )
    def test_a_mistake_is_named_with_its_cure(
        self, manager: APIClient, body: dict[str, Any], change: dict[str, Any], attr: str, words: str
    ) -> None:
        answer = manager.post("/api/integrations", body | change)
        assert answer.status_code == 400, answer.content
        assert words in errors(answer)[attr]
        assert not Integration.objects.exists()
        assert not WebhookSecret.objects.exists()

    @pytest.mark.parametrize("data", [[], "x", 7, None])
    def test_what_is_no_object_is_refused(self, manager: APIClient, stub: Any, data: Any) -> None:
        assert manager.post("/api/integrations", data).status_code == 400

    def test_another_hotel_answers_like_one_that_never_existed(self, manager: APIClient, body: dict[str, Any], other_hotel: Hotel) -> None:
        headers = {"X-Request-Id": "the-same-request"}
        foreign, absent = (manager.post("/api/integrations", body | {"hotel_id": pk}, headers=headers) for pk in (other_hotel.pk, 999_999))
        assert (foreign.status_code, foreign.content) == (absent.status_code, absent.content)
        assert foreign.status_code == 400

    @pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
    def test_connecting_takes_a_manager(self, caller: Caller, hotel: Hotel, body: dict[str, Any], role: Role) -> None:
        answer = caller(role, hotel).post("/api/integrations", body)
        assert answer.status_code == 403
        assert "manager" in answer.json()["errors"][0]["detail"]


class TestChanging:
    @pytest.fixture
    def integration(self, connect: Connect, hotel: Hotel) -> Integration:
        return connect(hotel, config={"base_url": "https://stub.example.com"}, webhook_secret=WEBHOOK_SECRET)

    def stored(self, integration: Integration) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        integration = Integration.objects.get(pk=integration.pk)
        return integration.credentials.reveal(), [secret.secret.reveal() for secret in integration.webhook_secrets.all()]

    def test_what_was_read_can_be_written_back(self, manager: APIClient, integration: Integration) -> None:
        address = f"/api/integrations/{integration.pk}"
        before, secrets = manager.get(address).json(), self.stored(integration)
        answer = manager.put(address, before)
        assert answer.status_code == 200, answer.content
        after = answer.json()
        assert after.pop("warnings") == []
        assert {**after, "updated_at": None} == {**before, "updated_at": None}
        assert self.stored(integration) == secrets

    @pytest.mark.parametrize("credentials", [None, {}, {"access_token": ""}, {"access_token": "…11"}, {"access_token": "••••11"}])
    @pytest.mark.parametrize("method", ["put", "patch"])
    def test_other_fields_never_touch_the_credentials(
        self, manager: APIClient, integration: Integration, method: str, credentials: Any
    ) -> None:
        secrets = self.stored(integration)
        change = {"integration_type": "pos", "provider": "stub", "provider_name": "Renamed", "credentials": credentials}
        answer = getattr(manager, method)(f"/api/integrations/{integration.pk}", change)
        assert answer.status_code == 200, answer.content
        assert answer.json()["provider_name"] == "Renamed"
        assert self.stored(integration) == secrets

    def test_a_new_secret_replaces_the_old_one(self, manager: APIClient, integration: Integration) -> None:
        answer = manager.patch(f"/api/integrations/{integration.pk}", {"credentials": {"accessToken": "another-token-4712"}})
        assert answer.json()["credentials"][0]["ends_in"] == "…12"
        assert self.stored(integration)[0]["access_token"] == "another-token-4712"

    def test_only_listed_fields_can_be_written(self, manager: APIClient, integration: Integration) -> None:
        before = Integration.objects.values().get(pk=integration.pk)
        shown_only = {"id": 99, "error_count": 7, "last_error": "x", "sync_status": "x", "next_sync_at": None, "webhook_secrets": []}
        assert manager.patch(f"/api/integrations/{integration.pk}", shown_only).status_code == 200
        hidden = {"uuid": "x", "tokens": {}, "hotel": 1, "token_version": 9, "credentials_set_at": None}
        refused = manager.patch(f"/api/integrations/{integration.pk}", hidden)
        assert set(errors(refused)) == set(hidden)
        after = Integration.objects.values().get(pk=integration.pk)
        assert {**after, "updated_at": None, "next_sync_at": None} == {**before, "updated_at": None, "next_sync_at": None}

    def test_a_change_does_not_undo_what_a_worker_stored_meanwhile(self, integration: Integration) -> None:
        worker, person = (Integration.objects.get(pk=integration.pk) for _ in range(2))
        worker.tokens, worker.token_version, worker.error_count = {"access_token": "fresh"}, 1, 3
        worker.save()
        update_integration(person, {"provider_name": "Renamed"}, partial=True)
        integration.refresh_from_db()
        assert (integration.provider_name, integration.token_version, integration.error_count) == ("Renamed", 1, 3)
        assert integration.tokens.reveal() == {"access_token": "fresh"}

    def test_an_integration_stays_with_its_hotel(self, manager: APIClient, integration: Integration, other_hotel: Hotel) -> None:
        answer = manager.patch(f"/api/integrations/{integration.pk}", {"hotel_id": other_hotel.pk})
        assert answer.status_code == 400
        assert "hotel_id" in errors(answer)

    def test_a_key_that_is_gone_hides_one_integrations_credentials_not_the_list(
        self, manager: APIClient, integration: Integration, settings: Any
    ) -> None:
        settings.ENCRYPTION_KEY = keyring.new_entry()
        shown = manager.get("/api/integrations").json()["results"]
        assert [row["credentials"] for row in shown] == [None]

    def test_the_connection_goes_and_the_hotels_records_stay(self, manager: APIClient, integration: Integration, hotel: Hotel) -> None:
        Guest.objects.create(hotel=hotel, family_name="Ortner")
        assert manager.delete(f"/api/integrations/{integration.pk}").status_code == 204
        assert not Integration.objects.exists()
        assert Guest.objects.count() == 1


class TestListing:
    def test_the_documented_filters(self, manager: APIClient, connect: Connect, hotel: Hotel) -> None:
        connect(hotel)
        connect(hotel, "pms", status="inactive")
        shown = manager.get(f"/api/integrations?hotel_id={hotel.pk}&integration_type=pos&status=active&provider=stub").json()
        assert [row["integration_type"] for row in shown["results"]] == ["pos"]

    def test_a_longer_list_takes_no_more_queries(
        self, manager: APIClient, connect: Connect, hotel: Hotel, django_assert_max_num_queries: Any
    ) -> None:
        for _ in range(8):
            connect(hotel, webhook_secret=WEBHOOK_SECRET)
        manager.get("/api/hotels")
        with django_assert_max_num_queries(10):
            assert len(manager.get("/api/integrations").json()["results"]) == 8

    def test_the_catalogue_says_what_a_vendor_needs_and_offers(self, viewer: APIClient, stub: type[StubProvider]) -> None:
        provider = viewer.get("/api/integrations/providers").json()[0]
        assert provider["credentials"]["required"] == ["access_token"]
        assert provider["credentials"]["properties"]["access_token"]["format"] == "password"
        assert "menus" in [stream["name"] for stream in provider["streams"]]
        assert {"name": "void_check", "label": "void_check", "writes": True, "idempotency": "native"} in provider["operations"]


@pytest.mark.parametrize("interval", [None, 5.5, [60], {"minutes": 60}])
def test_an_interval_of_another_kind_is_refused_by_the_field(manager: APIClient, connect: Connect, hotel: Hotel, interval: Any) -> None:
    answer = manager.patch(f"/api/integrations/{connect(hotel).pk}", {"sync_settings": {"sync_interval": interval}})
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "sync_settings.sync_interval")
