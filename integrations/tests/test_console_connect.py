"""Connecting a vendor in the console: the form its manifest makes, the test before anything is saved, and secrets that never come back."""

import re
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from django.test import Client
from django.urls import reverse
from pydantic import BaseModel, Field, SecretStr

from hotels.models import Hotel, Role
from integrations.admin.display import setup_page
from integrations.admin.fields import PairsField, form_field
from integrations.models import Integration, IntegrationLog
from integrations.services.setup import create_integration
from integrations.services.square.simulator import RESTAURANT, TOKEN, SquareSimulator
from integrations.simulators.server import RunningSimulator, running
from integrations.tests.console import OURS, addresses, row_of, sign_in

ADD = "/admin/integrations/integration/add/"
SQUARE = f"{ADD}?provider=square&kind=pos"
WEBHOOK_SECRET = "webhook-secret-0815"


@pytest.fixture(scope="module")
def square() -> Iterator[RunningSimulator]:
    with running(SquareSimulator()) as simulator:
        yield simulator


@pytest.fixture
def manager(hotel: Hotel) -> Client:
    return sign_in(Role.MANAGER, hotel)


def body(hotel: Hotel, square: RunningSimulator, **more: Any) -> dict[str, Any]:
    return {
        "hotel": hotel.pk,
        "provider_name": "Restaurant till",
        "environment": "sandbox",
        "credentials.access_token": TOKEN,
        "credentials.location_id": RESTAURANT,
        "config.square_version": "2025-08-20",
        "config.base_url": square.url,
        "auto_sync": "on",
        "sync_interval": "hourly",
        "conflict_rule": "vendor_wins",
        "webhook_secret": WEBHOOK_SECRET,
    } | more


def connected(hotel: Hotel, square: RunningSimulator) -> Integration:
    data = {
        "integration_type": "pos", "provider": "square", "environment": "sandbox", "config": {"base_url": square.url, "kept": "as it is"},
        "credentials": {"access_token": TOKEN, "location_id": RESTAURANT}, "webhook_secret": WEBHOOK_SECRET,
    }  # fmt: skip
    return create_integration(hotel, data)[0]


def settings_of(integration: Integration, name: str = "settings") -> str:
    return reverse(f"admin:integrations_integration_{name}", args=[integration.pk])


# --- the form ------------------------------------------------------------------------------------------------------------------


def test_a_vendor_is_chosen_before_its_form_is_shown(manager: Client) -> None:
    page = manager.get(ADD).content.decode()
    for name in ("Square", "Oracle OPERA Cloud", "Salesforce"):
        assert name in page
    assert "?provider=square&amp;kind=pos" in page


def test_a_vendor_nobody_knows_is_not_found(manager: Client) -> None:
    assert manager.get(f"{ADD}?provider=square&kind=pms").status_code == 404
    assert manager.get(f"{ADD}?provider=nobody&kind=pos").status_code == 404


def test_the_form_is_made_from_the_manifest(manager: Client) -> None:
    form = manager.get(SQUARE).context["form"]
    token, location = form.fields["credentials.access_token"], form.fields["credentials.location_id"]
    assert (token.label, token.required, token.widget.input_type) == ("Access token", True, "password")
    assert (location.label, location.widget.input_type) == ("Location ID", "text")
    assert form.fields["config.square_version"].initial == "2025-08-20"
    assert dict(form.fields["environment"].choices) == {"production": "Production", "sandbox": "Sandbox"}


def test_only_the_users_hotels_can_be_chosen(manager: Client, hotel: Hotel, other_hotel: Hotel, square: RunningSimulator) -> None:
    assert list(manager.get(SQUARE).context["form"].fields["hotel"].queryset) == [hotel]
    manager.post(SQUARE, body(other_hotel, square))
    assert not Integration.objects.exists()


class Declared(BaseModel):
    kind: Literal["v2", "in_house"] = "v2"
    several: tuple[Literal["rsv", "fof"], ...] = ("rsv",)
    codes: dict[str, str] = {}
    names: list[str] = []
    count: int | None = Field(None, ge=1)
    key: SecretStr = Field(json_schema_extra={"multiline": True})
    is_on: bool = False


@pytest.mark.parametrize(
    ("name", "typed", "read"),
    [
        ("kind", "in_house", "in_house"),
        ("several", ["rsv", "fof"], ["rsv", "fof"]),
        ("codes", "food = 2000\nspa=4100\n", {"food": "2000", "spa": "4100"}),
        ("names", "one\n\ntwo", ["one", "two"]),
        ("count", "3", 3),
        ("count", "", None),
        ("key", "-----BEGIN\nline\n-----END", "-----BEGIN\nline\n-----END"),
        ("is_on", "on", True),
    ],
)
def test_every_kind_of_declaration_has_its_field(name: str, typed: Any, read: Any) -> None:
    assert form_field(name, Declared.model_fields[name]).clean(typed) == read


def test_a_line_without_a_value_is_refused_in_words() -> None:
    with pytest.raises(Exception, match="“food” is not"):
        PairsField().clean("food")


# --- test before save ----------------------------------------------------------------------------------------------------------


def test_a_test_before_saving_stores_nothing(manager: Client, hotel: Hotel, square: RunningSimulator) -> None:
    answer = manager.post("/admin/integrations/integration/try/?provider=square&kind=pos", body(hotel, square))
    assert "The connection works." in answer.content.decode()
    assert TOKEN not in answer.content.decode()
    assert not Integration.objects.exists()
    assert not IntegrationLog.objects.exists()


