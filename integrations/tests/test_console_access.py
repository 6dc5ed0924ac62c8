"""In the console one hotel never sees another's data, and everybody does what their role allows and no more.

The addresses come from the admin site, so that a new screen cannot be forgotten: it is asked here as soon as it is registered.
"""

from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from hotels.models import ApiToken, Guest, Hotel, Membership, MenuCategory, MenuItem, Role
from integrations.models import Conflict, Integration, IntegrationLog, Operation, RejectedRecord, StreamState, SyncRun
from integrations.tests.conftest import Connect
from integrations.tests.console import OURS, Address, addresses, row_of, sign_in
from integrations.tests.test_api_tenancy import everything_of, ids_of

NEVER_USED = 999_999_999
HISTORY = (SyncRun, IntegrationLog, Operation, RejectedRecord, Conflict, StreamState)


@pytest.fixture(autouse=True)
def world(connect: Connect, hotel: Hotel, other_hotel: Hotel) -> None:
    """Both hotels have one of everything."""
    for one in (hotel, other_hotel):
        ids_of(connect, one)
        StreamState.objects.create(integration=Integration.objects.get(hotel=one), stream="menus", cursor={"after": "secret-cursor"})
        Membership.objects.create(user=sign_in(None).user, hotel=one, role=Role.VIEWER)


def ask(client: Client, method: str, address: str) -> Any:
    return getattr(client, method)(address)


def test_every_screen_is_asked() -> None:
    assert {Integration, SyncRun, IntegrationLog, Operation, MenuItem, Guest, Hotel} <= set(OURS)
    assert {address.name for address in addresses(Integration)} >= {
        f"integrations_integration_{name}" for name in ("sync", "test", "settings", "try")
    }


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.model_name)
def test_another_hotels_row_answers_like_one_that_never_existed(hotel: Hotel, other_hotel: Hotel, model: type[Model]) -> None:
    manager, foreign, before = sign_in(Role.MANAGER, hotel), row_of(model, other_hotel), everything_of(other_hotel)
    for address in addresses(model):
        for method in ("get", "post") if address.is_of_a_row else ():
            answer, absent = (ask(manager, method, address.fill(pk)) for pk in (foreign.pk, NEVER_USED))
            assert answer.status_code in (302, 403, 404, 405), address
            assert (answer.status_code, answer.headers.get("Location")) == (absent.status_code, absent.headers.get("Location")), address
            assert other_hotel.name not in answer.content.decode()
    assert everything_of(other_hotel) == before


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.model_name)
def test_lists_and_pages_show_only_ones_own_hotel(hotel: Hotel, other_hotel: Hotel, model: type[Model]) -> None:
    manager, own = sign_in(Role.MANAGER, hotel), row_of(model, hotel)
    screen = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    listed = manager.get(reverse(f"{screen}_changelist"))
    assert listed.status_code == 200
    assert f"/{model._meta.model_name}/{own.pk}/change/" in listed.content.decode()
    page = manager.get(reverse(f"{screen}_change", args=[own.pk]))
    assert page.status_code == 200
    for answer in (listed, page):
        assert other_hotel.name not in answer.content.decode()


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.model_name)
def test_a_viewer_reads_and_changes_nothing(hotel: Hotel, model: type[Model]) -> None:
    viewer, own, before = sign_in(Role.VIEWER, hotel), row_of(model, hotel), everything_of(hotel)
    for address in addresses(model):
        answer = ask(viewer, "post", address.fill(own.pk))
        assert answer.status_code in (302, 403, 405) or address.name.endswith(("_changelist", "_history")), address
    assert everything_of(hotel) == before
    page = viewer.get(Address(f"{model._meta.app_label}_{model._meta.model_name}_change", ("object_id",)).fill(own.pk))
    assert page.status_code == (403 if model is Membership else 200)  # who has which role is the managers' business


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.model_name)
def test_who_manages_one_hotel_and_views_another_changes_nothing_there(hotel: Hotel, other_hotel: Hotel, model: type[Model]) -> None:
    both, own = sign_in(Role.MANAGER, other_hotel, also={hotel: Role.VIEWER}), row_of(model, hotel)
    before = everything_of(hotel)
    screen = admin.site._registry[model]
    listed = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    for address in addresses(model):
        answer = both.post(address.fill(own.pk), {"post": "yes", "status": "inactive", "hotel": other_hotel.pk})
        assert answer.status_code in (302, 403, 404, 405) or address.name.endswith(("_changelist", "_history", "_add")), address
        assert address.name.endswith("_add") or 'name="_save"' not in both.get(address.fill(own.pk)).content.decode(), address
    for action in ("delete_selected", *(screen.actions or ())):
        both.post(listed, {"action": action, "_selected_action": [own.pk], "post": "yes"})
    assert everything_of(hotel) == before
    for row in (own, row_of(model, other_hotel)):
        assert f"/{model._meta.model_name}/{row.pk}/change/" in both.get(listed).content.decode() or model is Membership


