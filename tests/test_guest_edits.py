"""A guest known to OPERA and Salesforce: found to be one, edited at the hotel, told to the one that takes it, and split again.

Over real HTTP: what the hotel's staff does is looked at in the vendors' own systems.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from hotels.models import Guest, Hotel
from integrations.models import Conflict, ExternalReference, Operation
from integrations.services import service_for
from integrations.services.conflicts import apply_conflict
from integrations.services.guests import edit_guest, split_guest
from integrations.services.opera_cloud import simulator as opera_cloud
from integrations.services.pms import PmsService
from integrations.services.salesforce import simulator as salesforce
from integrations.services.setup import create_integration
from integrations.simulators.server import running


@pytest.fixture
def world(db: None) -> Iterator[SimpleNamespace]:
    """A hotel with both systems, synced; the same person is a profile here and a contact there."""
    hotel = Hotel.objects.create(name="Grand", slug="grand", currency="EUR")
    opera, crm = opera_cloud.OperaCloudSimulator(), salesforce.SalesforceSimulator()
    with running(opera) as pms_server, running(crm) as crm_server:
        pms, _ = create_integration(hotel, opera_cloud.connection(pms_server.url))
        guests, _ = create_integration(hotel, salesforce.connection(crm_server.url))
        service_for(pms).sync_reservations()
        profile = ExternalReference.objects.filter(record_type="guest").order_by("id")[0]
        guest = Guest.objects.get(pk=profile.object_id)
        contact = {"FirstName": guest.given_name, "LastName": guest.family_name, "Email": guest.email, "Phone": "+351 21 555 0100"}
        key = crm.insert("Contact", contact)
        service_for(guests).sync_guest_data()
        yield SimpleNamespace(
            pms=pms, crm=guests, profile=profile.external_id, contact=key, guest=guest,
            at_opera=lambda: PmsService(pms).ask("get_guest_info", guest_external_id=profile.external_id),
            at_salesforce=lambda: crm.records["Contact"][key],
        )  # fmt: skip


def sync(world: Any) -> list[Any]:
    return [service_for(world.pms).sync("reservations"), service_for(world.crm).sync("guest_data", full=True)]


def test_an_edit_reaches_opera_and_is_kept_at_the_hotel_where_salesforce_takes_none(
    world: Any, django_capture_on_commit_callbacks: Any
) -> None:
    assert ExternalReference.objects.get(external_id=world.contact).object_id == world.guest.pk
    before = world.at_salesforce()["Phone"]
    with django_capture_on_commit_callbacks(execute=True):
        (operation,) = edit_guest(world.guest, {"phone": "+43 1 234567"})
    operation.refresh_from_db()
    assert (operation.integration, operation.status) == (world.pms, "done")
    assert world.at_opera().phone == "+43 1 234567"
    assert world.at_salesforce()["Phone"] == before
    runs = sync(world)
    assert [run.conflict_count for run in runs] == [0, 0]
    assert Guest.objects.get(pk=world.guest.pk).phone == "+43 1 234567"
    assert Operation.objects.count() == 1


def test_a_conflict_decided_for_the_hotel_reaches_opera(world: Any, django_capture_on_commit_callbacks: Any) -> None:
    Guest.objects.filter(pk=world.guest.pk).update(phone="+43 1 111111")
    service_for(world.pms).ask(
        "update_guest_info", payload={"guest_external_id": world.profile, "changes": {"phone": "+43 1 222222"}}, key="k"
    )
    service_for(world.pms).sync("reservations")
    conflict = Conflict.objects.get()
    assert (Guest.objects.get(pk=world.guest.pk).phone, conflict.winner) == ("+43 1 222222", "vendor")
    with django_capture_on_commit_callbacks(execute=True):
        apply_conflict(conflict)
    assert world.at_opera().phone == "+43 1 111111"
    sync(world)
    assert Guest.objects.get(pk=world.guest.pk).phone == "+43 1 111111"
    assert Conflict.objects.count() == 1


def test_two_that_were_taken_for_one_stay_split(world: Any) -> None:
    reference = ExternalReference.objects.get(integration=world.crm, external_id=world.contact)
    assert reference.matched_by == "same name and e-mail"
    other = split_guest(reference)
    for _ in range(2):
        sync(world)
    assert ExternalReference.objects.get(external_id=world.contact).object_id == other.pk
    assert ExternalReference.objects.get(external_id=world.profile).object_id == world.guest.pk
    assert Guest.live.filter(email=world.guest.email, family_name=world.guest.family_name).count() == 2
