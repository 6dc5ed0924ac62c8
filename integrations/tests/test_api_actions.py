"""What the API does at a vendor: tests, syncs, writes and reads, and how each outcome is answered."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from pydantic.alias_generators import to_camel
from rest_framework.test import APIClient

from hotels.models import Guest, GuestCheck, Hotel
from hotels.rates import Rates
from integrations import exceptions
from integrations.api.guest_management import CHAT_MESSAGE, FEEDBACK, NOTIFICATION
from integrations.api.pms import CHARGE, CHECK_IN, CHECK_OUT, REQUEST
from integrations.api.pos import CHECK
from integrations.models import Integration, Operation, OperationStatus, RunStatus, SyncRun
from integrations.services.service import IntegrationService
from integrations.tests.conftest import Connect
from integrations.tests.stub import StubProvider

ITEMS = {"items": [{"name": "Omelette", "quantity": 2, "unit_price": 15.99, "total_price": 31.98}]}


@pytest.fixture
def pos(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel, "pos")


@pytest.fixture
def pms(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel, "pms")


@pytest.fixture
def crm(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel, "guest_management")


@pytest.fixture
def check(hotel: Hotel) -> dict[str, Any]:
    guest = Guest.objects.create(hotel=hotel, family_name="Ortner")
    return CHECK | ITEMS | {"guest_id": guest.pk}


def at(integration: Integration, path: str) -> str:
    return f"/api/integrations/{integration.pk}/{path}"


class TestTesting:
    def test_a_good_connection(self, operator: APIClient, pos: Integration) -> None:
        answer = operator.post(at(pos, "test"))
        assert answer.status_code == 200
        assert answer.json() | {"processing_time": 0} == {
            "success": True, "connection": "ok", "message": "Connected.", "hint": "", "code": "", "details": {"location": ""},
            "processing_time": 0,
        }  # fmt: skip

    def test_a_refused_token_is_an_outcome_not_an_error(self, operator: APIClient, pos: Integration, stub: type[StubProvider]) -> None:
        stub.failures["test_connection"] = exceptions.AuthenticationFailed()
        answer = operator.post(at(pos, "test"))
        assert (answer.status_code, answer.json()["success"], answer.json()["connection"]) == (200, False, "failed")
        assert answer.json()["hint"]


class TestSyncing:
    def test_a_sync_is_queued_and_an_open_one_is_not_doubled(self, operator: APIClient, pos: Integration) -> None:
        first, second = (operator.post(at(pos, "sync"), {"sync_type": "menus"}) for _ in range(2))
        assert (first.status_code, second.status_code) == (202, 202)
        assert first.json()["id"] == second.json()["id"]
        assert first.json()["status"] == "queued"
        assert SyncRun.objects.count() == 1

    def test_a_sync_that_is_over_when_we_answer_is_a_200(
        self, operator: APIClient, pos: Integration, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(IntegrationService, "request_sync", lambda self, stream, **options: (self.sync(stream, **options), True))
        answer = operator.post(at(pos, "sync"), {"sync_type": "menus"})
        assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
        assert answer.json()["summary"] == "Stored 0, unchanged 0, deleted 0, rejected 0"

    def test_dates_make_a_backfill(self, operator: APIClient, pms: Integration) -> None:
        body = {"sync_type": "reservations", "start_date": "2024-01-01", "end_date": "2024-12-31"}
        run = operator.post(at(pms, "sync"), body).json()
        assert (run["mode"], run["since"]) == ("backfill", "2024-01-01")

    @pytest.mark.parametrize(
        ("body", "attr", "words"),
        [
            ({"sync_type": "menu"}, "sync_type", "menus"),
            ({}, "sync_type", "required"),
            ({"sync_type": "menus", "start_date": "2024-02-01", "end_date": "2024-01-01"}, "end_date", "before"),
            ({"sync_type": "menus", "start_date": "yesterday"}, "start_date", "date"),
            ({"sync_type": "menus", "fulll": True}, "fulll", "spelling"),
            ({"sync_type": "menus", "syncType": "menus"}, "sync_type", "twice"),
        ],
    )
    def test_a_mistake_is_named_with_its_cure(
        self, operator: APIClient, pos: Integration, body: dict[str, Any], attr: str, words: str
    ) -> None:
        answer = operator.post(at(pos, "sync"), body)
        assert answer.status_code == 400
        error = answer.json()["errors"][0]
        assert error["attr"] == attr
        assert words in error["detail"]

    @pytest.mark.parametrize(("asked", "stream"), [("chat", "chat_messages"), ("guests", "guests"), ("guest_data", "guest_data")])
    def test_a_stream_answers_to_what_people_call_it(self, operator: APIClient, pms: Integration, asked: str, stream: str) -> None:
        assert operator.post(at(pms, "sync"), {"syncType": asked}).json()["stream"] == stream

    def test_an_integration_that_is_switched_off_says_what_to_do(self, operator: APIClient, connect: Connect, hotel: Hotel) -> None:
        answer = operator.post(at(connect(hotel, status="inactive"), "sync"), {"sync_type": "menus"})
        assert answer.status_code == 409
        assert answer.json()["errors"][0]["code"] == "integration_inactive"
        assert "active" in answer.json()["hint"]

    def test_a_run_shows_its_progress(self, operator: APIClient, pos: Integration) -> None:
        run = operator.post(at(pos, "sync"), {"sync_type": "menus"}).json()
        SyncRun.objects.update(status=RunStatus.RUNNING, created_count=412, total=9000)
        shown = operator.get(at(pos, f"sync-runs/{run['id']}")).json()
        assert (shown["status"], shown["created"], shown["total"]) == ("running", 412, 9000)
        assert operator.get(at(pos, "sync-runs?stream=menus&status=running")).json()["results"]


class TestWriting:
    def test_a_check_is_posted_and_voided(
        self, operator: APIClient, pos: Integration, stub: type[StubProvider], check: dict[str, Any]
    ) -> None:
        posted = operator.post(at(pos, "checks"), check)
        assert posted.status_code == 201, posted.content
        assert posted.json()["status"] == "done"
        assert str(GuestCheck.objects.get(pk=posted.json()["object_id"]).total) == "34.5400"
        reference = posted.json()["vendor_reference"]
        assert operator.post(at(pos, f"checks/{reference}/void"), {"reason": "Guest request"}).status_code == 201
        assert [name for name, _ in stub.calls] == ["post_guest_check", "void_check"]

    def test_hospients_own_id_in_an_address_is_marked(
        self, operator: APIClient, pos: Integration, stub: type[StubProvider], check: dict[str, Any]
    ) -> None:
        posted = operator.post(at(pos, "checks"), check).json()
        assert operator.post(at(pos, f"checks/id:{posted['object_id']}/void")).status_code == 201
        assert stub.calls[-1][1]["check_external_id"] == posted["vendor_reference"]
        assert operator.post(at(pos, "checks/id:999999/void")).status_code == 404

    @pytest.mark.parametrize(
        ("kind", "method", "path", "body", "operation"),
        [
            ("pms", "post", "check-ins", CHECK_IN, "post_check_in"),
            ("pms", "post", "check-outs", CHECK_OUT, "post_check_out"),
            ("pms", "post", "charges", CHARGE, "post_charge"),
            ("pms", "post", "requests", REQUEST, "send_request"),
            ("pms", "put", "guests/g1", {"email": "eva@example.com"}, "update_guest_info"),
            ("guest_management", "post", "feedback", FEEDBACK, "post_feedback"),
            ("guest_management", "post", "chat-messages", CHAT_MESSAGE, "post_chat_message"),
            ("guest_management", "post", "notifications", NOTIFICATION, "post_notification"),
            ("guest_management", "put", "notifications/n1/status", {"status": "read"}, "update_notification_status"),
        ],
    )
    def test_every_write_reaches_the_vendor(
        self, operator: APIClient, connect: Connect, hotel: Hotel, stub: type[StubProvider], kind: str, method: str, path: str,
        body: dict[str, Any], operation: str,
    ) -> None:  # fmt: skip
        ids = {"guest_id": Guest.objects.create(hotel=hotel, family_name="Ortner").pk, "hotel_id": hotel.pk}
        asked = body | {name: value for name, value in ids.items() if name in body}
        answer = getattr(operator, method)(at(connect(hotel, kind), path), asked)
        assert answer.status_code == 201, answer.content
        assert [name for name, _ in stub.calls] == [operation]

    def test_the_same_key_acts_once(self, operator: APIClient, pos: Integration, stub: type[StubProvider], check: dict[str, Any]) -> None:
        key = {"Idempotency-Key": "a-key-of-the-caller", "X-Request-Id": "the-callers-request"}
        first, second = (operator.post(at(pos, "checks"), check, headers=key) for _ in range(2))
        assert first.json() == second.json()
        assert first.json()["idempotency_key"] == "a-key-of-the-caller"
        assert len(stub.calls) == 1
        assert Operation.objects.get().requested_by == operator.user
        assert Operation.objects.get().correlation_id == "the-callers-request"
        other = operator.post(at(pos, "checks"), check | {"room_number": "102"}, headers=key)
        assert other.status_code == 400
        assert other.json()["errors"][0]["attr"] == "Idempotency-Key"

    def test_the_same_key_at_another_integration_is_another_request(
        self, operator: APIClient, pos: Integration, connect: Connect, hotel: Hotel, stub: type[StubProvider], check: dict[str, Any]
    ) -> None:
        key = {"Idempotency-Key": "a-key-of-the-caller"}
        first = operator.post(at(pos, "checks"), check, headers=key)
        second = operator.post(at(connect(hotel), "checks"), check | {"room_number": "102"}, headers=key)
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.json()["id"] != second.json()["id"]
        assert len(stub.calls) == 2

    @pytest.mark.parametrize("key", ["two words", "x" * 193, "ü"])
    def test_a_key_that_is_none_is_refused(self, operator: APIClient, pos: Integration, check: dict[str, Any], key: str) -> None:
        answer = operator.post(at(pos, "checks"), check, headers={"Idempotency-Key": key})
        assert answer.status_code == 400
        assert not Operation.objects.exists()

    def test_a_vendor_that_is_busy_leaves_a_202(
        self, operator: APIClient, pos: Integration, stub: type[StubProvider], check: dict[str, Any]
    ) -> None:
        stub.failures["post_guest_check"] = exceptions.ProviderUnavailable()
        answer = operator.post(at(pos, "checks"), check)
        assert (answer.status_code, answer.json()["status"]) == (202, "pending")
        assert answer.json()["next_attempt_at"]

    def test_a_vendor_that_refuses_says_why_and_leaves_the_operation(
        self, operator: APIClient, pos: Integration, stub: type[StubProvider], check: dict[str, Any]
    ) -> None:
        stub.failures["post_guest_check"] = exceptions.RequestRejected("The location is closed.")
        answer = operator.post(at(pos, "checks"), check)
        assert answer.status_code == 422
        body = answer.json()
        assert body["errors"] == [{"code": "request_rejected", "detail": "The location is closed.", "attr": None}]
        assert body["hint"]
        operation = operator.get(at(pos, f"operations/{body['operation_id']}")).json()
        assert operation["status"] == "dead"
        stub.failures.clear()
        assert operator.post(at(pos, f"operations/{body['operation_id']}/retry")).status_code == 201

    def test_what_is_done_is_not_retried(self, operator: APIClient, pos: Integration, check: dict[str, Any]) -> None:
        operation = operator.post(at(pos, "checks"), check).json()
        assert operator.post(at(pos, f"operations/{operation['id']}/retry")).status_code == 400

    @pytest.mark.parametrize(
        ("change", "attr"),
        [
            ({"total": 1}, "total"),
            ({"items": []}, "items"),
            ({"items": [{"menu_id": 999_999, "quantity": 2, "unit_price": 15.99, "total_price": 31.98}]}, "items.0.menu_id"),
            ({"guest_id": 999_999}, "guest_id"),
            ({"guest_id": 10**30}, "guest_id"),
            ({"reservation_id": -(10**30)}, "reservation_id"),
            ({"currency": "euro"}, "currency"),
            ({"guestIds": 1}, "guestIds"),
            ({"guest_id": None, "guestId": 999_999}, "guest_id"),
            ({"roomNumber": 101}, "room_number"),
        ],
    )
    def test_a_bad_check_names_the_field(
        self, operator: APIClient, pos: Integration, check: dict[str, Any], change: dict[str, Any], attr: str
    ) -> None:
        answer = operator.post(at(pos, "checks"), check | change)
        assert answer.status_code == 400, answer.content
        assert attr in [error["attr"] for error in answer.json()["errors"]]
        assert not GuestCheck.objects.exists()

    def test_names_in_camel_case_are_ours_too(self, operator: APIClient, pos: Integration, check: dict[str, Any]) -> None:
        camel = {to_camel(name): value for name, value in check.items() if name != "items"}
        camel["items"] = [{to_camel(name): value for name, value in item.items()} for item in check["items"]]
        meant = {"Repeat": "intended"}  # by value it is the same check twice
        first, second = (operator.post(at(pos, "checks"), body, headers=meant).json() for body in (check, camel))
        kept = [dict(row) for row in GuestCheck.objects.order_by("pk").values("subtotal", "total", "room_number")]
        assert first["status"] == second["status"] == "done", second
        assert kept[0] == kept[1]

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b'"x"', b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\u0000"}', b'{"a": "\\ud800"}', b"[" * 100_000, b"\xff",
                 b'{"a": ' + b"9" * 5000 + b"}"],
    )  # fmt: skip
    def test_a_hostile_body_is_refused(self, operator: APIClient, pos: Integration, body: bytes) -> None:
        answer = operator.post(at(pos, "checks"), body, content_type="application/json")
        assert answer.status_code == 400
        assert answer.json()["errors"]

    def test_only_json_is_read(self, operator: APIClient, pos: Integration) -> None:
        assert operator.post(at(pos, "checks"), {"a": "b"}, format="multipart").status_code == 415


class TestAsking:
    @pytest.mark.parametrize(
        ("kind", "path", "found"),
        [
            ("pos", "checks/check_123", "open"),
            ("pms", "rooms", "101"),
            ("pms", "rooms/101/status", "clean"),
            ("pms", "guests/g1", "Ortner"),
            ("guest_management", "feedback?limit=10", "5"),
            ("guest_management", "chat-messages?since=2026-01-01T00:00:00Z", "Towels?"),
            ("guest_management", "notifications", "Pool"),
            ("guest_management", "guests/g1/preferences", "soft"),
        ],
    )
    def test_a_viewer_may_ask_the_vendor(self, viewer: APIClient, connect: Connect, hotel: Hotel, kind: str, path: str, found: str) -> None:
        answer = viewer.get(at(connect(hotel, kind), path))
        assert answer.status_code == 200, answer.content
        assert found in answer.content.decode()

    @pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "since=yesterday", "room=1", "guest_id=id:999999"])
    def test_a_bad_filter_is_refused(self, viewer: APIClient, crm: Integration, query: str) -> None:
        assert viewer.get(at(crm, f"feedback?{query}")).status_code == 400

    def test_what_the_vendor_does_not_know_is_not_found(self, viewer: APIClient, pos: Integration, stub: type[StubProvider]) -> None:
        stub.failures["get_check_status"] = exceptions.RequestRejected("There is no such order.", status=404)
        answer = viewer.get(at(pos, "checks/nothing"))
        assert (answer.status_code, answer.json()["errors"][0]["detail"]) == (404, "There is no such order.")

    def test_what_a_vendor_cannot_do_is_said(self, viewer: APIClient, pos: Integration, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(StubProvider, "manifest", StubProvider.manifest.model_copy(update={"operations": ()}))
        answer = viewer.get(at(pos, "checks/check_123"))
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "unsupported_operation")


class TestErrors:
    """Through a read, which raises what the vendor's refusal is."""

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (exceptions.AuthenticationFailed(), 502),
            (exceptions.ReauthorizationRequired(), 502),
            (exceptions.UnexpectedResponse(), 502),
            (exceptions.ProviderUnavailable(), 503),
            (exceptions.CircuitOpen(), 503),
            (exceptions.RequestRejected(), 422),
            (exceptions.VersionConflict(), 409),
            (exceptions.DecryptionFailed(), 409),
            (exceptions.CredentialsMissing(), 409),
            (exceptions.EgressBlocked(), 409),
        ],
    )
    def test_each_has_its_status_code_and_hint(
        self, viewer: APIClient, pos: Integration, stub: type[StubProvider], error: exceptions.HospientError, status: int
    ) -> None:
        stub.failures["get_check_status"] = error
        answer = viewer.get(at(pos, "checks/check_123"), headers={"X-Request-Id": "follow-me-through"})
        assert answer.status_code == status
        body = answer.json()
        assert body["errors"] == [{"code": error.code, "detail": error.message, "attr": None}]
        # Nobody asks again for who only wanted to read.
        assert body["hint"] == (
            error.hint or ("Ask again: nothing repeats a request by itself that was refused here." if error.retryable else "")
        )
        assert body["correlation_id"] == answer.headers["X-Request-Id"] == "follow-me-through"

    def test_a_vendor_that_asks_to_wait_is_passed_on(self, viewer: APIClient, pos: Integration, stub: type[StubProvider]) -> None:
        stub.failures["get_check_status"] = exceptions.RateLimited(retry_at=timezone.now() + timedelta(seconds=90))
        answer = viewer.get(at(pos, "checks/check_123"))
        assert answer.status_code == 503
        assert 85 <= int(answer.headers["Retry-After"]) <= 90

    def test_a_busy_database_asks_to_come_back(self, viewer: APIClient, pos: Integration, stub: type[StubProvider]) -> None:
        stub.failures["get_check_status"] = OperationalError("database is locked")
        answer = viewer.get(at(pos, "checks/check_123"))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "locked" not in answer.content.decode()

    def test_a_bug_shows_nothing_of_itself(self, viewer: APIClient, pos: Integration, stub: type[StubProvider]) -> None:
        stub.failures["get_check_status"] = KeyError("/srv/hospient/secret.py")
        answer = viewer.get(at(pos, "checks/check_123"))
        assert answer.status_code == 500
        assert b"secret.py" not in answer.content
        assert b"Traceback" not in answer.content

    @pytest.mark.parametrize("path", ["/api/nothing", "/api/integrations/x", "/api/hotels/1/rooms/%00", f"/api/hotels/{'9' * 5000}"])
    def test_an_address_that_is_none_is_json_too(self, viewer: APIClient, path: str) -> None:
        answer = viewer.get(path)
        assert answer.status_code == 404
        assert answer.json()["errors"][0] == {"code": "not_found", "detail": "Not found.", "attr": None}


