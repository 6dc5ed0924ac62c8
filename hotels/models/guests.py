"""The hotel's guests."""

from django.db import models

from hotels.models.base import HotelRecord, listed


class Guest(HotelRecord):
    given_name = models.CharField(max_length=120, blank=True)
    family_name = models.CharField(max_length=120, blank=True)
    email = models.CharField(max_length=254, blank=True)
    phone = models.CharField(max_length=64, blank=True)
    language = models.CharField(max_length=16, blank=True)
    nationality = models.CharField(max_length=64, blank=True)
    is_vip = models.BooleanField("VIP", default=False)
    preferences = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["family_name", "given_name", "id"]
        indexes = [
            listed("guest", "family_name", "given_name", "id"),
            models.Index(fields=["hotel", "email"]),
            models.Index(fields=["hotel", "phone"]),
        ]

    def __str__(self) -> str:
        return " ".join(part for part in (self.given_name, self.family_name) if part) or f"Guest {self.pk}"
