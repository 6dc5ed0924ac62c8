"""Calling every operation a vendor offers from the console: a small form for each, made from the body the service accepts.

Where the body names a row of the hotel, the field suggests the hotel's own (`#12 Ada Lovelace`); any other text is the vendor's id.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold import widgets

from hotels.models import Guest, GuestCheck, MenuVariation, Notification, Reservation, ReservationStatus, Room
from integrations.admin.display import pretty_json, problem
from integrations.admin.fields import AmountField, form_field, humanise
from integrations.admin.outbox import outcome_sentence
from integrations.exceptions import HospientError, InvalidInput
from integrations.models import Integration, Operation, OperationStatus
from integrations.services import manifest, service_for
from integrations.services.calls import CALLS, perform
from integrations.services.inputs import sum_of
from integrations.services.service import IntegrationService
from integrations.values import smallest

SUGGESTIONS = 200
"""Rows a field suggests: enough for the house tonight, and little enough for a phone."""
OWN = re.compile(r"^#(\d+)(?:/(\d+))?(?:\s|$)")
"""How a suggestion names a row of the hotel: `#12 Ada Lovelace`, and `#12/34` for an item and its variation."""

NOT_ASKED = {"hotel_id", "sender_id", "items", "subtotal", "total"}
"""Parts of a body the form knows or works out itself."""
LABELS = {"check_id": "Check", "guest_id": "Guest", "notification_id": "Notification", "room_number": "Room"}


def offered(integration: Integration) -> list[dict[str, Any]]:
    """Return the operations the integration's page links to."""
    return [
        {"operation": operation, "url": reverse("admin:integrations_integration_operation", args=[integration.pk, operation.name])}
        for operation in service_for(integration).operations()
        if operation.name in CALLS
    ]


# --- suggestions ---------------------------------------------------------------------------------------------------------------


def _suggestions(integration: Integration, field: str) -> list[str]:
    """Return what a field suggests, as it will stand in the field."""
    hotel = integration.hotel_id
    expected = (ReservationStatus.IN_HOUSE, ReservationStatus.RESERVED)
    if field == "room_number":
        return list(Room.live.filter(hotel=hotel).values_list("number", flat=True)[:SUGGESTIONS])
    if field == "reservation_id":
        return _named(
            Reservation.live.filter(hotel=hotel, status__in=expected).select_related("guest"), lambda row: (row, row.guest, _room(row))
        )
    if field == "check_id":
        return _named(
            GuestCheck.live.filter(hotel=hotel), lambda row: (_room(row), row.total and f"{row.total.normalize():f} {row.currency}")
        )
    model = {"guest_id": Guest, "notification_id": Notification}.get(field)
    return _named(model.live.filter(hotel=hotel), lambda row: (row,)) if model else []


def _named(rows: QuerySet, parts: Callable[[Any], tuple[Any, ...]]) -> list[str]:
    return [f"#{row.pk} {', '.join(str(part) for part in parts(row) if part)}" for row in rows[:SUGGESTIONS]]


def _room(row: Reservation | GuestCheck) -> str:
    return f"room {row.room_number}" if row.room_number else ""


def _menu(integration: Integration) -> list[tuple[str, str]]:
    """Return what may stand on a check: suggestion and price."""
    rows = MenuVariation.live.filter(hotel=integration.hotel_id, item__archived_at__isnull=True).select_related("item")
    return [(f"#{row.item_id}/{row.pk} {row}", "" if row.price is None else f"{row.price.normalize():f}") for row in rows[:SUGGESTIONS]]


def _reference(value: str) -> int | str:
    """Read what stands in a field: a row of the hotel (a number) or the vendor's id (a text)."""
    found = OWN.match(value)
    return int(found[1]) if found else value


# --- forms ---------------------------------------------------------------------------------------------------------------------


class CallForm(forms.Form):
    """The form of one operation at one integration."""

    def __init__(self, data: Any, *, name: str, integration: Integration) -> None:
        super().__init__(data)
        call = CALLS[name]
        if call.about:
            needed = call.about != "room_number"
            self.fields[call.about] = forms.CharField(
                label=LABELS[call.about],
                required=needed,
                help_text="" if needed else "Leave it empty to ask for all rooms.",
                widget=widgets.UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
            )
        for field, info in call.body.model_fields.items() if call.body else ():
            if field not in NOT_ASKED:
                self.fields[field] = form_field(field, info)
                self.fields[field].label = humanise(field.removesuffix("_id"))
        self.lists = {f"list-{field}": options for field in self.fields if (options := _suggestions(integration, field))}
        for field in self.fields:
            if f"list-{field}" in self.lists:
                self.fields[field].widget.attrs["list"] = f"list-{field}"
        self.fields["idempotency_key"] = forms.CharField(
            widget=forms.HiddenInput(), initial=lambda: f"console:{uuid.uuid4()}", max_length=192
        )

    def body(self) -> dict[str, Any]:
        """Return what was filled in, as the service reads it."""
        filled = {name: value for name, value in self.cleaned_data.items() if value not in (None, "") and name != "idempotency_key"}
        return {name: _reference(value) if name.endswith("_id") else value for name, value in filled.items()}

    def refuse(self, errors: Mapping[str, str]) -> None:
        for path, sentence in errors.items():
            self.add_error(path if path in self.fields else None, sentence if path in self.fields else f"{humanise(path)}: {sentence}")


