"""Differences through the API: conflicts decided, guests edited and split, rejected records read again, deletions confirmed."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from hotels.models import Guest, GuestQuestion, Hotel, Reservation, Verdict
from integrations import exceptions, records
from integrations.models import Conflict, ExternalReference, Integration, Operation, RejectedRecord, RunMode, SyncRun
from integrations.services.guests import decide
from integrations.tests.conftest import Connect
from integrations.tests.feed import Feed
from integrations.tests.stub import StubProvider
from integrations.tests.test_api_actions import at


@pytest.fixture
def pms(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel, "pms", provider_name="PMS")


@pytest.fixture
def guest(pms: Integration) -> Guest:
    """A guest the PMS brought, with a reservation."""
    Feed(pms).run(
        [records.Guest(external_id="G1", given_name="Eva", family_name="Ortner", email="o@example.com", phone="1")], stream="guests"
    )
    Feed(pms).run([records.Reservation(external_id="R1", guest_external_id="G1")], stream="reservations")
    return Guest.objects.get()


@pytest.fixture
def conflict(pms: Integration, guest: Guest) -> Conflict:
    Guest.objects.update(phone="2")
    told = records.Guest(external_id="G1", given_name="Eva", family_name="Ortner", email="o@example.com", phone="3")
    Feed(pms).run([told], stream="guests")
    return Conflict.objects.get()


def one(guest: Guest, more: str = "") -> str:
    return f"/api/hotels/{guest.hotel_id}/guests/{guest.pk}{more}"


class TestConflicts:
    def test_the_list_has_both_values_and_who_won(self, viewer: APIClient, pms: Integration, conflict: Conflict) -> None:
        (shown,) = viewer.get(at(pms, "conflicts?record_type=guest")).json()["results"]
        assert {name: shown[name] for name in ("field", "base_value", "vendor_value", "hotel_value", "winner", "rule", "applied_at")} == {
            "field": "phone", "base_value": "1", "vendor_value": "3", "hotel_value": "2", "winner": "vendor", "rule": "vendor_wins",
            "applied_at": None,
        }  # fmt: skip

    def test_the_loser_wins_and_the_vendor_is_told(
        self, operator: APIClient, pms: Integration, conflict: Conflict, stub: type[StubProvider], django_capture_on_commit_callbacks: Any
    ) -> None:
        for _ in range(2):
            with django_capture_on_commit_callbacks(execute=True):
                answer = operator.post(at(pms, f"conflicts/{conflict.pk}/apply"))
            assert answer.status_code == 200
            assert answer.json()["applied_at"]
        assert answer.json()["operations"] == []
        assert Guest.objects.get().phone == "2"
        assert [payload["changes"] for _, payload in stub.calls] == [{"phone": "2"}]
        assert Operation.objects.get().requested_by == operator.user

    def test_the_answer_names_what_tells_the_vendors(self, operator: APIClient, pms: Integration, conflict: Conflict) -> None:
        answer = operator.post(at(pms, f"conflicts/{conflict.pk}/apply")).json()
        assert [(o["name"], o["status"]) for o in answer["operations"]] == [("update_guest_info", "pending")]

    def test_what_can_no_longer_be_decided_says_why(self, operator: APIClient, pms: Integration, conflict: Conflict) -> None:
        Conflict.objects.create(integration=pms, record_type="guest", external_id="G1", object_id=1, field="phone", rule="vendor_wins")
        answer = operator.post(at(pms, f"conflicts/{conflict.pk}/apply"))
        assert answer.status_code == 400
        assert "newest" in answer.json()["errors"][0]["detail"]


class TestGuests:
    def test_a_guest_says_what_the_systems_call_them_and_why(self, viewer: APIClient, guest: Guest, connect: Connect, hotel: Hotel) -> None:
        crm = connect(hotel, "guest_management", provider_name="CRM")
        Feed(crm).run(
            [records.Guest(external_id="003", given_name="eva", family_name="Ortner", email="o@example.com")], stream="guest_data"
        )
        told = viewer.get(one(guest)).json()["references"]
        assert [(r["provider_name"], r["external_id"], r["matched_by"]) for r in told] == [
            ("PMS", "G1", ""),
            ("CRM", "003", "same name and e-mail"),
        ]
        assert all(r["id"] and r["integration_id"] for r in told)

    def test_an_edit_is_stored_and_goes_out(
        self, operator: APIClient, guest: Guest, stub: type[StubProvider], django_capture_on_commit_callbacks: Any
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            answer = operator.patch(one(guest), {"phone": "+43 1 2", "is_vip": True})
        told = answer.json()
        assert (answer.status_code, told["phone"], told["is_vip"], told["given_name"]) == (200, "+43 1 2", True, "Eva")
        assert [operation["name"] for operation in told["operations"]] == ["update_guest_info"]
        assert [payload["changes"] for _, payload in stub.calls] == [{"phone": "+43 1 2"}]
        assert operator.get(one(guest)).json()["phone"] == "+43 1 2"

    @pytest.mark.parametrize(
        ("body", "attr"), [({}, "body"), ({"email": "x"}, "email"), ({"hotel_id": 2}, "hotel_id"), ({"preferences": {}}, "preferences")]
    )
    def test_a_mistake_is_named(self, operator: APIClient, guest: Guest, body: dict[str, Any], attr: str) -> None:
        answer = operator.patch(one(guest), body)
        assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, attr)

    def test_two_people_taken_for_one_are_split(self, operator: APIClient, guest: Guest, connect: Connect, hotel: Hotel) -> None:
        crm = connect(hotel, "guest_management")
        Feed(crm).run(
            [records.Guest(external_id="003", given_name="Max", family_name="Ortner", email="o@example.com")], stream="guest_data"
        )
        decide(GuestQuestion.objects.get(), Verdict.SAME)
        reference = ExternalReference.objects.get(external_id="003")
        answer = operator.post(one(guest, "/split"), {"reference_id": reference.pk})
        assert (answer.status_code, answer.json()["given_name"]) == (201, "Max")
        assert [r["matched_by"] for r in answer.json()["references"]] == ["split by hand"]
        assert Reservation.objects.get().guest == guest

    def test_only_the_guests_own_references_can_be_split_off(
        self, operator: APIClient, guest: Guest, connect: Connect, other_hotel: Hotel
    ) -> None:
        foreign = connect(other_hotel, "pms")
        Feed(foreign).run([records.Guest(external_id="G9")], stream="guests")
        for reference_id in (ExternalReference.objects.get(external_id="G9").pk, ExternalReference.objects.get(external_id="R1").pk, 10**9):
            answer = operator.post(one(guest, "/split"), {"reference_id": reference_id})
            assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "reference_id")

    def test_what_is_not_joined_cannot_be_split(self, operator: APIClient, guest: Guest) -> None:
        answer = operator.post(one(guest, "/split"), {"reference_id": ExternalReference.objects.get(external_id="G1").pk})
        assert "nothing to split" in answer.json()["errors"][0]["detail"]


class TestRejectedRecords:
    @pytest.fixture
    def rejected(self, pms: Integration) -> list[int]:
        Feed(pms).run([records.Guest(external_id=f"G{n}", phone="x" * 99) for n in (1, 2)], stream="guests")
        return list(RejectedRecord.objects.order_by("external_id").values_list("pk", flat=True))

    def test_they_are_read_again(self, operator: APIClient, pms: Integration, rejected: list[int]) -> None:
        answer = operator.post(at(pms, "rejected-records/retry"), {})
        told = answer.json()
        assert (answer.status_code, told["tried"], told["waiting"], told["runs"][0]["mode"]) == (202, 2, 2, "full")

    def test_only_those_that_are_named(
        self, operator: APIClient, pms: Integration, rejected: list[int], stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        streams = tuple(stream.model_copy(update={"by_id": True}) for stream in stub.manifest.streams)
        monkeypatch.setattr(stub, "manifest", stub.manifest.model_copy(update={"streams": streams}))
        answer = operator.post(at(pms, "rejected-records/retry"), {"ids": rejected[:1]})
        told = answer.json()
        assert (answer.status_code, told["tried"], told["left"], told["runs"][0]["mode"]) == (200, 1, 1, "refresh")
        assert stub.calls[-1][1].external_ids == ("G1",)

    @pytest.mark.parametrize("body", [{"stream": "menus"}, {"ids": []}, {"ids": [2**62]}])
    def test_nothing_to_read_is_no_mistake(self, operator: APIClient, pms: Integration, rejected: list[int], body: dict[str, Any]) -> None:
        assert operator.post(at(pms, "rejected-records/retry"), body).json()["tried"] == 0

    @pytest.mark.parametrize("body", [{"ids": [0]}, {"ids": [2**63]}, {"ids": ["x"]}, {"id": 1}, []])
    def test_a_mistake_is_named(self, operator: APIClient, pms: Integration, body: Any) -> None:
        assert operator.post(at(pms, "rejected-records/retry"), body).status_code == 400

    def test_a_paused_integration_says_what_to_do(self, operator: APIClient, pms: Integration, rejected: list[int]) -> None:
        Integration.objects.update(status="inactive")
        answer = operator.post(at(pms, "rejected-records/retry"), {})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, exceptions.IntegrationInactive.code)


class TestDeletions:
    def test_confirming_them_reads_everything(self, operator: APIClient, pms: Integration) -> None:
        answer = operator.post(at(pms, "sync"), {"sync_type": "rooms", "confirm_deletions": True})
        assert (answer.status_code, answer.json()["mode"]) == (202, "full")
        assert SyncRun.objects.get().confirm_deletions

    def test_a_range_of_dates_deletes_nothing_and_cannot_be_confirmed(self, operator: APIClient, pms: Integration) -> None:
        body = {"sync_type": "rooms", "confirm_deletions": True, "start_date": "2026-01-01"}
        assert operator.post(at(pms, "sync"), body).status_code == 400
        assert not SyncRun.objects.filter(mode=RunMode.BACKFILL).exists()
