"""How a length of time, a moment and a number are said in our sentences."""

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format

from hotels.models import Hotel


def ago(moment: datetime) -> str:
    """Say for how long something has been so: "for 30 hours"."""
    seconds = max(0, int((timezone.now() - moment).total_seconds()))
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * length or (unit != "day" and seconds >= length):
            return f"for {counted(seconds // length, unit, unit + 's')}"
    return "for less than a minute"


def counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def at(moment: datetime, hotel: Hotel) -> str:
    """Say when, by the hotel's clock: "14:05" today, "3 Mar, 14:05" on another day."""
    local, today = timezone.localtime(moment, hotel.zone), timezone.localtime(timezone.now(), hotel.zone)
    return date_format(local, "H:i" if local.date() == today.date() else "j M, H:i")
