"""Guest checks: what a guest had, to be posted to the point of sale or to the room."""

from django.db import models

from hotels.models.base import HotelRecord, listed
from hotels.models.guests import Guest
from hotels.models.menus import MenuItem, MenuVariation


class CheckStatus(models.TextChoices):
    PENDING = "pending", "Being posted"
    DRAFT = "draft", "Draft"
    OPEN = "open", "Open"
    CLOSED = "closed", "Closed"
    VOIDED = "voided", "Voided"
    FAILED = "failed", "Not posted"
    UNKNOWN = "unknown", "Unknown"


class GuestCheck(HotelRecord):
    guest = models.ForeignKey(Guest, null=True, blank=True, on_delete=models.SET_NULL, related_name="checks")
    room_number = models.CharField(max_length=32, blank=True)
    status = models.CharField(max_length=16, choices=CheckStatus, default=CheckStatus.PENDING)
    status_original = models.CharField(max_length=64, blank=True, editable=False)
    subtotal = models.DecimalField(max_digits=16, decimal_places=4, default=0)
    discount = models.DecimalField(max_digits=16, decimal_places=4, default=0)
    service_charge = models.DecimalField(max_digits=16, decimal_places=4, default=0)
    tax = models.DecimalField(max_digits=16, decimal_places=4, default=0)
    is_tax_included = models.BooleanField("tax is in the prices", default=False)
    total = models.DecimalField(max_digits=16, decimal_places=4, null=True)
    tip = models.DecimalField(max_digits=16, decimal_places=4, default=0, help_text="On top of the total.")
    amount_due = models.DecimalField(max_digits=16, decimal_places=4, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    payment_method = models.CharField(max_length=32, blank=True)
    payment_status = models.CharField(max_length=32, blank=True)
    void_reason = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [listed("check", "-created_at", "-id")]

    def __str__(self) -> str:
        return f"Check {self.pk}"


class GuestCheckLine(models.Model):
    check_record = models.ForeignKey(GuestCheck, on_delete=models.CASCADE, related_name="lines")
    item = models.ForeignKey(MenuItem, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    variation = models.ForeignKey(MenuVariation, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    name = models.CharField(max_length=512, blank=True)
    quantity = models.DecimalField(max_digits=12, decimal_places=3, default=1)
    unit_price = models.DecimalField(max_digits=16, decimal_places=4)
    total_price = models.DecimalField(max_digits=16, decimal_places=4)
    tax = models.DecimalField(max_digits=16, decimal_places=4, null=True, blank=True)
    note = models.CharField(max_length=2000, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.CheckConstraint(condition=models.Q(quantity__gt=0), name="check_line_quantity_positive")]

    def __str__(self) -> str:
        return f"{self.quantity.normalize():f} × {self.name}"
