"""The console's side bar: what there is, and how much of it waits for a person."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from hotels.access import visible
from hotels.admin.base import reach
from hotels.models import Role, Verdict
from integrations.models import Conflict, Integration, IntegrationStatus, Operation, OperationStatus, RejectedRecord
from integrations.services.guests import questions
from webhooks.models import EventStatus, WebhookEvent

MOST = 99
"""Counting stops here: a badge says “99+”, and a list of a million costs no more than one of a hundred."""


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups of links the user may follow."""
    is_superuser = request.user.is_superuser
    if not (is_superuser or reach(request)):
        return [{"items": [_link("Dashboard", "index", "space_dashboard")]}]
    groups: list[tuple[str, list[dict[str, Any] | None]]] = [
        ("", [_link("Dashboard", "index", "space_dashboard")]),
        (
            "Connections",
            [
                _link("Integrations", "integrations_integration_changelist", "cable", _integrations_in_error(request)),
                _link("Sync runs", "integrations_syncrun_changelist", "sync"),
                _link("Operations", "integrations_operation_changelist", "arrow_outward", _stuck_operations(request)),
                _link("Inbox", "webhooks_webhookevent_changelist", "inbox", _dead_events(request)),
                _link("Rejected records", "integrations_rejectedrecord_changelist", "block", _rejected_records(request)),
                _link("Conflicts", "integrations_conflict_changelist", "call_split", _conflicts(request)),
                _link("Logs", "integrations_integrationlog_changelist", "receipt_long"),
            ],
        ),
        (
            "Hotel",
            [
                _link("Menu", "hotels_menuitem_changelist", "restaurant_menu"),
                _link("Categories", "hotels_menucategory_changelist", "category"),
                _link("Rooms", "hotels_room_changelist", "bed"),
                _link("Reservations", "hotels_reservation_changelist", "event"),
                _link("Guests", "hotels_guest_changelist", "person"),
                _link("Same person?", "hotels_guestquestion_changelist", "group", _guest_questions(request)),
                _link("Checks", "hotels_guestcheck_changelist", "receipt"),
            ],
        ),
        (
            "Messages",
            [
                _link("Feedback", "hotels_feedback_changelist", "reviews"),
                _link("Chat", "hotels_chatmessage_changelist", "chat"),
                _link("Notifications", "hotels_notification_changelist", "notifications"),
            ],
        ),
        (
            "Administration",
            [
                _link("Hotels", "hotels_hotel_changelist", "domain"),
                _link("Roles", "hotels_membership_changelist", "badge") if reach(request, Role.MANAGER) else None,
                _link("Users", "auth_user_changelist", "group") if is_superuser else None,
                _link("API tokens", "hotels_apitoken_changelist", "key"),
            ],
        ),
    ]
    return [{"title": title, "separator": bool(title), "items": [item for item in items if item]} for title, items in groups]


def _link(title: str, name: str, icon: str, badge: str = "") -> dict[str, Any] | None:
    try:
        link = reverse(f"admin:{name}")
    except NoReverseMatch:  # an app whose lists are not installed
        return None
    return {"title": title, "icon": icon, "link": link, **({"badge": badge, "badge_variant": "danger"} if badge else {})}


def _badge(rows: QuerySet) -> str:
    number = rows.order_by()[: MOST + 1].count()
    return f"{MOST}+" if number > MOST else str(number or "")


def _integrations_in_error(request: HttpRequest) -> str:
    return _badge(visible(Integration.objects.filter(status=IntegrationStatus.ERROR), request.user))


def _stuck_operations(request: HttpRequest) -> str:
    stuck = Operation.objects.filter(status__in=[OperationStatus.UNKNOWN, OperationStatus.DEAD])
    return _badge(visible(stuck, request.user, "integration__hotel"))


def _dead_events(request: HttpRequest) -> str:
    return _badge(visible(WebhookEvent.objects.filter(status=EventStatus.DEAD), request.user, "integration__hotel"))


def _rejected_records(request: HttpRequest) -> str:
    return _badge(visible(RejectedRecord.objects.filter(resolved_at__isnull=True), request.user, "integration__hotel"))


def _conflicts(request: HttpRequest) -> str:
    return _badge(visible(Conflict.objects.filter(applied_at__isnull=True), request.user, "integration__hotel"))


def _guest_questions(request: HttpRequest) -> str:
    return _badge(questions(reach(request)).filter(verdict=Verdict.OPEN))