def test_a_wrong_token_is_told_before_saving_with_what_to_do(manager: Client, hotel: Hotel, square: RunningSimulator) -> None:
    wrong = body(hotel, square, **{"credentials.access_token": "EAAA-wrong-token-4711"})
    page = manager.post("/admin/integrations/integration/try/?provider=square&kind=pos", wrong).content.decode()
    assert "The connection does not work." in page
    assert "Square refused the credentials" in page
    assert "EAAA-wrong-token-4711" not in page


def test_a_test_of_an_unfinished_form_names_what_is_missing(manager: Client, hotel: Hotel, square: RunningSimulator) -> None:
    unfinished = body(hotel, square, **{"credentials.location_id": ""})
    page = manager.post("/admin/integrations/integration/try/?provider=square&kind=pos", unfinished).content.decode()
    assert "Location ID" in page
    assert "Not tested" in page


def test_changed_settings_are_tested_with_the_stored_secrets(manager: Client, hotel: Hotel, square: RunningSimulator) -> None:
    integration = connected(hotel, square)
    page = manager.post(settings_of(integration, "try_changes"), body(hotel, square, **{"credentials.access_token": ""})).content.decode()
    assert "The connection works." in page
    assert not IntegrationLog.objects.exists()


# --- saving --------------------------------------------------------------------------------------------------------------------


def test_saving_connects_and_says_what_to_do_next(manager: Client, hotel: Hotel, square: RunningSimulator) -> None:
    answer = manager.post(SQUARE, body(hotel, square), follow=True)
    integration = Integration.objects.get()
    assert integration.credentials.reveal() == {"access_token": TOKEN, "location_id": RESTAURANT}
    assert (integration.hotel, integration.provider, integration.environment) == (hotel, "square", "sandbox")
    assert integration.sync_settings == {"auto_sync": True, "sync_interval": "hourly", "conflict_rules": {"*": "vendor_wins"}}
    assert "The connection is tried at once" in answer.content.decode()
    assert integration.webhook_secrets.count() == 1


def test_what_the_service_refuses_stands_beside_its_field(manager: Client, hotel: Hotel, square: RunningSimulator) -> None:
    answer = manager.post(SQUARE, body(hotel, square, **{"config.base_url": "http://169.254.169.254/"}))
    assert list(answer.context["form"].errors) == ["config.base_url"]
    assert not Integration.objects.exists()


def test_an_empty_secret_leaves_the_stored_one_as_it_is(manager: Client, hotel: Hotel, square: RunningSimulator) -> None:
    integration = connected(hotel, square)
    changed = body(hotel, square, **{"credentials.access_token": "", "provider_name": "Bar till", "webhook_secret": ""})
    assert manager.post(settings_of(integration), changed).status_code == 302
    integration.refresh_from_db()
    assert integration.provider_name == "Bar till"
    assert integration.credentials.reveal()["access_token"] == TOKEN
    assert integration.config["kept"] == "as it is"
    assert integration.webhook_secrets.count() == 1


def test_a_new_secret_replaces_the_stored_one(manager: Client, hotel: Hotel, square: RunningSimulator) -> None:
    integration = connected(hotel, square)
    manager.post(settings_of(integration), body(hotel, square, **{"credentials.access_token": "EAAA-fresh-token-0042"}))
    integration.refresh_from_db()
    assert integration.credentials.reveal()["access_token"] == "EAAA-fresh-token-0042"


def test_every_change_is_written_to_the_history(manager: Client, hotel: Hotel, square: RunningSimulator) -> None:
    manager.post(SQUARE, body(hotel, square))
    integration = Integration.objects.get()
    manager.post(settings_of(integration), body(hotel, square, **{"credentials.access_token": "EAAA-fresh-token-0042"}))
    history = manager.get(settings_of(integration, "history")).content.decode()
    assert "Changed the settings. Entered: Access token" in history
    assert "EAAA-fresh-token-0042" not in history
    assert manager.user.username in history


# --- secrets -------------------------------------------------------------------------------------------------------------------


def test_a_set_secret_shows_only_when_it_was_set_and_how_it_ends(manager: Client, hotel: Hotel, square: RunningSimulator) -> None:
    page = manager.get(settings_of(connected(hotel, square))).content.decode()
    placeholder = re.search(r'placeholder="(Set on [^"]+)"', page)
    assert placeholder
    assert placeholder[1].endswith(f"ends in …{TOKEN[-2:]}. Leave empty to keep it.")
    assert TOKEN not in page


def test_no_page_of_the_console_shows_a_secret(manager: Client, hotel: Hotel, square: RunningSimulator) -> None:
    integration = connected(hotel, square)
    manager.post(settings_of(integration, "test"))
    manager.post(settings_of(integration, "sync"), {"stream": "menus"})
    rejected = manager.post(settings_of(integration), body(hotel, square, provider_name=""))  # shown again, with what was typed
    pages = [rejected.content.decode(), manager.get("/admin/").content.decode()]
    for model in OURS:
        row = row_of(model, hotel)
        pages += [manager.get(address.fill(row.pk if row else 1)).content.decode() for address in addresses(model)]
    assert len(pages) > 80
    for secret in (TOKEN, WEBHOOK_SECRET, str(integration.credentials._token)):
        assert not [page for page in pages if secret in page]


# --- the setup page ------------------------------------------------------------------------------------------------------------


def test_the_setup_page_shows_html_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    setup_page.cache_clear()
    monkeypatch.setattr("pathlib.Path.is_file", lambda self: True)
    monkeypatch.setattr(
        "pathlib.Path.read_text",
        lambda self, encoding: "# Setup\n<script>alert(1)</script> [x](javascript:alert(1))\n\n| a | b |\n|---|---|\n| 1 | 2 |",
    )
    page = setup_page("square")
    setup_page.cache_clear()
    assert "<h1>Setup</h1>" in page
    assert "<td>1</td>" in page
    assert "<script" not in page
    assert 'href="javascript' not in page
