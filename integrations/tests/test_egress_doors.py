"""Wherever an address is entered, one inside a network is refused; and a connection test cannot be used to look around there."""

import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from django.core.cache import cache
from django.urls import reverse
from rest_framework.test import APIClient

from hotels.models import Hotel, Role
from integrations.models import Integration, IntegrationLog
from integrations.security import egress
from integrations.services.setup import create_integration
from integrations.tests.console import sign_in

INNER = [
    "https://pos.lan", "https://POS.CORP.", "https://db.default.svc.cluster.local", "https://x.home.arpa", "https://pos", "https://münchen",
    "https://metadata.google.internal", "https://printer.local.", "https://müller.lan", "https://2130706433", "https://0x7f.1", "https://127.1",
    "https://0177.0.0.1", "https://10.0.0.5", "https://[::ffff:10.0.0.5]", "https://[fd00::1]", "https://169.254.169.254", "http://pos.example.com",
    "https://pos.example.com:22", "https://user:pw@pos.example.com", "https://pos.example.com\\@10.0.0.5",
]  # fmt: skip
GOOD = {
    "provider": "generic_rest",
    "integration_type": "pos",
    "config": {"base_url": "https://pos.example.com", "test_endpoint": "/health"},
    "credentials": {"apiKey": "key-4711"},
}
SIGN_IN = {"org_short_name": "x", "loc_ref": "x", "rvc_ref": 1, "employee_ref": 1, "order_type_ref": 1}
MICROS = {"client_id": "x", "username": "x", "password": "password-4711"}
ELSEWHERE: dict[str, tuple[dict[str, Any], str]] = {
    "where to sign in": (
        {"provider": "simphony", "config": {"base_url": "https://a.example.com", "oidc_url": "{}", **SIGN_IN}, "credentials": MICROS},
        "config.oidc_url",
    ),
    "an address among the credentials": (
        {"provider": "salesforce", "integration_type": "guest_management",
         "credentials": {"sign_in": "access_token", "access_token": "token-4711", "instance_url": "{}"}},
        "credentials.instance_url",
    ),
    "an endpoint": ({"config": {"base_url": "https://pos.example.com", "endpoints": {"menus": "{}"}}}, "config.endpoints"),
    "where to test": ({"config": {"base_url": "https://pos.example.com", "test_endpoint": "{}"}}, "config.test_endpoint"),
    "the seed's spelling": ({"config": {"baseUrl": "{}", "testEndpoint": "/health"}}, "config.base_url"),
}  # fmt: skip


def filled(value: Any, address: str) -> Any:
    if isinstance(value, dict):
        return {name: filled(inner, address) for name, inner in value.items()}
    return value.replace("{}", address) if isinstance(value, str) else value


@pytest.fixture
def stored(hotel: Hotel) -> Integration:
    return create_integration(hotel, GOOD)[0]


@pytest.fixture
def doors(manager: APIClient, hotel: Hotel, stored: Integration) -> dict[str, Callable[[str], list[str]]]:
    """Each door that takes an address: what it says is wrong."""
    one = f"/api/integrations/{stored.pk}"
    browser = sign_in(Role.MANAGER, hotel)
    form = {"hotel": hotel.pk, "provider_name": "Till", "environment": "production", "sync_interval": "hourly", "conflict_rule": "vendor_wins",
            "credentials.api_key": "key-4711"}  # fmt: skip

    def api(method: str, path: str, address: str) -> list[str]:
        config = {"base_url": address}
        body = (
            {"config": config, "credentials": {"apiKey": "key-4711"}}
            if method == "patch"
            else {**GOOD, "hotel_id": hotel.pk, "config": config}
        )
        answer = getattr(manager, method)(path, body)
        assert answer.status_code == 400, answer.content
        return [error["attr"] for error in answer.json()["errors"]]

    def console(path: str, address: str, **more: str) -> list[str]:
        answer = browser.post(path, {**form, "config.base_url": address, **more})
        assert answer.status_code == 200
        return list(answer.context["form"].errors)

    add = "/admin/integrations/integration/add/?provider=generic_rest&kind=pos"
    change = reverse("admin:integrations_integration_settings", args=[stored.pk])
    return {
        "POST": lambda address: api("post", "/api/integrations", address),
        "PUT": lambda address: api("put", one, address),
        "PATCH": lambda address: api("patch", one, address),
        "add form": lambda address: console(add, address),
        "settings form": lambda address: console(change, address),
    }


