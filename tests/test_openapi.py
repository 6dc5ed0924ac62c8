"""The API describes itself truly: without a warning, with every address people know, and whatever is sent, as it says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
def schema(client: Client) -> dict[str, Any]:
    return client.get("/api/schema").json()


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        yield from ((path, method, operation) for method, operation in methods.items() if method in METHODS)


def test_the_description_is_valid_and_raises_no_warning(tmp_path: Path) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "schema.yaml"))


@pytest.mark.django_db
class TestDescription:
    def test_every_operation_says_what_it_does_and_how_it_fails(self, schema: dict[str, Any]) -> None:
        for path, method, operation in operations(schema):
            assert operation["summary"], f"{method} {path} says nothing"
            assert operation["tags"]
            assert operation["responses"]["default"], f"{method} {path} does not say how it fails"

    def test_every_write_at_a_vendor_takes_an_idempotency_key(self, schema: dict[str, Any]) -> None:
        taking = {
            path
            for path, _, operation in operations(schema)
            if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", []))
        }
        assert {path.split("{integration_id}")[1] for path in taking} == {
            "/checks", "/checks/{check_id}/void", "/check-ins", "/check-outs", "/charges", "/requests", "/guests/{guest_id}", "/feedback",
            "/chat-messages", "/notifications", "/notifications/{notification_id}/status",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("path", "method"),
        [
            ("/api/integrations", "get"),
            ("/api/integrations", "post"),
            ("/api/integrations/{integration_id}", "get"),
            ("/api/integrations/{integration_id}/test", "post"),
            ("/api/integrations/{integration_id}/sync", "post"),
            ("/api/integrations/{integration_id}/logs", "get"),
        ],
    )
    def test_the_addresses_people_know_are_there(self, schema: dict[str, Any], path: str, method: str) -> None:
        assert method in schema["paths"][path]

    def test_money_may_be_sent_as_a_number_or_as_text(self, schema: dict[str, Any]) -> None:
        total = schema["components"]["schemas"]["GuestCheckInput"]["properties"]["total"]
        assert {choice["type"] for choice in total["anyOf"]} == {"number", "string"}

    def test_the_page_at_api_docs_loads_nothing_from_elsewhere(self, client: Client) -> None:
        page = client.get("/api-docs")
        assert page.status_code == 200
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.content.decode())
        assert loaded
        assert all(address.startswith("/") for address in loaded)
        assert "unsafe-inline" not in re.search(r"script-src [^;]+", page.headers["Content-Security-Policy"])[0]
        assert b"<script>" not in page.content
