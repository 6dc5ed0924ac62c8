"""A hotel's records through the API: what is shown, to whom, by which filters, and in pages that stay cheap."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from hotels.api.lists import Pages
from hotels.api.urls import COLLECTIONS
from hotels.models import (
    ChatMessage,
    Feedback,
    Guest,
    GuestCheck,
    GuestCheckLine,
    Hotel,
    MenuCategory,
    MenuItem,
    MenuTax,
    MenuVariation,
    ModifierList,
    Notification,
    Reservation,
    Room,
)


def furnish(hotel: Hotel, count: int = 1) -> None:
    """Give a hotel `count` rows of everything."""
    category = MenuCategory.objects.create(hotel=hotel, name="Breakfast")
    tax = MenuTax.objects.create(hotel=hotel, name="VAT", percentage=Decimal("10"))
    choices = ModifierList.objects.create(hotel=hotel, name="Doneness", options=[])
    for number in range(count):
        guest = Guest.objects.create(hotel=hotel, given_name="Eva", family_name=f"Ortner {number}", email=f"eva{number}@example.com")
        item = MenuItem.objects.create(hotel=hotel, name=f"Omelette {number}", category=category)
        item.taxes.add(tax)
        item.modifier_lists.add(choices)
        variation = MenuVariation.objects.create(hotel=hotel, item=item, name="Large", price=Decimal("15.99"), currency="EUR")
        Room.objects.create(hotel=hotel, number=f"{100 + number}", housekeeping="clean")
        Reservation.objects.create(hotel=hotel, guest=guest, status="reserved", arrival_date=date(2026, 12, 1))
        check = GuestCheck.objects.create(hotel=hotel, guest=guest, total=Decimal("31.98"), currency="EUR")
        GuestCheckLine.objects.create(
            check_record=check, item=item, variation=variation, quantity=2, unit_price=Decimal("15.99"), total_price=Decimal("31.98")
        )
        Feedback.objects.create(hotel=hotel, guest=guest, rating=5, submitted_at=datetime(2026, 11, 1, tzinfo=UTC))
        ChatMessage.objects.create(hotel=hotel, guest=guest, message="Towels?", sender_type="guest")
        Notification.objects.create(hotel=hotel, guest=guest, title="Pool", status="sent")


def names(answer: Any, field: str = "name") -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row[field] for row in answer.json()["results"]]


def test_hotels_are_those_of_the_caller_with_their_role(viewer: APIClient, hotel: Hotel, other_hotel: Hotel) -> None:
    assert viewer.get("/api/hotels").json()["results"] == [
        {
            "id": hotel.pk,
            "name": "Miramar",
            "slug": "miramar",
            "time_zone": "Europe/Lisbon",
            "currency": "EUR",
            "country": "",
            "role": "viewer",
        }
    ]


def test_a_menu_item_comes_with_its_price(viewer: APIClient, hotel: Hotel) -> None:
    furnish(hotel)
    item = viewer.get(f"/api/hotels/{hotel.pk}/menu-items").json()["results"][0]
    assert item["variations"][0]["price"] == "15.99"
    assert item["taxes"][0]["percentage"] == "10.00000"


def test_a_reservation_names_its_guest(viewer: APIClient, hotel: Hotel) -> None:
    furnish(hotel)
    Reservation.objects.create(hotel=hotel)
    assert set(names(viewer.get(f"/api/hotels/{hotel.pk}/reservations"), "guest_name")) == {"Eva Ortner 0", ""}


def test_what_is_archived_leaves_the_list_and_stays_readable(viewer: APIClient, hotel: Hotel) -> None:
    room = Room.objects.create(hotel=hotel, number="101", archived_at=timezone.now())
    assert names(viewer.get(f"/api/hotels/{hotel.pk}/rooms"), "number") == []
    assert viewer.get(f"/api/hotels/{hotel.pk}/rooms/{room.pk}").json()["archived_at"] is not None


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_a_longer_list_takes_no_more_queries(viewer: APIClient, hotel: Hotel, collection: str, django_assert_max_num_queries: Any) -> None:
    furnish(hotel, 12)
    viewer.get("/api/hotels")  # writes down that the token was used
    with django_assert_max_num_queries(9):
        assert len(viewer.get(f"/api/hotels/{hotel.pk}/{collection}").json()["results"]) >= 1


class TestFilters:
    @pytest.mark.parametrize(
        ("address", "found"),
        [
            ("menu-items?name=melette%201&is_available=true", 1),
            ("rooms?number=101", 1),
            ("rooms?housekeeping=clean&occupancy=unknown", 3),
            ("reservations?status=reserved&arrival_from=2026-12-01&arrival_until=2026-12-01", 3),
            ("reservations?arrival_from=2026-12-02", 0),
            ("guests?family_name=ortner%202", 1),
            ("guests?email=eva0@example.com&is_vip=false", 1),
            ("checks?status=pending&since=2020-01-01T00:00:00Z", 3),
            ("feedback?rating=5&until=2026-11-01T00:00:00Z", 0),
            ("chat-messages?sender_type=guest", 3),
            ("notifications?status=read", 0),
        ],
    )
    def test_a_list_is_narrowed(self, viewer: APIClient, hotel: Hotel, address: str, found: int) -> None:
        furnish(hotel, 3)
        assert len(viewer.get(f"/api/hotels/{hotel.pk}/{address}").json()["results"]) == found

    @pytest.mark.parametrize(
        ("query", "attr"),
        [
            ("statsu=clean", "statsu"),
            ("hotel__slug=belvedere", "hotel__slug"),
            ("_connector=OR", "_connector"),
            ("ordering=number", "ordering"),
            ("housekeeping=shiny", "housekeeping"),
            ("number=%00", "number"),
            ("limit=-1", "limit"),
            ("limit=0", "limit"),
            ("limit=x", "limit"),
            ("offset=100001", "offset"),
            ("offset=99999999999999999999999", "offset"),
            ("offset=%D9%A1", "offset"),
        ],
    )
    def test_what_is_no_filter_is_named(self, viewer: APIClient, hotel: Hotel, query: str, attr: str) -> None:
        answer = viewer.get(f"/api/hotels/{hotel.pk}/rooms?{query}")
        assert answer.status_code == 400
        assert [error["attr"] for error in answer.json()["errors"]] == [attr]

    @pytest.mark.parametrize("value", ["0", "-1", "9" * 30, "1.5", "x", "%00", "9" * 5000])
    def test_an_id_that_cannot_be_one_is_refused(self, viewer: APIClient, hotel: Hotel, value: str) -> None:
        assert viewer.get(f"/api/hotels/{hotel.pk}/reservations?guest_id={value}").status_code == 400

    @pytest.mark.parametrize("value", ["0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-12:00", "yesterday", "2026-02-30"])
    def test_a_time_that_cannot_be_one_is_refused(self, viewer: APIClient, hotel: Hotel, value: str) -> None:
        assert viewer.get(f"/api/hotels/{hotel.pk}/checks?since={value}").status_code == 400


class TestPages:
    def test_pages_lose_and_double_nothing(self, viewer: APIClient, hotel: Hotel) -> None:
        Room.objects.bulk_create(Room(hotel=hotel, number=f"{n:03}") for n in range(25))
        seen, address = [], f"/api/hotels/{hotel.pk}/rooms?limit=10"
        for _ in range(3):
            page = viewer.get(address).json()
            seen += [row["number"] for row in page["results"]]
            address = page["next"]
        assert address is None
        assert seen == [f"{n:03}" for n in range(25)]

    def test_the_way_back_is_shown(self, viewer: APIClient, hotel: Hotel) -> None:
        page = viewer.get(f"/api/hotels/{hotel.pk}/rooms?limit=10&offset=5").json()
        assert page["previous"].endswith("?limit=10&offset=0")
        assert page["next"] is None

    def test_no_page_is_larger_than_the_cap(self, viewer: APIClient, hotel: Hotel) -> None:
        Room.objects.bulk_create(Room(hotel=hotel, number=f"{n:03}") for n in range(Pages.MAX_LIMIT + 1))
        assert len(viewer.get(f"/api/hotels/{hotel.pk}/rooms?limit=1000000000").json()["results"]) == Pages.MAX_LIMIT
