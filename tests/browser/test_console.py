"""The console as a hotel administrator uses it, in a browser."""

import re
from collections.abc import Iterator

import pytest

from hotels.models import Hotel, MenuItem
from integrations.models import Integration, IntegrationLog, Operation, SyncRun
from integrations.services import service_for
from integrations.services.setup import create_integration
from integrations.services.square.simulator import RESTAURANT, TOKEN, SquareSimulator
from integrations.simulators.server import RunningSimulator, running

sync_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed (requirements-dev.txt)")
expect = sync_api.expect

pytestmark = pytest.mark.browser


@pytest.fixture
def square() -> Iterator[RunningSimulator]:
    with running(SquareSimulator(items=600)) as simulator:
        yield simulator


@pytest.fixture
def till(hotel: Hotel, square: RunningSimulator) -> Integration:
    data = {
        "integration_type": "pos", "provider": "square", "provider_name": "Restaurant till", "environment": "sandbox",
        "config": {"base_url": square.url}, "credentials": {"access_token": TOKEN, "location_id": RESTAURANT},
    }  # fmt: skip
    return create_integration(hotel, data)[0]


def test_a_vendor_is_connected_tested_first_and_saved(page: "sync_api.Page", square: RunningSimulator) -> None:
    page.goto("/admin/")
    page.get_by_role("link", name="Connect a vendor").click()
    page.get_by_role("link", name=re.compile("Square")).click()
    page.get_by_label("Environment").select_option("sandbox")
    page.get_by_label("Access token").fill("EAAA-not-the-right-one")
    page.get_by_label("Location ID").fill(RESTAURANT)
    page.get_by_label("Other address").fill(square.url)

    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#outcome")).to_contain_text("Square refused the credentials")
    page.get_by_label("Access token").fill(TOKEN)
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#outcome")).to_contain_text("The connection works.")
    assert not Integration.objects.exists()

    page.get_by_role("button", name="Save and connect").click()
    expect(page.get_by_text("The connection is tried at once")).to_be_visible()
    assert TOKEN not in page.content()
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#outcome")).to_contain_text("The connection works.")


def test_a_sync_shows_its_progress_and_ends_in_words_without_reloading(
    page: "sync_api.Page", till: Integration, square: RunningSimulator
) -> None:
    square.simulator.fail("slow", seconds=0.3, times=100)  # pages that come faster are stored together
    page.goto(f"/admin/integrations/integration/{till.pk}/change/")
    row = page.get_by_role("row", name=re.compile("Menu items"))
    row.get_by_role("button", name="Sync", exact=True).click()
    sentence = page.locator("[data-sentence]")
    expect(sentence).to_have_text("Waiting for a worker to start it.")
    page.evaluate("window.notReloaded = true")
    seen: list[str] = []

    def look(run: SyncRun) -> None:
        if run.page_count == 3:
            expect(sentence).to_contain_text("records read in 3 pages")
            seen.append(sentence.inner_text())

    run = service_for(till).execute(SyncRun.objects.get(), on_page=look)
    assert seen
    expect(sentence).to_have_text(f"{run.summary}.")
    expect(page.locator("[data-label]")).to_have_text("Succeeded")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
    assert page.evaluate("window.notReloaded") is True


def test_a_check_is_posted_from_the_menu_with_its_sum(page: "sync_api.Page", till: Integration) -> None:
    service_for(till).sync("menus")
    page.goto(f"/admin/integrations/integration/{till.pk}/operations/post_guest_check/")
    suggestion = page.locator("#list-menu option").first
    name, price = suggestion.get_attribute("value"), float(suggestion.get_attribute("data-price"))
    page.get_by_label("Item").fill(name)
    page.get_by_label("Quantity").fill("2")
    page.get_by_role("button", name="Add a line").click()
    page.get_by_label("Item").nth(1).fill("Birthday cake")
    page.get_by_label("Unit price").nth(1).fill("20")
    page.get_by_label("Tax", exact=True).fill("1.50")
    page.get_by_label("Discount").fill("2,25")
    page.get_by_label("Service charge").fill("3")
    expect(page.locator("[data-total]")).to_have_text(f"{2 * price + 22.25:.2f}")
    page.get_by_label("Tax included").check()
    expect(page.locator("[data-total]")).to_have_text(f"{2 * price + 20.75:.2f}")
    page.get_by_role("button", name="Post a guest check").click()
    expect(page.get_by_text("Post a guest check: done.")).to_be_visible()
    operation = Operation.objects.get()
    assert float(operation.payload["total"]) == pytest.approx(2 * price + 20.75)
    assert [item["name"] for item in operation.payload["items"]][1] == "Birthday cake"


def test_the_log_leads_from_a_row_to_its_cause(page: "sync_api.Page", till: Integration) -> None:
    service_for(till).test_connection()
    page.goto("/admin/integrations/integrationlog/")
    page.get_by_role("link", name="test_connection").first.click()
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()
    page.get_by_role("link", name=IntegrationLog.objects.first().correlation_id).click()
    expect(page.get_by_role("listitem").filter(has_text="test_connection").first).to_be_visible()


def test_the_dashboard_shows_each_integration_and_its_chart(page: "sync_api.Page", till: Integration) -> None:
    service_for(till).sync("menus")
    page.goto("/admin/")
    card = page.get_by_role("article").filter(has_text="Restaurant till")
    expect(card).to_contain_text("Working")
    expect(card).to_contain_text("Sandbox")
    expect(page.get_by_role("img", name=re.compile("Records stored"))).to_be_visible()


def test_tabs_are_moved_by_keys(page: "sync_api.Page", till: Integration) -> None:
    page.goto(f"/admin/integrations/integration/{till.pk}/change/")
    page.get_by_role("tab", name="Runs").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Log")).to_be_focused()
    expect(page.get_by_text("Nothing was called yet.")).to_be_visible()
    expect(page.get_by_text("Nothing was synced yet.")).to_be_hidden()


def test_every_page_fits_a_phone_in_both_themes(page: "sync_api.Page", till: Integration) -> None:
    service_for(till).sync("menus")
    service_for(till).test_connection()
    run, log, item = SyncRun.objects.first(), IntegrationLog.objects.first(), MenuItem.objects.first()
    page.set_viewport_size({"width": 390, "height": 844})
    for theme, addresses in {
        "light": (
            "",
            "integrations/integration/add/",
            "integrations/integration/add/?provider=opera_cloud&kind=pms",
            "integrations/syncrun/",
        ),
        "dark": (
            f"integrations/integration/{till.pk}/change/",
            f"integrations/integration/{till.pk}/operations/post_guest_check/",
            f"integrations/syncrun/{run.pk}/change/",
            f"integrations/integrationlog/{log.pk}/change/",
            "integrations/integrationlog/",
            f"hotels/menuitem/{item.pk}/change/",
        ),
    }.items():
        page.emulate_media(color_scheme=theme)
        for address in addresses:
            page.goto(f"/admin/{address}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
