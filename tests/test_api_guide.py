"""The requests of the implementation guide work as they are written, host and token apart."""

import json
import shlex
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from hotels.models import Hotel, Membership
from integrations.models import Integration
from integrations.services import registry
from integrations.tests.conftest import Connect

CREATE = {
    "hotel_id": 1,
    "integration_type": "pos",
    "provider_name": "Square POS",
    "provider_version": "2.0",
    "config": {
        "baseUrl": "https://api.square.com/v2",
        "endpoints": {"menus": "/catalog/items", "checks": "/orders"},
        "testEndpoint": "/health",
    },
    "credentials": {"apiKey": "your-api-key", "locationId": "your-location-id"},
    "webhook_url": "https://your-domain.com/api/webhooks/1",
    "webhook_secret": "your-webhook-secret",
    "sync_settings": {"auto_sync": True, "sync_interval": "hourly"},
}
SQUARE = {
    "integration_type": "pos",
    "provider_name": "Square POS",
    "config": {
        "baseUrl": "https://connect.squareup.com",
        "endpoints": {"menus": "/v2/catalog/items", "checks": "/v2/orders", "categories": "/v2/catalog/categories"},
        "testEndpoint": "/v2/locations",
    },
    "credentials": {"accessToken": "your-access-token", "locationId": "your-location-id"},
}
OPERA = {
    "integration_type": "pms",
    "provider_name": "Opera PMS",
    "config": {
        "baseUrl": "https://api.operasoftware.com",
        "endpoints": {
            "reservations": "/v1/reservations",
            "checkins": "/v1/checkins",
            "checkouts": "/v1/checkouts",
            "rooms": "/v1/rooms",
            "guests": "/v1/guests",
        },
        "testEndpoint": "/v1/health",
    },
    "credentials": {"apiKey": "your-api-key", "hotelCode": "your-hotel-code"},
}
SALESFORCE = {
    "integration_type": "guest_management",
    "provider_name": "Salesforce",
    "config": {
        "baseUrl": "https://your-instance.salesforce.com",
        "endpoints": {
            "feedback": "/services/data/v58.0/sobjects/Feedback__c",
            "chat": "/services/data/v58.0/sobjects/Chat_Message__c",
            "notifications": "/services/data/v58.0/sobjects/Notification__c",
            "guests": "/services/data/v58.0/sobjects/Contact",
        },
        "testEndpoint": "/services/data/v58.0/sobjects/User",
    },
    "credentials": {"accessToken": "your-access-token", "instanceUrl": "https://your-instance.salesforce.com"},
}
SECRETS = ("your-api-key", "your-access-token", "your-webhook-secret")


@pytest.mark.parametrize(
    ("body", "provider"),
    [(CREATE, "square"), (SQUARE, "square"), (OPERA, "opera_cloud"), (SALESFORCE, "salesforce")],
    ids=["create", "square", "opera", "salesforce"],
)
def test_a_sample_integration_is_accepted_as_written(manager: APIClient, hotel: Hotel, body: dict[str, Any], provider: str) -> None:
    if provider not in registry.providers():
        pytest.skip(f"{provider} is not installed")
    Hotel.objects.filter(pk=hotel.pk).update(id=1)  # as the guide has it; where it names none, it is the only one
    Membership.objects.update(hotel_id=1)
    created = manager.post("/api/integrations", body)
    assert created.status_code == 201, created.content
    answer = created.json()
    assert (answer["provider"], answer["provider_name"], answer["status"]) == (provider, body["provider_name"], "active")
    assert answer["config"] == body["config"]
    assert any("endpoints" in warning for warning in answer["warnings"])
    shown = created.content + manager.get(f"/api/integrations/{answer['id']}").content + manager.get("/api/integrations").content
    assert not [secret for secret in SECRETS if secret.encode() in shown]


def curl(client: Client, line: str) -> Any:
    """Run a curl line against the test client."""
    words = shlex.split(line.replace("\\\n", " "))[1:]
    method, url, headers, data = "get", "", {}, None
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0).lower()
        elif word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word == "-d":
            data = words.pop(0)
        else:
            url = word.removeprefix("http://localhost:3000")
    content_type = headers.pop("Content-Type", "application/octet-stream")
    more = {} if method == "get" else {"data": data or "", "content_type": content_type}
    return getattr(client, method)(url, headers=headers, **more)


@pytest.fixture
def integration(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ('curl -X POST http://localhost:3000/api/integrations/1/test -H "Authorization: Bearer your-token"', 200),
        (
            'curl -X POST http://localhost:3000/api/integrations/1/sync \\\n  -H "Authorization: Bearer your-token" \\\n'
            '  -H "Content-Type: application/json" \\\n  -d \'{"sync_type": "menus"}\'',
            202,
        ),
        ('curl -X GET http://localhost:3000/api/integrations/1 -H "Authorization: Bearer your-token"', 200),
        ('curl -X GET "http://localhost:3000/api/integrations/1/logs?limit=10" -H "Authorization: Bearer your-token"', 200),
        (
            'curl "http://localhost:3000/api/integrations/1/logs?operation_type=sync&status=success&limit=50&offset=0" '
            '-H "Authorization: Bearer your-token"',
            200,
        ),
        (
            'curl "http://localhost:3000/api/integrations?hotel_id=HOTEL&integration_type=pos&status=active" '
            '-H "Authorization: Bearer your-token"',
            200,
        ),
        ("curl -X GET http://localhost:3000/api/webhooks/health", 200),
    ],
)
def test_a_curl_line_works_as_written(client: Client, manager: APIClient, integration: Integration, line: str, status: int) -> None:
    token = manager._credentials["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    line = line.replace("your-token", token).replace("/integrations/1", f"/integrations/{integration.pk}")
    answer = curl(client, line.replace("HOTEL", str(integration.hotel_id)))
    assert answer.status_code == status, answer.content
    assert json.loads(answer.content)
