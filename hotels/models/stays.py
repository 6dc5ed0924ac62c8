"""Rooms, and who stays in them."""

from django.db import models

from hotels.models.base import HotelRecord, listed
from hotels.models.guests import Guest


class Housekeeping(models.TextChoices):
    CLEAN = "clean", "Clean"
    DIRTY = "dirty", "Dirty"
    PICKUP = "pickup", "Pick-up"
    INSPECTED = "inspected", "Inspected"
    OUT_OF_ORDER = "out_of_order", "Out of order"
    OUT_OF_SERVICE = "out_of_service", "Out of service"
    UNKNOWN = "unknown", "Unknown"


class Occupancy(models.TextChoices):
    VACANT = "vacant", "Vacant"
    OCCUPIED = "occupied", "Occupied"
    UNKNOWN = "unknown", "Unknown"


class Room(HotelRecord):
    number = models.CharField(max_length=32)
    room_type = models.CharField(max_length=64, blank=True)
    floor = models.CharField(max_length=32, blank=True)
    housekeeping = models.CharField(max_length=16, choices=Housekeeping, default=Housekeeping.UNKNOWN)
    housekeeping_original = models.CharField(max_length=64, blank=True, editable=False)
    occupancy = models.CharField(max_length=16, choices=Occupancy, default=Occupancy.UNKNOWN)
    observed_occupancy = models.CharField(max_length=16, choices=Occupancy, default=Occupancy.UNKNOWN)

    class Meta:
        ordering = ["number", "id"]
        indexes = [models.Index(fields=["hotel", "number"]), listed("room", "number", "id")]

    def __str__(self) -> str:
        return self.number


class ReservationStatus(models.TextChoices):
    REQUESTED = "requested", "Requested"
    RESERVED = "reserved", "Reserved"
    WAITLISTED = "waitlisted", "Waitlisted"
    IN_HOUSE = "in_house", "In house"
    CHECKED_OUT = "checked_out", "Checked out"
    CANCELLED = "cancelled", "Cancelled"
    NO_SHOW = "no_show", "No show"
    UNKNOWN = "unknown", "Unknown"


class Reservation(HotelRecord):
    confirmation_number = models.CharField(max_length=64, blank=True)
    status = models.CharField(max_length=16, choices=ReservationStatus, default=ReservationStatus.UNKNOWN)
    status_original = models.CharField(max_length=64, blank=True, editable=False)
    arrival_date = models.DateField(null=True, blank=True)
    departure_date = models.DateField(null=True, blank=True)
    guest = models.ForeignKey(Guest, null=True, blank=True, on_delete=models.SET_NULL, related_name="reservations")
    companions = models.ManyToManyField(Guest, blank=True, related_name="accompanied")
    """Everybody else of the booking."""
    room_number = models.CharField(max_length=32, blank=True)
    room_type = models.CharField(max_length=64, blank=True)
    adults = models.IntegerField(default=0)
    children = models.IntegerField(default=0)
    rate_amount = models.DecimalField(max_digits=16, decimal_places=4, null=True, blank=True)
    balance = models.DecimalField(max_digits=16, decimal_places=4, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)

    class Meta:
        ordering = ["-arrival_date", "id"]
        indexes = [
            listed("reservation", "-arrival_date", "id"),
            models.Index(fields=["hotel", "status"]),
        ]

    def __str__(self) -> str:
        return self.confirmation_number or f"Reservation {self.pk}"
