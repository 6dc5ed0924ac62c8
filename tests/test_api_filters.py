"""Every filter of every list, found in the schema: a value it does not know is refused by name, and so is a filter that is not there."""

from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from hotels.models import Hotel
from integrations.tests.conftest import Connect

WRONG = {"boolean": "maybe", "integer": "1.5", "enum": "purple", "date-time": "yesterday", "date": "2026-13-01"}


def lists() -> list[tuple[str, list[dict[str, Any]]]]:
    """Return every address that takes an offset, with what its query may hold."""
    found = []
    for path, methods in SchemaGenerator().get_schema(public=True)["paths"].items():
        parameters = [entry for entry in methods.get("get", {}).get("parameters", []) if entry["in"] == "query"]
        if any(entry["name"] == "offset" for entry in parameters):
            found.append((path, parameters))
    return found


def kind_of(schema: dict[str, Any]) -> str | None:
    if "enum" in schema:
        return "enum"
    return schema.get("format") if schema.get("format") in WRONG else schema.get("type") if schema.get("type") in WRONG else None


@pytest.fixture
def world(hotel: Hotel, connect: Connect, manager: APIClient) -> tuple[APIClient, str, str]:
    return manager, str(hotel.pk), str(connect(hotel).pk)


def test_there_are_lists_to_try() -> None:
    assert len(lists()) > 15


@pytest.mark.parametrize(("path", "parameters"), lists(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_list_refuses_what_it_does_not_know(world: tuple[APIClient, str, str], path: str, parameters: list[dict[str, Any]]) -> None:
    client, hotel_id, integration_id = world
    address = path.replace("{hotel_id}", hotel_id).replace("{integration_id}", integration_id)
    assert client.get(address).status_code == 200
    for entry in parameters:
        name, kind = entry["name"], kind_of(entry["schema"])
        if kind is None:
            continue
        answer = client.get(address, {name: WRONG[kind]})
        assert answer.status_code == 400, (name, WRONG[kind], answer.content)
        error = answer.json()["errors"][0]
        assert error["attr"] == name
        if kind == "enum":
            assert all(str(word) in error["detail"] for word in entry["schema"]["enum"])
            assert client.get(address, {name: entry["schema"]["enum"][0]}).status_code == 200
        elif kind == "boolean":
            assert [client.get(address, {name: word}).status_code for word in ("true", "false")] == [200, 200]
    answer = client.get(address, {"colour": "red"})
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "colour")
    assert all(entry["name"] in answer.json()["errors"][0]["detail"] for entry in parameters)


def test_the_bodies_of_a_replay_and_of_a_new_secret_refuse_what_they_do_not_know(world: tuple[APIClient, str, str]) -> None:
    client, _, integration_id = world
    for path, body in (("webhook-events/replay", {"status": "dead", "evnt_type": "x"}), ("webhook-secret", {"at_onc": True})):
        answer = client.post(f"/api/integrations/{integration_id}/{path}", body)
        assert answer.status_code == 400, answer.content
        assert "There is no such field" in answer.json()["errors"][0]["detail"]
    answer = client.post(f"/api/integrations/{integration_id}/webhook-events/replay", {"eventType": "menu_updated"})
    assert (answer.status_code, answer.json()) == (200, {"matching": 0, "replayed": 0})
