"""The Salesforce provider: the contract every provider keeps, exact mappings, and its own promises."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hotels.models import Feedback as FeedbackRow
from hotels.models import Guest as GuestRow
from hotels.models import Hotel
from integrations.exceptions import (
    AuthenticationFailed,
    ConfigurationError,
    CredentialsMissing,
    CursorExpired,
    InvalidInput,
    ProviderUnavailable,
    RateLimited,
    ReauthorizationRequired,
    RecordRejected,
    RequestRejected,
    UnexpectedResponse,
)
from integrations.models import Integration, RunMode, RunStatus
from integrations.records import ChatMessage, Feedback, Guest, InboundEvent, Notification, StreamQuery
from integrations.services.contract import KEY, ONE_ATTEMPT, Connection, ProviderContract, connect
from integrations.services.guest_management import GuestManagementService
from integrations.services.salesforce.ids import record_id
from integrations.services.salesforce.manifest import Config
from integrations.services.salesforce.mapping import ObjectMap
from integrations.services.salesforce.provider import SalesforceProvider
from integrations.services.salesforce.simulator import DELETED_LOG, SalesforceSimulator
from integrations.services.salesforce.simulator import connection as set_up
from integrations.services.salesforce.simulator_soql import Parser
from integrations.services.salesforce.soql import literal, select
from integrations.services.salesforce.webhooks import parse
from integrations.services.setup import create_integration, set_webhook_secret, update_integration
from integrations.simulators.server import running
from webhooks.decoding import decode_outbound_message

FIXTURES = Path(__file__).parent / "fixtures"
CLIENT = {"client_id": SalesforceSimulator.client_id, "client_secret": SalesforceSimulator.client_secret}
FEEDBACK = {
    "feedback_id": "17",
    "guest_external_id": "",
    "room_number": "101",
    "rating": 5,
    "category": "service",
    "title": "Excellent Service",
    "message": "The staff was very helpful",
    "is_anonymous": False,
    "submitted_at": "2026-03-14T19:00:00.123456+01:00",
}
CHAT_MESSAGE = {
    "message_id": "18",
    "guest_external_id": "",
    "room_number": "101",
    "message": "Can I get extra towels?",
    "message_type": "text",
    "sender_type": "guest",
    "sender_name": "John Doe",
    "sent_at": "2026-03-14T18:00:00+00:00",
}
NOTIFICATION = {
    "notification_id": "19",
    "guest_external_id": "",
    "room_number": "101",
    "title": "Pool Maintenance",
    "message": "Pool will be closed for maintenance from 2-4 PM",
    "category": "service",
    "priority": "normal",
    "notification_type": "push",
}


def fixture(name: str) -> dict:
    return json.loads((FIXTURES / f"{name}.json").read_text(), parse_float=Decimal)


@contextmanager
def connected(simulator: SalesforceSimulator | None = None, *, credentials=CLIENT, config=(), **more) -> Iterator[Connection]:
    with running(simulator or SalesforceSimulator()) as served:
        settings = {"base_url": served.url, **dict(config)}
        connection = connect(SalesforceProvider, config=settings, credentials=credentials, simulator=served.simulator, **more)
        try:
            yield connection
        finally:
            connection.provider.client.close()


def first_of(simulator: SalesforceSimulator, name: str) -> dict:
    return next(iter(simulator.records[name].values()))


class TestContract(ProviderContract):
    provider = SalesforceProvider
    credentials = CLIENT

    def simulator(self, page_size=0):
        simulator = SalesforceSimulator()
        simulator.batch_size = page_size or simulator.batch_size
        return simulator

    def payload(self, operation, connection):
        reference = first_of(connection.simulator, "Notification__c")["Id"]
        return {
            "post_feedback": FEEDBACK,
            "post_chat_message": CHAT_MESSAGE,
            "post_notification": NOTIFICATION,
            "update_notification_status": {"notification_external_id": reference, "status": "read"},
        }[operation]

    def arguments_for(self, operation, connection):
        return {"guest_external_id": first_of(connection.simulator, "Contact")["Id"]}

    def effects(self, simulator):
        return simulator.state(), [row["Status__c"] for row in simulator.records["Notification__c"].values()]


# --- mapping -------------------------------------------------------------------------------------------------------------------

CHANGED = datetime(2026, 3, 14, 18, 22, 31, tzinfo=UTC)
GUEST_ID = "003Hs0000000001IAA"
READ = {
    "contact": Guest(
        external_id=GUEST_ID,
        updated_at=CHANGED,
        given_name="Siobhán",
        family_name="O'Neil",
        email="siobhan@example.com",
        phone="+353 1 555 0101",
        preferences={"notes": "High floor; allergic to feathers", "no_email": True, "no_calls": False},
    ),
    "contact_deleted": Guest(external_id="003Hs0000000002IAA", updated_at=datetime(2026, 3, 15, 8, tzinfo=UTC), deleted=True),
    "feedback": Feedback(
        external_id="a01Hs0000000031IAA",
        updated_at=datetime(2026, 3, 14, 19, tzinfo=UTC),
        guest_external_id=GUEST_ID,
        room_number="0101",
        rating=5,
        category="service",
        title="Excellent Service",
        message="The staff was very helpful.",
        submitted_at=datetime(2026, 3, 14, 18, 59, 58, tzinfo=UTC),
    ),
    "chat_message": ChatMessage(
        external_id="a02Hs0000000033IAA",
        updated_at=datetime(2026, 3, 14, 19, 10, tzinfo=UTC),
        guest_external_id=GUEST_ID,
        room_number="0101",
        message="Can I get extra towels?",
        sender_type="unknown",
        sender_name="Siobhán O'Neil",
        sent_at=datetime(2026, 3, 14, 19, 9, 59, tzinfo=UTC),
    ),
    "notification": Notification(
        external_id="a03Hs0000000034IAA",
        updated_at=datetime(2026, 3, 14, 19, 20, tzinfo=UTC),
        guest_external_id=GUEST_ID,
        room_number="0101",
        title="Pool Maintenance",
        message="Pool will be closed for maintenance from 2-4 PM",
        category="service",
        priority="normal",
        status="delivered",
        sent_at=datetime(2026, 3, 14, 19, 15, tzinfo=UTC),
    ),
}


def object_map(record: type, config: Config = Config()) -> ObjectMap:
    kind = record.record_type
    preferences = config.preference_fields if record is Guest else {}
    return ObjectMap(
        record=record, name=getattr(config, f"{kind}_object"), fields=getattr(config, f"{kind}_fields"), preferences=preferences
    )


@pytest.mark.parametrize("name", READ)
def test_row_is_read_exactly(name):
    assert object_map(type(READ[name])).read(fixture(name)) == READ[name]


def test_row_that_cannot_be_a_record_is_set_aside_with_its_reason():
    records, rejected = object_map(Feedback).read_all([fixture("feedback"), fixture("feedback_rating_out_of_range")])
    assert records == [READ["feedback"]]
    assert [(one.external_id, one.reason) for one in rejected] == [("a01Hs0000000032IAA", "rating: 9.0 is not a whole number from 1 to 5.")]


def test_payload_is_written_exactly():
    assert object_map(Feedback).write({**FEEDBACK, "guest_external_id": GUEST_ID, "category": ""}) == {
        "Guest__c": GUEST_ID,
        "Room_Number__c": "101",
        "Message__c": "The staff was very helpful",
        "Rating__c": 5,
        "Title__c": "Excellent Service",
        "Is_Anonymous__c": False,
        "Submitted_At__c": "2026-03-14T18:00:00Z",
    }


def test_hotel_overrules_field_names_one_by_one():
    config = Config(guest_fields={"language": "Language__c", "phone": ""}, preference_fields={"pillow": "Pillow__c", "notes": ""})
    row = {**fixture("contact"), "Language__c": "ga", "Pillow__c": "soft"}
    guest = object_map(Guest, config).read(row)
    assert (guest.given_name, guest.phone, guest.language) == ("Siobhán", "", "ga")
    assert guest.preferences == {"pillow": "soft", "no_email": True, "no_calls": False}


@pytest.mark.parametrize(
    "config",
    [
        {"feedback_fields": {"ratng": "Rating__c"}},
        {"feedback_fields": {"rating": "Rating__c FROM Contact"}},
        {"preference_fields": {"pillow": "Id, Name"}},
        {"feedback_object": "Feedback__c WHERE Id != null"},
        {"external_id_field": "../../Contact"},
        {"api_version": "58.0/sobjects"},
    ],
)
def test_names_that_are_no_api_names_are_refused(config):
    with pytest.raises(ValidationError):
        Config(**config)


# --- ids -----------------------------------------------------------------------------------------------------------------------

MIXED = "a01Hs00000AbCdEIAV"


@pytest.mark.parametrize("text", [MIXED, MIXED[:15], MIXED.lower(), MIXED.upper()])
def test_id_has_one_spelling_however_it_was_written(text):
    assert record_id(text, "Id") == MIXED
    assert object_map(Feedback).read({**fixture("feedback"), "Id": text, "Guest__c": GUEST_ID[:15]}).external_id == MIXED
    assert object_map(Feedback).read({**fixture("feedback"), "Guest__c": GUEST_ID[:15]}) == READ["feedback"]
    [event] = parse({}, {"Notification": [{"Id": "04lHs0000000001", "sObject": {"type": "Feedback__c", "Id": text}}]})
    assert (event.event_id, event.object_id) == ("04lHs0000000001IAA", MIXED)


@pytest.mark.parametrize("text", ["", "a01Hs00000AbCdEAAA", MIXED[:16], MIXED + "A", "a01Hs00000AbCd-", MIXED.swapcase(), None, 17])
def test_what_is_no_id_is_refused(text):
    with pytest.raises(RecordRejected, match="Id"):
        record_id(text, "Id")


def test_both_spellings_lead_to_the_same_record():
    with connected() as connection:
        provider, simulator = connection.provider, connection.simulator
        guest = first_of(simulator, "Contact")["Id"]
        [page] = provider.guest_data(StreamQuery(external_ids=(guest[:15], guest, guest.lower())))
        assert [one.external_id for one in page.records] == [guest]
        assert provider.get_guest_preferences(guest[:15]) == provider.get_guest_preferences(guest)
        assert len(provider.get_feedback(guest_external_id=guest[:15])) == 1
        reference = first_of(simulator, "Notification__c")["Id"]
        told = provider.update_notification_status({"notification_external_id": reference[:15], "status": "read"}, KEY)
        assert told["reference"] == reference
        for nobody in ("", guest[:-1] + "5"):
            with pytest.raises(RequestRejected, match="not an id"):
                provider.update_notification_status({"notification_external_id": nobody, "status": "read"}, KEY)


# --- SOQL ----------------------------------------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_stays_one_literal(text):
    query = Parser(select(["Id"], "Contact", [("LastName", "=", text), ("Id", "IN", [text, "x"])], order="Id", limit=5)).parse()
    assert [(one.path.text, one.sign, one.value) for one in query.where.parts] == [("LastName", "=", text), ("Id", "IN", [text, "x"])]
    assert query.limit == 5
    assert not [c for c in literal(text) if ord(c) < 32 or "\ud800" <= c <= "\udfff"]


def test_times_are_written_in_utc_without_quotes_or_fractions():
    assert literal(datetime.fromisoformat("2026-03-14T19:22:31.5+01:00")) == "2026-03-14T18:22:31Z"


def test_question_about_a_hostile_guest_id_is_refused():
    with connected() as connection:
        with pytest.raises(RequestRejected, match="invalid ID field"):
            connection.provider.get_feedback(guest_external_id="x' OR Id != '")
        assert len(connection.provider.get_feedback()) == 5


# --- signing in ----------------------------------------------------------------------------------------------------------------


def test_calls_go_to_the_instance_the_sign_in_names():
    instance = SalesforceSimulator()
    with running(instance) as served:
        login = SalesforceSimulator()
        login.instance_url, instance.sessions = served.url, login.sessions
        with connected(login) as connection:
            assert connection.provider.test_connection()
    assert login.requests == [("POST", "/services/oauth2/token")]
    assert instance.requests
    assert connection.tokens.load().base_url == served.url


def test_ended_session_is_renewed_once_and_the_call_repeated():
    with connected() as connection:
        connection.provider.test_connection()
        connection.simulator.control("expire_session", {})
        assert connection.provider.get_feedback()
        assert connection.simulator.logins == 2


def test_signed_token_signs_in_and_shows_nowhere():
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    simulator = SalesforceSimulator()
    simulator.public_key = (
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    )
    credentials = {"client_id": simulator.client_id, "username": simulator.username, "private_key": private}
    with connected(simulator, credentials=credentials) as connection:
        assert connection.provider.test_connection()
        shown = json.dumps([exchange.request_data for exchange in connection.exchanges])
        assert simulator.logins == 1
        assert "eyJ" not in shown
    with connected(simulator, credentials=credentials, config={"jwt_audience": "https://example.com"}) as connection:
        with pytest.raises(AuthenticationFailed):
            connection.provider.test_connection()
    with connected(simulator, credentials={**credentials, "private_key": "-----BEGIN garbage"}) as connection:
        with pytest.raises(ConfigurationError, match="private key cannot be read"):
            connection.provider.test_connection()


def test_refresh_token_for_one_use_is_replaced_by_the_next():
    simulator = SalesforceSimulator()
    simulator.rotates_refresh_tokens = True
    credentials = {"client_id": simulator.client_id, "refresh_token": simulator.refresh_token}
    with connected(simulator, credentials=credentials) as connection:
        for _ in range(3):
            assert connection.provider.test_connection()
            simulator.control("expire_session", {})
        assert simulator.logins == 3
        assert connection.tokens.load().refresh_token == simulator.refresh_token
        simulator.refresh_token = "withdrawn"
        with pytest.raises(ReauthorizationRequired):
            connection.provider.test_connection()


def test_pasted_access_token_works_until_its_session_ends():
    with running(SalesforceSimulator()) as served:
        credentials = {"accessToken": served.simulator.access_token, "instanceUrl": served.url}
        connection = connect(SalesforceProvider, config={"baseUrl": "https://grandhotel.my.salesforce.com"}, credentials=credentials)
        assert connection.provider.test_connection()
        served.simulator.control("expire_session", {})
        with pytest.raises(AuthenticationFailed):
            connection.provider.test_connection()
        connection.provider.client.close()


@pytest.mark.django_db
def test_what_a_hotel_posts_comes_back_as_the_same_row():
    hotel = Hotel.objects.create(name="Grand", slug="grand", time_zone="Europe/Stockholm", currency="SEK")
    with running(SalesforceSimulator()) as served:
        integration, _ = create_integration(hotel, set_up(served.url))
        service = GuestManagementService(integration)
        service.sync_guest_data()
        guest = GuestRow.live.get(email="guest3@example.com")
        posted = service.post_feedback({"guest_id": guest.pk, "room_number": "101", "rating": 5, "title": "Excellent Service"})
        told = service.post_notification({"guest_id": guest.pk, "title": "Pool", "message": "Closed from 2 to 4 PM"})
        service.update_notification_status(told.object_id, "read")
        assert [operation.status for operation in integration.operations.all()] == ["done"] * 3
        done = service.sync_feedback()
        assert (done.created_count, done.conflict_count) == (5, 0)
        assert FeedbackRow.objects.get(pk=posted.object_id).guest == guest
        assert FeedbackRow.live.filter(hotel=hotel).count() == 6
        assert [row.status for row in service.get_notifications(guest_id=guest.pk)] == ["read", "sent"]
        assert service.get_guest_preferences(guest.pk)["pillow"] == "soft"


@pytest.mark.django_db
def test_org_at_a_new_address_is_signed_in_to_anew():
    hotel = Hotel.objects.create(name="Grand", slug="grand", time_zone="Europe/Stockholm", currency="SEK")
    with running(SalesforceSimulator()) as old:
        integration, _ = create_integration(hotel, set_up(old.url))
        assert GuestManagementService(integration).test_connection().success
    with running(SalesforceSimulator()) as new:
        moved = {name: set_up(new.url)[name] for name in ("config", "credentials")}
        with pytest.raises(InvalidInput, match="The address changed"):  # the secret was entered for the old address
            update_integration(integration, {"config": moved["config"]}, partial=True)
        integration.refresh_from_db()
        update_integration(integration, moved, partial=True)
        assert GuestManagementService(integration).test_connection().success


@pytest.mark.parametrize(
    ("credentials", "named"),
    [
        ({}, "nothing to sign in"),
        ({"client_id": "3MVG9"}, "nothing to sign in"),
        ({"private_key": "-----BEGIN", "client_id": "3MVG9"}, "Username"),
        ({"refresh_token": "5Aep"}, "Consumer key"),
        ({"client_id": "3MVG9", "client_secret": "s"}, "Salesforce address"),
        ({"sign_in": "client_credentials", "client_id": "3MVG9", "access_token": "00D"}, "Consumer secret"),
    ],
)
def test_missing_credential_is_named(credentials, named):
    with pytest.raises(CredentialsMissing) as caught:
        connect(SalesforceProvider, config={}, credentials=credentials)
    assert named in str(caught.value)


# --- when Salesforce is unwell -------------------------------------------------------------------------------------------------


def test_used_up_allocation_is_waited_for_long():
    with connected() as connection:
        connection.provider.test_connection()
        connection.simulator.fail("status", status=403, times=50)
        with pytest.raises(RateLimited) as caught:
            connection.provider.test_connection()
        assert caught.value.retry_at > datetime.now(UTC) + timedelta(minutes=10)
        assert not connection.waits


@pytest.mark.parametrize(("status", "expected"), [(503, ProviderUnavailable), (200, UnexpectedResponse)])
def test_maintenance_page_is_no_riddle(status, expected):
    with connected(policy=ONE_ATTEMPT) as connection:
        connection.provider.get_feedback()
        connection.simulator.fail("maintenance", status=status)
        with pytest.raises(expected):
            connection.provider.get_feedback()


def test_connection_test_names_what_the_org_lacks():
    config = {"guest_fields": {"language": "Tongue__c"}, "chat_message_object": "Chat__c", "notification_object": ""}
    with connected(config=config) as connection:
        report = connection.provider.test_connection()
    assert report.details["missing"] == ["Contact.Tongue__c", "the object Chat__c"]
    assert "Contact.Tongue__c" in report.summary
    with connected(config={"external_id_field": "Title__c"}) as connection:
        assert "the mark “External ID” on Feedback__c.Title__c" in connection.provider.test_connection().details["missing"]


def test_object_the_org_lacks_is_not_offered():
    assert SalesforceProvider.offers("post_notification", {})
    assert not SalesforceProvider.offers("post_notification", {"notification_object": ""})
    assert SalesforceProvider.offers("guest_data", {"notification_object": ""})


# --- writes --------------------------------------------------------------------------------------------------------------------


def test_repeated_notification_does_not_put_back_what_was_sent_meanwhile():
    with connected() as connection:
        provider, simulator = connection.provider, connection.simulator
        answer = provider.post_notification(NOTIFICATION, KEY)
        assert answer["status"] == "pending"
        assert simulator.records["Notification__c"][answer["reference"]]["Status__c"] == "pending"
        simulator.save("Notification__c", answer["reference"], {"Status__c": "sent"})
        assert provider.post_notification(NOTIFICATION, KEY)["reference"] == answer["reference"]
        assert simulator.records["Notification__c"][answer["reference"]]["Status__c"] == "sent"


def test_older_api_that_answers_an_update_with_nothing_still_gives_the_reference():
    with connected(config={"api_version": "45.0"}) as connection:
        first = connection.provider.post_feedback(FEEDBACK, KEY)
        assert connection.provider.post_feedback(FEEDBACK, KEY) == first


def test_external_id_that_several_records_have_is_refused_with_the_cure():
    config = {"feedback_object": "Contact", "feedback_fields": {"title": "LastName"}, "external_id_field": "Loyalty_Number__c"}
    with connected(config=config) as connection:
        for _ in range(2):
            connection.simulator.insert("Contact", {"LastName": "Twin", "Loyalty_Number__c": KEY})
        with pytest.raises(RequestRejected, match="Several records") as caught:
            connection.provider.post_feedback(FEEDBACK, KEY)
        assert "unique" in caught.value.hint


def test_salesforce_says_what_it_does_not_take():
    with connected() as connection:
        with pytest.raises(RequestRejected) as caught:
            connection.provider.post_feedback({**FEEDBACK, "guest_external_id": "003000000000000AAA"}, KEY)
        assert caught.value.vendor_code == "INVALID_CROSS_REFERENCE_KEY"
        assert connection.simulator.state()["Feedback__c"] == 5


# --- reads on demand -----------------------------------------------------------------------------------------------------------


def test_newest_messages_of_one_guest_come_first():
    with connected() as connection:
        provider, simulator = connection.provider, connection.simulator
        guest = first_of(simulator, "Contact")["Id"]
        reference = provider.post_chat_message({**CHAT_MESSAGE, "guest_external_id": guest}, KEY)["reference"]
        messages = provider.get_chat_messages(guest_external_id=guest)
        assert messages[0].external_id == reference
        assert len(messages) == 2
        assert {message.guest_external_id for message in messages} == {guest}
        assert len(provider.get_chat_messages(limit=3)) == 3
        assert [m.external_id for m in provider.get_chat_messages(since=datetime.now(UTC) - timedelta(minutes=1))] == [reference]


def test_preferences_of_a_guest_nobody_knows_are_refused():
    with connected() as connection:
        assert connection.provider.get_guest_preferences(first_of(connection.simulator, "Contact")["Id"])["notes"] == "High floor"
        with pytest.raises(RequestRejected, match="no guest"):
            connection.provider.get_guest_preferences("003000000000000AAA")


# --- changes and deletions -----------------------------------------------------------------------------------------------------


def run(provider, cursor=None):
    """Run the guest stream; return its records and where the next run starts."""
    pages = list(provider.guest_data(StreamQuery(cursor=cursor)))
    cursor = [page.cursor for page in pages if page.cursor][-1]
    return [record for page in pages for record in page.records], json.loads(json.dumps(cursor))


def test_next_run_sees_what_changed_and_what_was_deleted():
    with connected() as connection:
        provider, simulator = connection.provider, connection.simulator
        everybody, cursor = run(provider)
        assert len(everybody) == 30
        changed, deleted = everybody[3].external_id, everybody[7].external_id
        simulator.clock = lambda: datetime.now(UTC) - timedelta(seconds=2)
        simulator.control("change_contact", {"Id": changed, "Phone": "+46 8 5550 999"})
        simulator.control("delete_contact", {"Id": deleted})
        seen, cursor = run(provider, cursor)
        assert {(guest.external_id, guest.deleted) for guest in seen} - {(everybody[-1].external_id, False)} == {
            (changed, False),
            (deleted, True),
        }
        assert next(guest for guest in seen if guest.external_id == changed).phone == "+46 8 5550 999"


def test_deleted_contact_that_is_asked_for_by_id_is_told_as_deleted():
    with connected() as connection:
        key = first_of(connection.simulator, "Contact")["Id"]
        connection.simulator.control("delete_contact", {"Id": key})
        [page] = connection.provider.guest_data(StreamQuery(external_ids=(key,)))
        assert [(guest.external_id, guest.deleted) for guest in page.records] == [(key, True)]


def test_many_ids_are_read_in_queries_of_200():
    with connected() as connection:
        keys = tuple(connection.simulator.records["Contact"])
        wanted = keys + tuple(f"003Hs{number:010d}IAA" for number in range(1000, 1180)) + ("", "guest_7", "003Hs0000000001AAA")
        pages = list(connection.provider.guest_data(StreamQuery(external_ids=wanted)))
        assert len(pages) == 2
        assert {guest.external_id for page in pages for guest in page.records} == set(keys)


def test_range_of_dates_is_read_without_touching_the_cursor():
    now = datetime(2026, 6, 3, 12, tzinfo=UTC)
    with connected(SalesforceSimulator(clock=lambda: now)) as connection:
        changed = [row["SystemModstamp"][:10] for row in connection.simulator.records["Contact"].values()]
        pages = list(connection.provider.guest_data(StreamQuery(since=date(2026, 6, 2), until=date(2026, 6, 2))))
        assert 0 < len([guest for page in pages for guest in page.records]) == changed.count("2026-06-02") < len(changed)
        assert not [page for page in pages if page.cursor]


@pytest.mark.parametrize(("days", "expired"), [(14, False), (16, True)])
def test_log_of_deletions_is_trusted_for_15_days(monkeypatch, days, expired):
    now = datetime.now(UTC)
    with connected(SalesforceSimulator(clock=lambda: now)) as connection:
        _, cursor = run(connection.provider)
        later = now + timedelta(days=days)
        connection.simulator.clock = lambda: later
        monkeypatch.setattr(SalesforceProvider, "_clock", staticmethod(lambda: later))
        if expired:
            asked = len(connection.simulator.requests)
            with pytest.raises(CursorExpired):
                run(connection.provider, cursor)
            assert len(connection.simulator.requests) == asked
        else:
            run(connection.provider, cursor)


def test_log_that_was_emptied_early_is_not_trusted():
    with connected() as connection:
        _, cursor = run(connection.provider)
        connection.simulator.deleted_log_starts_at = datetime.now(UTC)
        with pytest.raises(CursorExpired):
            run(connection.provider, cursor)
        assert run(connection.provider)


@pytest.mark.django_db
def test_guest_deleted_longer_ago_than_the_log_is_found_by_comparison(monkeypatch):
    now = datetime.now(UTC)
    hotel = Hotel.objects.create(name="Grand", slug="grand", time_zone="Europe/Stockholm", currency="SEK")
    with running(SalesforceSimulator(clock=lambda: now)) as served:
        integration = Integration.objects.create(
            hotel=hotel,
            integration_type="guest_management",
            provider="salesforce",
            provider_name="Salesforce",
            config={"baseUrl": served.url},
            credentials={"accessToken": served.simulator.access_token, "instanceUrl": served.url},
        )
        service = GuestManagementService(integration)
        assert service.sync_guest_data().status == RunStatus.SUCCEEDED
        gone = first_of(served.simulator, "Contact")
        served.simulator.control("delete_contact", {"Id": gone["Id"]})
        later = now + DELETED_LOG + timedelta(days=1)
        served.simulator.clock = lambda: later
        monkeypatch.setattr(SalesforceProvider, "_clock", staticmethod(lambda: later))
        done = service.sync_guest_data()
    assert (done.status, done.mode, done.deleted_count) == (RunStatus.SUCCEEDED, RunMode.FULL, 1)
    assert GuestRow.objects.get(email=gone["Email"]).archived_at
    assert GuestRow.live.filter(hotel=hotel).count() == 29


# --- webhooks ------------------------------------------------------------------------------------------------------------------


def test_outbound_message_says_what_to_read_again_and_keeps_no_session():
    body = decode_outbound_message((FIXTURES / "outbound_message.xml").read_bytes())
    assert body == fixture("webhook_outbound_message")
    assert parse({}, body) == [
        InboundEvent(
            event_type="Feedback__c",
            event_id="04lHs0000000001IAA",
            object_type="feedback",
            object_id="a01Hs0000000031IAA",
            refresh=("feedback",),
        ),
        InboundEvent(event_type="Account", event_id="04lHs0000000002IAA", object_id="001Hs0000000009IAA"),
    ]


def test_contact_is_known_by_its_id_where_the_message_does_not_name_the_object():
    [event] = parse({}, {"Notification": [{"Id": "04l1", "sObject": {"type": "", "Id": GUEST_ID}}]})
    assert (event.object_type, event.object_id, event.refresh) == ("guest", GUEST_ID, ("guest_data",))


@pytest.fixture
def door(db) -> Integration:
    hotel = Hotel.objects.create(name="Grand", slug="grand", time_zone="Europe/Stockholm", currency="SEK")
    integration = Integration.objects.create(
        hotel=hotel,
        integration_type="guest_management",
        provider="salesforce",
        provider_name="Salesforce",
        config={"organization_id": "00DHs0000000001"},
    )
    set_webhook_secret(integration, "an-unguessable-part-of-the-address")
    return integration


def deliver(client, integration: Integration, body: bytes, secret: str = "an-unguessable-part-of-the-address"):
    return client.post(f"/api/webhooks/{integration.pk}/{secret}", body, content_type="text/xml; charset=UTF-8")


def test_outbound_message_is_acknowledged_in_xml_and_stored_without_its_session(client, door):
    body = (FIXTURES / "outbound_message.xml").read_bytes()
    for _ in range(2):  # Salesforce repeats what it thinks we missed
        answer = deliver(client, door, body)
        assert (answer.status_code, answer["Content-Type"]) == (200, "text/xml; charset=utf-8")
        assert b"<Ack>true</Ack>" in answer.content
    event = door.webhook_events.get()
    assert b"live.session" not in bytes(event.body)
    assert "an-unguessable" not in json.dumps(event.headers)


@pytest.mark.parametrize(
    ("spoil", "secret"),
    [
        (lambda body: body.replace(b"00DHs0000000001", b"00DHs0000000002"), "an-unguessable-part-of-the-address"),
        (lambda body: body, "a-guess"),
        (lambda body: b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + body.partition(b"?>")[2], "an-unguessable-part-of-the-address"),
    ],
    ids=["another org", "another address", "document type"],
)
def test_outbound_message_of_nobody_we_know_is_refused(client, door, spoil, secret):
    answer = deliver(client, door, spoil((FIXTURES / "outbound_message.xml").read_bytes()), secret)
    assert answer.status_code in (400, 401)
    assert not door.webhook_events.exists()


# --- what the set-up guides show -----------------------------------------------------------------------------------------------


def test_sample_set_up_is_taken_as_written():
    config = {
        "baseUrl": "https://your-instance.salesforce.com",
        "endpoints": {
            "feedback": "/services/data/v58.0/sobjects/Feedback__c",
            "chat": "/services/data/v58.0/sobjects/Chat_Message__c",
            "notifications": "/services/data/v58.0/sobjects/Notification__c",
            "guests": "/services/data/v58.0/sobjects/Contact",
        },
        "testEndpoint": "/services/data/v58.0/sobjects/User",
    }
    credentials = {"accessToken": "your-access-token", "instanceUrl": "https://your-instance.salesforce.com"}
    connection = connect(SalesforceProvider, config=config, credentials=credentials)
    assert connection.provider.config.feedback_object == "Feedback__c"
    assert connection.provider.config.api_version == "58.0"
    assert SalesforceProvider.base_url("production", connection.provider.config) == "https://your-instance.salesforce.com"


# --- passing troubles ------------------------------------------------------------------------------------------------------------


def many(number: int, same_time: bool = False) -> SalesforceSimulator:
    """Return an org in which so many contacts changed, one a minute."""
    simulator = SalesforceSimulator()
    simulator.batch_size = 2
    contacts = simulator.records["Contact"]
    pattern = first_of(simulator, "Contact")
    contacts.clear()
    for minute in range(number):
        key = record_id(f"003Hs{900 + minute:010d}", "Id")
        changed = f"{CHANGED + timedelta(minutes=0 if same_time else minute):%Y-%m-%dT%H:%M:%S.000+0000}"
        contacts[key] = pattern | {"Id": key, "LastName": f"Guest {minute}", "SystemModstamp": changed}
    return simulator


def test_a_list_whose_place_the_vendor_forgot_goes_on_where_it_was():
    simulator = many(12)
    with connected(simulator) as connection:
        seen = []
        for page in connection.provider.guest_data(StreamQuery()):
            seen += [record.family_name for record in page.records]
            simulator.control("expire_locators", {})
        queries = [path for _, path, *_ in simulator.requests if path.endswith("/query")]
    assert {name for name in seen if name.startswith("Guest ")} == {f"Guest {minute}" for minute in range(12)}
    assert 2 < len(queries) < 14


def test_one_that_gets_no_further_ends_and_is_read_anew():
    simulator = many(12, same_time=True)
    with connected(simulator) as connection:
        pages = (simulator.control("expire_locators", {}) for _ in connection.provider.guest_data(StreamQuery()))
        with pytest.raises(CursorExpired):
            list(pages)


@pytest.mark.parametrize("fault", ["query_timeout", "running_too_long"])
def test_a_query_that_took_too_long_is_asked_again(fault):
    with connected(many(3)) as connection:
        connection.simulator.fail(fault, match="/query")
        assert [page for page in connection.provider.guest_data(StreamQuery()) if page.records]