@pytest.mark.parametrize("model", HISTORY, ids=lambda model: model._meta.model_name)
def test_history_is_read_only_even_for_a_superuser(hotel: Hotel, model: type[Model]) -> None:
    root, own = sign_in(None, superuser=True), row_of(model, hotel)
    before = model._default_manager.filter(pk=own.pk).values().get()
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    for address in (reverse(f"{name}_add"), reverse(f"{name}_change", args=[own.pk]), reverse(f"{name}_delete", args=[own.pk])):
        assert root.post(address, {"post": "yes"}).status_code == 403
    assert model._default_manager.filter(pk=own.pk).values().get() == before


@pytest.mark.parametrize("name", ["settings", "delete", "status", "try_changes"])
def test_an_operator_changes_no_connection(hotel: Hotel, name: str) -> None:
    integration = Integration.objects.get(hotel=hotel)
    address = reverse(f"admin:integrations_integration_{name}", args=[integration.pk])
    assert sign_in(Role.OPERATOR, hotel).post(address, {"status": "inactive"}).status_code == 403
    assert Integration.objects.get(pk=integration.pk).status == "active"


def test_an_operator_connects_nothing(hotel: Hotel) -> None:
    assert sign_in(Role.OPERATOR, hotel).get(reverse("admin:integrations_integration_add")).status_code == 403


def test_staff_without_a_hotel_is_told_what_to_do() -> None:
    nobody = sign_in(None)
    assert "Ask an administrator to give you a role" in nobody.get(reverse("admin:index")).content.decode()
    for model in OURS:
        assert nobody.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")).status_code == 403


def test_nothing_opens_without_signing_in(hotel: Hotel) -> None:
    for model in OURS:
        for address in addresses(model):
            answer = Client().get(address.fill(row_of(model, hotel).pk))
            assert answer.status_code == 405 or answer.headers["Location"].startswith("/admin/login/"), address


@pytest.mark.parametrize(
    "query", ["credentials__startswith=e", "integration__credentials__startswith=e", "hotel__slug=x", "payload__icontains=e"]
)
def test_the_address_bar_cannot_probe_other_columns(hotel: Hotel, query: str) -> None:
    manager = sign_in(Role.MANAGER, hotel)
    for model in OURS:
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert manager.get(f"{address}?{query}").status_code == 400, model


@pytest.mark.parametrize(
    "query", ["hotel=" + "9" * 30, "integration=" + "9" * 30, "p=99999999", "p=x", "o=99", "archived=x", "created_at_from_0=x", "q=%00"]
)
def test_odd_addresses_never_break_a_list(hotel: Hotel, query: str) -> None:
    manager = sign_in(Role.MANAGER, hotel)
    for model in (Integration, IntegrationLog, SyncRun, Operation, MenuItem, Guest):
        answer = manager.get(f"{reverse(f'admin:{model._meta.app_label}_{model._meta.model_name}_changelist')}?{query}")
        assert answer.status_code < 500, model


def test_choices_are_those_of_the_same_hotel(hotel: Hotel, other_hotel: Hotel) -> None:
    manager, item = sign_in(Role.MANAGER, hotel), MenuItem.objects.get(hotel=hotel)
    Membership.objects.create(user=manager.user, hotel=other_hotel, role=Role.MANAGER)
    foreign = MenuCategory.objects.create(hotel=other_hotel, name="Foreign drinks")
    address = reverse("admin:hotels_menuitem_change", args=[item.pk])
    assert foreign.name not in manager.get(address).content.decode()
    manager.post(
        address,
        {
            "name": "Frittata",
            "description": "",
            "category": foreign.pk,
            "position": 0,
            "variations-TOTAL_FORMS": 0,
            "variations-INITIAL_FORMS": 0,
        },
    )
    item.refresh_from_db()
    assert (item.name, item.category.hotel_id) == ("Omelette 0", hotel.pk)


