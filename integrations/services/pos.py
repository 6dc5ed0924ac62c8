"""The point of sale: menus in, guest checks out."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.db import transaction

from hotels.models import GuestCheck, GuestCheckLine, MenuItem, MenuVariation
from integrations.exceptions import InvalidInput
from integrations.models import Operation, SyncRun
from integrations.services.inputs import CheckItemInput, GuestCheckInput, Input, VoidInput, read
from integrations.services.manifest import Kind
from integrations.services.service import IntegrationService
from integrations.sync.reconcile import apply_records


class PosService(IntegrationService):
    kind = Kind.POS

    def sync_menus(self, **options: Any) -> SyncRun:
        """Run the stream `menus`; takes what `sync` takes."""
        return self.sync("menus", **options)

    def sync_categories(self, **options: Any) -> SyncRun:
        return self.sync("categories", **options)

    # --- checks ----------------------------------------------------------------------------------------------------------------

    def check_body(self, name: str, body: Input) -> None:
        if isinstance(body, GuestCheckInput):
            body.check_sums(body.currency or self.integration.hotel.currency)
        super().check_body(name, body)

    def post_guest_check(self, check: Mapping[str, Any], *, idempotency_key: str = "") -> Operation:
        """Post a check (`inputs.GuestCheckInput`). The operation's `answer` has `reference`, the vendor's id of the check."""
        given = read(GuestCheckInput, check)
        self.check_body("post_guest_check", given)
        return self.push(
            "post_guest_check",
            body=given.model_dump(),
            given=given,
            idempotency_key=idempotency_key,
            prepare=lambda: self._make_check(given),
        )

    def get_check_status(self, check_id: str | int) -> GuestCheck:
        """Ask the vendor how a check stands, note it at the hotel's check, and return that. `check_id` is the vendor's id (text), or
        Hospient's (number)."""
        external_id = check_id if isinstance(check_id, str) else self.references.external_id("guest_check", self._check(check_id))
        if not external_id:
            raise InvalidInput({"check_id": f"{self.provider.manifest.name} does not know this check: it never arrived there."})
        record = self.ask_for("get_check_status", "guest_check", external_id, check_external_id=external_id)
        with transaction.atomic():
            apply_records(self.integration, [record])
        return self.references.row("guest_check", record.external_id)

    def void_check(self, check_id: str | int, reason: str = "", *, idempotency_key: str = "") -> Operation:
        """Void a check. `check_id` is the vendor's id (text), or Hospient's (number), also of a check still on its way."""
        given = read(VoidInput, {"reason": reason})
        check = self._check(check_id)
        external_id = check_id if isinstance(check_id, str) else self.references.external_id("guest_check", check)
        return self.push(
            "void_check",
            body={"check": check_id, "reason": given.reason},
            given=given,
            idempotency_key=idempotency_key,
            prepare=lambda: {
                "payload": {"check_external_id": external_id, "reason": given.reason},
                "object_key": f"guest_check:{check.pk if check else external_id}",
                "record_type": "guest_check",
                "object_id": check.pk if check else None,
            },
        )

    def _check(self, check_id: str | int) -> GuestCheck | None:
        if isinstance(check_id, str):
            return self.references.row("guest_check", check_id)
        check = GuestCheck.objects.filter(hotel=self.integration.hotel_id, pk=check_id).first()
        if check is None:
            raise InvalidInput({"check_id": f"This hotel has no check {check_id}."})
        return check

    # --- making a check --------------------------------------------------------------------------------------------------------

    def _make_check(self, given: GuestCheckInput) -> dict[str, Any]:
        hotel = self.integration.hotel
        guest, guest_external_id = self.references.guest(given.guest_id)
        _, reservation_external_id = self.references.reservation(given.reservation_id)
        self.references.check_room(given.room_number)
        lines = self._lines(given.items)
        check = GuestCheck.objects.create(
            hotel=hotel,
            guest=guest,
            room_number=given.room_number,
            subtotal=given.subtotal,
            discount=given.discount,
            service_charge=given.service_charge,
            tax=given.tax,
            is_tax_included=given.tax_included,
            total=given.total,
            tip=given.tip,
            amount_due=Decimal(0) if given.payment_status == "paid" else given.total + given.tip,
            currency=given.currency or hotel.currency,
            payment_method=given.payment_method,
            payment_status=given.payment_status,
        )
        GuestCheckLine.objects.bulk_create([GuestCheckLine(check_record=check, **line["row"]) for line in lines])
        payload = {
            "check_number": str(check.pk),
            "room_number": given.room_number,
            "guest_name": str(guest) if guest else "",
            "guest_external_id": guest_external_id,
            "reservation_external_id": reservation_external_id,
            "items": [line["sent"] for line in lines],
            "subtotal": str(given.subtotal),
            "tax": str(given.tax),
            "total": str(given.total),
            "currency": check.currency,
            "payment_method": given.payment_method,
            "payment_status": given.payment_status,
        }
        # What a check does not have is not spoken of: a system that has no such field need not know it.
        payload |= {name: str(amount) for name in ("discount", "service_charge", "tip") if (amount := getattr(given, name))}
        payload |= {"tax_included": True} if given.tax_included else {}
        return {"payload": payload, "object_key": f"guest_check:{check.pk}", "record_type": "guest_check", "object_id": check.pk}

    def _lines(self, items: list[CheckItemInput]) -> list[dict[str, Any]]:
        """Return each line twice: as the hotel keeps it, and as the vendor is told. Two queries, however many lines there are."""
        wanted = {item.menu_id for item in items if item.menu_id is not None}
        menu = MenuItem.live.filter(hotel=self.integration.hotel_id).prefetch_related("variations").in_bulk(list(wanted))
        errors: dict[str, str] = {}
        chosen: list[MenuVariation | None] = []
        for number, item in enumerate(items):
            variation = None
            if item.menu_id is not None and item.menu_id not in menu:
                errors[f"items.{number}.menu_id"] = f"There is no menu item {item.menu_id} on this hotel's menu."
            elif item.menu_id is not None:
                offered = [v for v in menu[item.menu_id].variations.all() if v.archived_at is None]
                matching = [v for v in offered if v.pk == item.variation_id] if item.variation_id else offered
                if len(matching) != 1:
                    names = ", ".join(f"{v.pk} ({v.name})" for v in offered)
                    errors[f"items.{number}.variation_id"] = (
                        f"Choose one of its variations: {names}." if names else "It has no variation for sale."
                    )
                else:
                    variation = matching[0]
            chosen.append(variation)
        if errors:
            raise InvalidInput(errors)
        return [self._line(item, menu.get(item.menu_id or 0), variation) for item, variation in zip(items, chosen, strict=True)]

    def _line(self, item: CheckItemInput, menu_item: MenuItem | None, variation: MenuVariation | None) -> dict[str, Any]:
        name = item.name or (menu_item.name if menu_item else "")
        row = {
            "item": menu_item,
            "variation": variation,
            "name": name,
            "quantity": item.quantity,
            "unit_price": item.unit_price,
            "total_price": item.total_price,
            "tax": item.tax,
            "note": item.note,
        }
        sent = {
            "name": name,
            "quantity": str(item.quantity),
            "unit_price": str(item.unit_price),
            "total_price": str(item.total_price),
            "note": item.note,
            "item_external_id": self.references.external_id("menu_item", menu_item),
            "variation_external_id": self.references.external_id("menu_variation", variation),
            "menu_price": str(variation.price) if variation and variation.price is not None else None,
        }
        return {"row": row, "sent": sent | ({"tax": str(item.tax)} if item.tax is not None else {})}
