"""What people do about differences, in a browser: decide a conflict, edit a guest while a sync runs, split, try rejected records again."""

import re

import pytest

from hotels.models import Guest, Hotel
from integrations import records
from integrations.models import Conflict, ExternalReference, Integration, Operation, RejectedRecord
from integrations.services.opera_cloud.simulator import OperaCloudSimulator, connection
from integrations.services.pms import PmsService
from integrations.services.setup import create_integration
from integrations.simulators.server import running
from integrations.tests.feed import Feed

sync_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed (requirements-dev.txt)")
expect = sync_api.expect

pytestmark = pytest.mark.browser


@pytest.fixture
def crm(hotel: Hotel) -> Integration:
    return Integration.objects.create(hotel=hotel, integration_type="guest_management", provider="salesforce", provider_name="Guest book")


def test_a_guest_is_edited_told_to_opera_and_split(page: "sync_api.Page", hotel: Hotel, crm: Integration) -> None:
    with running(OperaCloudSimulator()) as served:
        service = PmsService(create_integration(hotel, connection(served.url))[0])
        service.sync_reservations()
        guest = Guest.objects.exclude(email="").order_by("id").first()
        Feed(crm).run(
            [records.Guest(external_id="003", given_name=guest.given_name, family_name=guest.family_name, email=guest.email)],
            stream="guest_data",
        )

        page.goto(f"/admin/hotels/guest/{guest.pk}/change/")
        expect(page.get_by_text("Taken for this guest: same name and e-mail.")).to_be_visible()
        page.get_by_role("button", name="Show for 15 minutes").click()
        Guest.objects.update(given_name="Told by a sync meanwhile")
        page.get_by_label("Phone").fill("+43 1 234567")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("The change goes out to Opera PMS as well")).to_be_visible()
        operation = Operation.objects.get()
        assert (operation.status, operation.payload["changes"]) == ("done", {"phone": "+43 1 234567"})
        assert service.ask("get_guest_info", guest_external_id=operation.payload["guest_external_id"]).phone == "+43 1 234567"
        guest.refresh_from_db()
        assert (guest.phone, guest.given_name) == ("+43 1 234567", "Told by a sync meanwhile")

        page.goto(f"/admin/hotels/guest/{guest.pk}/change/")
        page.get_by_role("row", name=re.compile("Guest book")).get_by_role("link", name="Split").click()
        page.get_by_role("button", name="Split").click()
        expect(page.get_by_text("This is 003 of Guest book as a guest of its own.")).to_be_visible()
        assert ExternalReference.objects.get(external_id="003").object_id != guest.pk


def test_a_conflict_is_decided_for_the_value_that_lost(page: "sync_api.Page", crm: Integration) -> None:
    Feed(crm).run([records.Guest(external_id="003", language="de")], stream="guest_data")
    Guest.objects.update(language="pt")
    Feed(crm).run([records.Guest(external_id="003", language="en")], stream="guest_data")
    page.goto("/admin/integrations/conflict/")
    page.get_by_role("link", name="Guest 003").click()
    expect(page.get_by_text("The value of Guest book was kept")).to_be_visible()
    page.get_by_role("button", name="Use the other value").click()
    expect(page.get_by_text("The other value counts now.")).to_be_visible()
    assert (Guest.objects.get().language, Conflict.objects.get().applied_at is None) == ("pt", False)


def test_ticked_rejected_records_are_tried_again_after_asking(page: "sync_api.Page", crm: Integration) -> None:
    Feed(crm).run([records.Guest(external_id=f"00{number}", phone="x" * 99) for number in range(3)], stream="guest_data")
    page.goto("/admin/integrations/rejectedrecord/")
    for box in page.locator("input.action-select").all()[:2]:
        box.check()
    page.locator("select[name=action]").select_option("retry_selected")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("heading", name="Read 2 rejected records again?")).to_be_visible()
    page.get_by_role("link", name="No, go back").click()
    page.get_by_role("link", name="Try all of these again").click()
    expect(page.get_by_role("heading", name="Read 3 rejected records again?")).to_be_visible()
    assert RejectedRecord.objects.filter(resolved_at=None).count() == 3