class TestLimits:
    def test_reads_and_writes_of_a_user_at_a_hotel_are_counted_and_told(
        self, operator: APIClient, viewer: APIClient, pos: Integration, pms: Integration, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.API_RATES = settings.API_RATES | {"reads": "3/m", "writes": "1/m"}
        monkeypatch.setattr(
            "hotels.api.rates._rates", Rates(prefix="tests", clock=lambda: 1_000_060.0)
        )  # twenty seconds before a minute ends
        records = f"/api/hotels/{pos.hotel_id}/menu-items"
        answers = [operator.get(path) for path in (records, at(pos, "logs"), at(pms, "operations"), f"{records}/1")]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert (answers[0]["RateLimit-Limit"], answers[0]["RateLimit-Reset"], answers[3]["Retry-After"]) == ("3", "20", "20")
        assert viewer.get(records).status_code == 200
        writes = [operator.post(at(pos, "test")) for _ in range(2)]
        assert [(answer.status_code, answer["RateLimit-Limit"]) for answer in writes] == [(200, "1"), (429, "1")]

    def test_an_integration_takes_only_so_many_calls_a_minute(
        self, operator: APIClient, pos: Integration, pms: Integration, settings: Any
    ) -> None:
        settings.API_RATES = settings.API_RATES | {"pos": "3/m"}
        codes = [operator.post(at(pos, "test")).status_code for _ in range(4)]
        assert codes == [200, 200, 200, 429]
        assert operator.post(at(pms, "test")).status_code == 200
        assert operator.get(at(pos, "logs")).status_code == 200


class TestLogs:
    @pytest.mark.parametrize(
        ("error", "query"),
        [
            (None, "operation_type=api_call&status=success&direction=bidirectional"),
            (exceptions.ProviderUnavailable(), "operation_type=api_call&status=pending&direction=outbound"),
            (exceptions.RequestRejected("The room is taken."), "operation_type=error&status=failed&direction=outbound"),
        ],
        ids=["done", "waits", "given up"],
    )
    def test_what_became_of_an_operation_is_a_line(
        self, operator: APIClient, pos: Integration, stub: type[StubProvider], check: dict[str, Any], error: Any, query: str
    ) -> None:
        if error:
            stub.failures["post_guest_check"] = error
        operator.post(at(pos, "checks"), check)
        [line] = operator.get(at(pos, f"logs?{query}")).json()["results"]
        assert (line["operation_name"], line["request_data"]["operation"]) == ("post_guest_check", Operation.objects.get().pk)
        assert line["error_code"] == (error.code if error else "")

    def test_the_documented_filters(self, operator: APIClient, pos: Integration) -> None:
        operator.post(at(pos, "test"), headers={"X-Request-Id": "follow-me-through"})
        query = "operation_type=test&status=success&direction=outbound&correlation_id=follow-me-through&since=2020-01-01T00:00:00Z&limit=50&offset=0"
        rows = operator.get(at(pos, f"logs?{query}")).json()["results"]
        assert [row["operation_name"] for row in rows] == ["test_connection"]
        assert operator.get(at(pos, "logs?operation_type=sync")).json()["results"] == []

    @pytest.mark.parametrize("path", ["logs", "sync-runs", "operations", "rejected-records", "conflicts"])
    def test_a_list_takes_few_queries(self, viewer: APIClient, pos: Integration, path: str, django_assert_max_num_queries: Any) -> None:
        viewer.get("/api/hotels")
        with django_assert_max_num_queries(6):
            assert viewer.get(at(pos, path)).status_code == 200

    def test_operations_are_found_by_how_they_stand(self, operator: APIClient, pos: Integration, check: dict[str, Any]) -> None:
        operator.post(at(pos, "checks"), check)
        assert operator.get(at(pos, f"operations?status={OperationStatus.DONE}&name=post_guest_check")).json()["results"]
