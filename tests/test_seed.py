"""The implementation guide, line by line: each of its lines, in its order, and what shows that it holds.

Behind a line stands a function, which is called with one hotel at the simulated vendors, or the name of a test that shows it. `test_api_guide`
has the guide's requests and sample integrations as they are written, `test_seed_methods` the methods of its services.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from hotels.models import Hotel, Role
from integrations.models import Direction, IntegrationLog, LogStatus, OperationType, RunStatus, SyncRun
from integrations.services import service_for
from integrations.tests.console import sign_in
from tests.test_seed_methods import CHAT, CHECK, FEEDBACK, World
from webhooks import inbox

pytestmark = pytest.mark.django_db
ROOT = Path(settings.BASE_DIR)
SECRET = "a-webhook-secret-of-the-guide"


class Walk(World):
    """The guide's hotel and vendors, with somebody who calls the API."""

    def __init__(self, stack: ExitStack) -> None:
        super().__init__(stack)
        self.api = APIClient()
        self.api.default_format = "json"
        self.api.force_authenticate(get_user_model().objects.create_superuser("admin", password="a-long-password"))

    def id(self, slug: str) -> int:
        return self.vendors[slug][0].pk

    def path(self, slug: str, rest: str = "") -> str:
        return f"/api/integrations/{self.id(slug)}{rest}"


def syncs(slug: str, *types: str) -> Callable[[Walk], bool]:
    """Every sync type is taken."""

    def walk(at: Walk) -> bool:
        return all(at.api.post(at.path(slug, "/sync"), {"sync_type": name}).status_code == 202 for name in types)

    return walk


def posts(slug: str, path: str, body: dict[str, Any]) -> Callable[[Walk], bool]:
    """A body is taken in snake_case and in the guide's camelCase."""

    def camel(value: Any) -> Any:
        if isinstance(value, list):
            return [camel(one) for one in value]
        if not isinstance(value, dict):
            return value
        return {re.sub(r"_(\w)", lambda found: found[1].upper(), name): camel(one) for name, one in value.items()}

    def walk(at: Walk) -> bool:
        meant = {"Repeat": "intended"}
        return all(at.api.post(at.path(slug, path), one, headers=meant).status_code == 201 for one in (body, camel(body)))

    return walk


def tested(at: Walk) -> bool:
    return all(at.api.post(at.path(slug, "/test")).json()["success"] for slug in at.vendors)


def filtered(at: Walk) -> bool:
    page = at.api.get("/api/integrations", {"hotel_id": 1, "integration_type": "pos", "status": "active"}).json()
    return {row["provider"] for row in page["results"]} == {"square", "simphony"}


def webhook_taken(at: Walk) -> bool:
    """The guide's header and body are taken at an integration whose vendor has a scheme of its own."""
    at.api.patch(at.path("square"), {"webhook_secret": SECRET})
    body = json.dumps({"event_type": "menu_updated", "data": {"menu_id": "menu_123", "changes": ["name", "price"]}}).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()

    def send(signature: str) -> int:
        headers = {"X-Webhook-Signature": f"sha256={signature}"}
        return Client().post(f"/api/webhooks/{at.id('square')}", body, content_type="application/json", headers=headers).status_code

    return send(signature) in (200, 202) and send("0" * 64) == 401


def encrypted(at: Walk) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT credentials FROM integrations_integration")
        stored = "".join(str(row[0]) for row in cursor.fetchall())
    secrets = [value for integration, _ in at.vendors.values() for value in integration.credentials.reveal().values()]
    return len(secrets) > 5 and not any(value in stored for value in secrets if len(value) > 8)


def limited(at: Walk) -> bool:
    """Reads and writes, webhooks, and each type of integration have rates of their own."""
    answer = at.api.get(at.path("square", "/logs"))
    return (
        {"reads", "writes", "pos", "pms", "guest_management"} == set(settings.API_RATES)
        and {"pos", "pms", "guest_management"} == set(settings.WEBHOOK_RATES)
        and answer["RateLimit-Limit"] == settings.API_RATES["reads"].partition("/")[0]
    )


def every_word_is_written(at: Walk) -> bool:
    """All that happened on the walk, and what goes wrong beside it, has left each of the guide's words in the logs."""
    at.api.get(at.path("square", "/checks/unknown"))
    at.api.post(at.path("square", "/checks/unknown/void"), {})  # refused for good
    at.vendors["salesforce"][1].fail("status", status=503, times=50)
    at.api.post(at.path("salesforce", "/feedback"), FEEDBACK | {"title": "Later"})  # waits
    rest = at.vendors["generic_rest"][1]
    rest.control("change", {"collection": "feedback", "id": "feedback_1", "rating": 9})
    assert at.service("generic_rest").sync("feedback", full=True).status == RunStatus.PARTIAL
    for integration in inbox.work_due():
        inbox.drain(integration)
    logs = IntegrationLog.objects
    return all(
        set(logs.values_list(name, flat=True)) == {value.value for value in words}
        for name, words in (("operation_type", OperationType), ("direction", Direction), ("status", LogStatus))
    )


def counted(at: Walk) -> bool:
    rows = IntegrationLog.objects.filter(operation_name="sync_feedback", status="partial")
    return rows.filter(records_failed__gte=1, records_success__gte=1, correlation_id__gt="").exists()


def watched(at: Walk) -> bool:
    page = Client().get("/metrics").content.decode()
    return all(f"hospient_{name}" in page for name in ("sync_success_ratio", "sync_runs", "vendor_rate_limited", "vendor_rate_allowed"))


def told_how_it_is(at: Walk) -> bool:
    row = at.api.get(at.path("square")).json()
    return {"status", "error_count", "last_error", "last_sync_at"} <= set(row)