class LineForm(forms.Form):
    """One line of a check."""

    item = forms.CharField(max_length=512, widget=widgets.UnfoldAdminTextInputWidget(attrs={"list": "list-menu", "autocomplete": "off"}))
    quantity = AmountField(initial=1)
    unit_price = AmountField(required=False)
    tax = AmountField(required=False, label="Its tax")
    note = forms.CharField(required=False, max_length=2000, widget=widgets.UnfoldAdminTextInputWidget())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["unit_price"].widget.attrs["placeholder"] = "From the menu"
        self.fields["tax"].widget.attrs["placeholder"] = "If each line has its own"

    def line(self, prices: Mapping[str, str], currency: str) -> dict[str, Any]:
        """Return the line as the service reads it, at what can be paid for it; the menu's price counts where none was typed."""
        values = self.cleaned_data
        price = values["unit_price"]
        if price is None:
            price = Decimal(prices.get(values["item"]) or 0)
        found = OWN.match(values["item"])
        what = {"menu_id": int(found[1]), "variation_id": int(found[2]) if found[2] else None} if found else {"name": values["item"]}
        return {
            **what,
            "quantity": values["quantity"],
            "unit_price": price,
            "total_price": (values["quantity"] * price).quantize(smallest(currency), ROUND_HALF_UP),
            "tax": values["tax"],
            "note": values["note"],
        }


LineFormSet = forms.formset_factory(LineForm, extra=0, min_num=1, validate_min=True, max_num=500)


class CheckForm(CallForm):
    """A guest check: lines from the menu, and sums that are worked out."""

    def __init__(self, data: Any, *, name: str, integration: Integration) -> None:
        super().__init__(data, name=name, integration=integration)
        self.currency = integration.hotel.currency
        self.menu = _menu(integration)
        self.lines = LineFormSet(data, prefix="lines")

    def is_valid(self) -> bool:
        return all([super().is_valid(), self.lines.is_valid()])

    def body(self) -> dict[str, Any]:
        body = super().body()
        currency = body.get("currency") or self.currency
        items = [form.line(dict(self.menu), currency) for form in self.lines if form.cleaned_data]
        subtotal = sum((item["total_price"] for item in items), Decimal(0))
        parts = {name: body[name] for name in ("discount", "service_charge", "tax", "tax_included") if name in body}
        return {**body, "items": items, "subtotal": subtotal, "total": sum_of(subtotal, **parts)}

    def refuse(self, errors: Mapping[str, str]) -> None:
        rest = {}
        for path, sentence in errors.items():
            group, _, place = path.partition(".")
            number, _, field = place.partition(".")
            if group == "items" and number.isdecimal() and int(number) < len(self.lines.forms):
                self.lines.forms[int(number)].add_error(
                    {"menu_id": "item", "variation_id": "item", "quantity": "quantity", "tax": "tax"}.get(field), sentence
                )
            else:
                rest[path] = sentence
        super().refuse(rest)


# --- the page ------------------------------------------------------------------------------------------------------------------


def view(model_admin: Any, request: HttpRequest, integration: Integration, name: str) -> HttpResponse:
    """Show the form of one operation; call it and show, or go to, what came of it."""
    service = model_admin.service(request, integration)
    declared = next((operation for operation in service.operations() if operation.name == name), None)
    if declared is None or name not in CALLS:
        raise Http404
    context: dict[str, Any] = {"declared": declared}
    with timezone.override(integration.hotel.zone):  # times are typed as the clock in the hotel's lobby shows them
        form_class = CheckForm if name == "post_guest_check" else CallForm
        form = form_class(request.POST or None, name=name, integration=integration)
        if form.is_bound and form.is_valid():
            answer = _perform(service, declared, form, context)
            if isinstance(answer, Operation):
                model_admin.log_change(request, integration, f"{declared.label}: operation {answer.pk}.")
                level = messages.SUCCESS if answer.status == OperationStatus.DONE else messages.WARNING
                messages.add_message(request, level, outcome_sentence(answer))
                return HttpResponseRedirect(reverse("admin:integrations_operation_change", args=[answer.pk]))
        context = model_admin.context(request, integration, title=declared.label, integration=integration, form=form, **context)
        return TemplateResponse(request, "console/call.html", context).render()


def _perform(service: IntegrationService, declared: manifest.Operation, form: CallForm, context: dict[str, Any]) -> Any:
    """Call it; what the page has to show of it goes into the context."""
    try:
        answer = perform(service, declared.name, form.body(), idempotency_key=form.cleaned_data["idempotency_key"])
    except InvalidInput as error:
        form.refuse(error.errors)
        return None
    except HospientError as error:
        context["problem"] = problem(f"“{declared.label}” was not done.", why=error.message, code=error.code, hint=error.hint)
        return None
    if not isinstance(answer, Operation):
        context |= {"answered": True, **_shown(answer)}
    return answer


COLUMNS: Mapping[str, tuple[str, ...]] = {
    "room": ("number", "room_type", "get_housekeeping_display", "get_occupancy_display"),
    "guest": ("given_name", "family_name", "language", "is_vip"),
    "guestcheck": ("room_number", "get_status_display", "total", "amount_due", "currency"),
    "feedback": ("title", "rating", "category", "message"),
    "chatmessage": ("message", "get_sender_type_display", "sender_name"),
    "notification": ("title", "message", "get_status_display"),
}


def _shown(answer: Any) -> dict[str, Any]:
    """Return an answer as a table of the hotel's rows, or as JSON."""
    rows = [answer] if isinstance(answer, Model) else answer
    if not (isinstance(rows, list) and all(isinstance(row, Model) for row in rows)):
        return {"json": pretty_json(answer)}
    columns = COLUMNS.get(rows[0]._meta.model_name, ()) if rows else ()
    return {
        "headers": [humanise(column.removeprefix("get_").removesuffix("_display")) for column in columns],
        "rows": [{"url": _page(row), "name": str(row), "cells": [_cell(row, column) for column in columns]} for row in rows],
    }


def _page(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def _cell(row: Model, column: str) -> Any:
    value = getattr(row, column)
    return value() if callable(value) else value