@pytest.mark.parametrize("door", ["POST", "PUT", "PATCH", "add form", "settings form"])
def test_an_inner_address_is_refused_at_every_door(
    doors: dict[str, Callable[[str], list[str]]], stored: Integration, settings: Any, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    settings.EGRESS_ALLOW = []
    monkeypatch.setattr(egress, "_look_up", lambda *asked: pytest.fail("the network was asked"))
    before = list(Integration.objects.values())
    for address in INNER:
        assert doors[door](address) == ["config.base_url"], address
    assert list(Integration.objects.values()) == before


@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.parametrize("address", ["https://pos.lan/x", "https://10.0.0.5/x", "HTTPS://POS.corp./x"])
def test_and_in_every_field_that_may_hold_one(manager: APIClient, hotel: Hotel, settings: Any, place: str, address: str) -> None:
    settings.EGRESS_ALLOW = []
    body, field = ELSEWHERE[place]
    answer = manager.post("/api/integrations", {**GOOD, "hotel_id": hotel.pk, **filled(body, address)})
    assert (answer.status_code, [error["attr"] for error in answer.json()["errors"]]) == (400, [field]), answer.content
    assert not Integration.objects.exists()


def test_a_name_nobody_has_and_one_that_leads_inside_are_told_alike(
    manager: APIClient, stored: Integration, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EGRESS_ALLOW = []
    settings.INTEGRATION_RETRY_ATTEMPTS = 0

    def nobody(*asked: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    def silent(*asked: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "no name server answered in time")

    def told(look_up: Callable[..., Any]) -> Iterator[Any]:
        monkeypatch.setattr(egress, "_look_up", look_up)
        IntegrationLog.objects.all().delete()
        cache.clear()  # the breaker counts both
        answer = manager.post(f"/api/integrations/{stored.pk}/test")
        yield answer.status_code
        yield {name: value for name, value in answer.json().items() if name != "processing_time"}
        yield list(
            IntegrationLog.objects.order_by("pk").values(
                "operation_name", "status", "http_status", "error_code", "error_message", "attempt"
            )
        )
        yield Integration.objects.values("status", "last_error").get()
        page = sign_in(Role.MANAGER, stored.hotel).post(
            reverse("admin:integrations_integration_test", args=[stored.pk]), headers={"HX-Request": "true"}
        )
        yield page.context["outcome"].message

    first = list(told(nobody))
    assert "the name pos.example.com cannot be found" in str(first)
    for inside in ("10.0.0.5", "127.0.0.1", "169.254.169.254", "fd00::1"):
        assert list(told(lambda *asked, inside=inside: [ip_address(inside)])) == first
    assert list(told(lambda *asked: [ip_address("93.184.215.14"), ip_address("10.0.0.5")])) == first
    assert list(told(silent)) == first


def test_addresses_that_are_shown_hold_no_password(manager: APIClient, stored: Integration) -> None:
    answer = manager.patch(f"/api/integrations/{stored.pk}", {"webhook_url": "https://user:pw@hotel.example.com/api/webhooks/1"})
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "webhook_url")


@pytest.mark.parametrize("name", ["access_token", "apiKey", "client_secret", "Password", "private_key"])
def test_a_secret_among_the_settings_is_sent_where_it_belongs(manager: APIClient, stored: Integration, name: str) -> None:
    config = {**GOOD["config"], name: "secret-4711", "token_url": "https://pos.example.com/token"}
    answer = manager.patch(f"/api/integrations/{stored.pk}", {"config": config})
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["attr"]) == (400, f"config.{name}")
    assert "credentials" in error["detail"]
    assert manager.patch(f"/api/integrations/{stored.pk}", {"config": {**GOOD["config"], name: ""}}).status_code == 200