def configured(at: Walk) -> bool:
    values = (settings.INTEGRATION_TIMEOUT, settings.INTEGRATION_RETRY_ATTEMPTS, settings.WEBHOOK_TIMEOUT)
    return values == (30_000, 3, 10_000) and "ENCRYPTION_KEY=" in (ROOT / ".env.example").read_text()


def answers(path: str) -> Callable[[Walk], bool]:
    return lambda at: Client().get(path).status_code == 200


CHATTY = ("guests", "guest_data", "feedback", "chat", "notifications")
GUIDE: tuple[tuple[str, str | Callable[[Walk], bool]], ...] = (
    # Integration types
    ("POS: menu synchronization, menu category management", syncs("simphony", "menus", "categories")),
    ("posService.syncMenus(), postGuestCheck, getCheckStatus, voidCheck", "tests/test_seed_methods.py::test_from_a_python_shell"),
    ("postGuestCheck({guestId, roomNumber, items ...})", posts("square", "/checks", CHECK)),
    ("PMS: reservation synchronization, room status, guest information", syncs("opera_cloud", "reservations", "rooms", "guests")),
    ("pmsService.syncReservations('2024-01-01', '2024-12-31')", "tests/test_seed_methods.py::test_from_a_python_shell"),
    ("postCheckIn, postCheckOut: every field has its place", "tests/test_nothing_dropped.py::test_a_field_is_sent_or_kept_or_named"),
    ("Guest management: feedback, chat, notifications, guest data (Salesforce)", syncs("salesforce", *CHATTY)),
    ("Guest management: feedback, chat, notifications, guest data (any REST system)", syncs("generic_rest", *CHATTY)),
    ("postFeedback({guestId, hotelId, isAnonymous ...})", posts("salesforce", "/feedback", FEEDBACK)),
    ("postChatMessage({senderType, senderId, senderName ...})", posts("generic_rest", "/chat-messages", CHAT)),
    # API endpoints
    ("GET /api/integrations?hotel_id=1&integration_type=pos&status=active", filtered),
    ("POST /api/integrations: the samples", "tests/test_api_guide.py::test_a_sample_integration_is_accepted_as_written"),
    ("POST /api/integrations/1/test", tested),
    ("POST /api/integrations/1/sync, GET .../logs?operation_type=sync&...", "tests/test_api_guide.py::test_a_curl_line_works_as_written"),
    ("POST /api/webhooks/1 with X-Webhook-Signature: sha256=...", webhook_taken),
    # Security
    ("All sensitive credentials are encrypted", encrypted),
    ("Automatic signature verification", "webhooks/tests/test_ingest.py::test_forged_signatures_are_refused_and_nothing_is_stored"),
    ("Rate limiting, separate for webhooks, configurable per type", limited),
    ("Hotel-specific data isolation", "integrations/tests/test_api_tenancy.py::test_another_hotels_answers_like_one_that_never_existed"),
    ("Role-based access control", "integrations/tests/test_api_tenancy.py::test_who_belongs_to_no_hotel_sees_none"),
    # Monitoring
    ("Logs: operation type, direction and status in each of its words", every_word_is_written),
    ("Logs: records processed, success, failed", counted),
    ("Status, error count and last error, last sync", told_how_it_is),
    ("Track sync success rates, monitor API rate limits", watched),
    ("Monitor webhook processing times", "tests/test_health.py::test_they_tell_of_syncs_webhooks_and_vendors_limits"),
    # Deployment
    ("ENCRYPTION_KEY, INTEGRATION_TIMEOUT=30000, INTEGRATION_RETRY_ATTEMPTS=3, WEBHOOK_TIMEOUT=10000", configured),
    ("GET /api/webhooks/health", answers("/api/webhooks/health")),
    ("/api-docs", answers("/api-docs")),
)


@pytest.fixture
def at() -> Iterator[Walk]:
    with ExitStack() as stack:
        yield Walk(stack)


def test_the_guide_holds_line_by_line(at: Walk) -> None:
    broken = [line for line, shown in GUIDE if callable(shown) and not shown(at)]
    assert broken == []


@pytest.mark.parametrize("shown", sorted({shown for _, shown in GUIDE if isinstance(shown, str)}))
def test_what_shows_a_line_is_there(shown: str) -> None:
    file, _, name = shown.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text()


# --- what README says to click next ---------------------------------------------------------------------------------------------


def test_the_address_alone_leads_to_the_console() -> None:
    answer = Client().get("/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


def test_what_the_readme_says_to_click_is_there(at: Walk) -> None:
    steps = re.findall(r"^\d\. (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    service_for(at.vendors["square"][0]).sync("menus")
    log, run = IntegrationLog.objects.first(), SyncRun.objects.first()
    integration, browser = at.id("square"), sign_in(Role.MANAGER, Hotel.objects.get())
    pages = {
        1: ["/admin/", f"/admin/integrations/integration/{integration}/change/", f"/admin/integrations/syncrun/{run.pk}/change/"],
        2: [
            "/admin/integrations/integration/",
            "/admin/integrations/integration/add/",
            "/admin/integrations/integration/add/?provider=square&kind=pos",
        ],
        3: ["/admin/integrations/integrationlog/", f"/admin/integrations/integrationlog/{log.pk}/change/"],
        4: ["/api-docs"],
    }
    for number, step in enumerate(steps, 1):
        text = "".join(browser.get(page, follow=True).content.decode() for page in pages[number])
        said = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text))
        labels = re.findall(r"\*{1,2}([^*]+)\*{1,2}", step)
        assert labels
        assert [label for label in labels if label not in said and label not in ("Console", "API")] == [], (number, labels)