def test_a_manager_corrects_the_words_of_the_menu_and_not_its_hotel(hotel: Hotel, other_hotel: Hotel) -> None:
    item = MenuItem.objects.get(hotel=hotel)
    body = {
        "name": "Frittata",
        "description": "With herbs",
        "category": item.category_id,
        "position": 3,
        "hotel": other_hotel.pk,
        "is_available": "on",
    }
    answer = sign_in(Role.MANAGER, hotel).post(
        reverse("admin:hotels_menuitem_change", args=[item.pk]), {**body, "variations-TOTAL_FORMS": 0, "variations-INITIAL_FORMS": 0}
    )
    assert answer.status_code == 302
    item.refresh_from_db()
    assert (item.name, item.description, item.position, item.hotel_id) == ("Frittata", "With herbs", 3, hotel.pk)


# --- personal data -------------------------------------------------------------------------------------------------------------


def test_personal_data_is_hidden_until_it_is_asked_for_and_that_is_written_down(hotel: Hotel) -> None:
    operator, guest = sign_in(Role.OPERATOR, hotel), Guest.live.get(hotel=hotel)
    page = reverse("admin:hotels_guest_change", args=[guest.pk])
    assert guest.email not in operator.get(page).content.decode()
    assert guest.email not in operator.get(reverse("admin:hotels_guest_changelist")).content.decode()
    operator.post(reverse("admin:hotels_guest_reveal", args=[guest.pk]))
    assert guest.email in operator.get(page).content.decode()
    history = sign_in(Role.MANAGER, hotel).get(reverse("admin:hotels_guest_history", args=[guest.pk])).content.decode()
    assert "Looked at personal data" in history
    assert operator.user.username in history


def test_a_viewer_does_not_see_personal_data(hotel: Hotel) -> None:
    viewer, guest = sign_in(Role.VIEWER, hotel), Guest.live.get(hotel=hotel)
    viewer.post(reverse("admin:hotels_guest_reveal", args=[guest.pk]))
    assert guest.email not in viewer.get(reverse("admin:hotels_guest_change", args=[guest.pk])).content.decode()


def test_a_manager_corrects_a_phone_number_once_it_is_shown(hotel: Hotel) -> None:
    manager, guest = sign_in(Role.MANAGER, hotel), Guest.live.get(hotel=hotel)
    page, body = reverse("admin:hotels_guest_change", args=[guest.pk]), {"family_name": "Ortner", "phone": "+351 21 555 0100"}
    assert manager.post(page, body).status_code == 403
    manager.post(reverse("admin:hotels_guest_reveal", args=[guest.pk]))
    assert manager.post(page, body).status_code == 302
    guest.refresh_from_db()
    assert guest.phone == "+351 21 555 0100"


# --- users ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["auth_user", "auth_group"])
def test_users_and_groups_are_for_superusers(hotel: Hotel, name: str) -> None:
    address = reverse(f"admin:{name}_changelist")
    assert sign_in(Role.MANAGER, hotel).get(address).status_code == 403
    assert sign_in(None, superuser=True).get(address).status_code == 200


def test_a_manager_gives_nobody_a_role(hotel: Hotel) -> None:
    manager = sign_in(Role.MANAGER, hotel)
    own = Membership.objects.get(user=manager.user)
    assert manager.get(reverse("admin:hotels_membership_add")).status_code == 403
    assert manager.post(reverse("admin:hotels_membership_change", args=[own.pk]), {"role": "manager"}).status_code == 403


def test_every_model_of_ours_has_a_screen_that_scopes() -> None:
    apps = {"hotels", "integrations", "webhooks"}
    of_a_user = [ApiToken]  # hotels/tests/test_login.py looks at it
    assert [model for model in admin.site._registry if model._meta.app_label in apps and model not in OURS] == of_a_user
