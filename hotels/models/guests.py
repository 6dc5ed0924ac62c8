"""The hotel's guests, and who of them may be one person."""

from collections.abc import Iterable

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from hotels.identity import country_of, email_key, name_key, phone_key
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

    merged_into = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    """Who holds this person now, after two guests turned out to be one."""
    name_key = models.CharField(max_length=255, blank=True, editable=False)
    email_key = models.CharField(max_length=254, blank=True, editable=False)
    phone_key = models.CharField(max_length=64, blank=True, editable=False)
    keyed_at = models.DateTimeField(null=True, editable=False)
    """The keys are those of the guest as it was then; `with_keys` brings them up to date."""

    class Meta:
        ordering = ["family_name", "given_name", "id"]
        indexes = [
            listed("guest", "family_name", "given_name", "id"),
            models.Index(fields=["hotel", "email"]),
            models.Index(fields=["hotel", "phone"]),
            models.Index(fields=["hotel", "name_key"], condition=~Q(name_key=""), name="guest_by_name_key"),
            models.Index(fields=["hotel", "email_key"], condition=~Q(email_key=""), name="guest_by_email_key"),
            models.Index(fields=["hotel", "phone_key"], condition=~Q(phone_key=""), name="guest_by_phone_key"),
            models.Index(fields=["hotel", "id"], condition=Q(keyed_at=None) | Q(keyed_at__lt=F("updated_at")), name="guest_to_be_keyed"),
        ]

    def __str__(self) -> str:
        return " ".join(part for part in (self.given_name, self.family_name) if part) or f"Guest {self.pk}"

    def keys(self, country: str) -> tuple[str, str, str]:
        """Return `name_key`, `email_key` and `phone_key` as the guest is now."""
        return name_key(self.given_name, self.family_name)[:255], email_key(self.email), phone_key(self.phone, country)[:64]


_KEYED_AT_ONCE = 2000


def key_guests(hotel: "models.Model") -> None:
    """Bring the keys of a hotel's guests up to date, a bounded number in a transaction: after an upgrade that is all of them."""
    while _key_some(hotel):
        pass


def with_keys(hotel: "models.Model") -> QuerySet[Guest]:
    """Return a hotel's live guests, their keys brought up to date: whoever writes a guest need not know of them. Inside a transaction; call
    `key_guests` before it begins."""
    key_guests(hotel)
    return Guest.live.filter(hotel=hotel)


def _key_some(hotel: "models.Model") -> bool:
    """Bring the keys of some guests up to date; say whether there are more."""
    stale = Guest.objects.filter(Q(keyed_at=None) | Q(keyed_at__lt=F("updated_at")), hotel=hotel).order_by("id")
    country = hotel.country or country_of(hotel.time_zone)
    guests = list(stale[:_KEYED_AT_ONCE])
    for guest in guests:
        guest.name_key, guest.email_key, guest.phone_key = guest.keys(country)
        guest.keyed_at = max(guest.updated_at, timezone.now())
    with transaction.atomic():
        Guest.objects.bulk_update(guests, ["name_key", "email_key", "phone_key", "keyed_at"], batch_size=500)
    return len(guests) == _KEYED_AT_ONCE


class Verdict(models.TextChoices):
    OPEN = "open", "Not decided"
    LATER = "later", "Later"
    SAME = "same", "The same person"
    DIFFERENT = "different", "Two people"


class GuestQuestion(models.Model):
    """Whether two guests are one person: what only a person can say. The answer is remembered, so nobody is asked twice."""

    WAITING = (Verdict.OPEN, Verdict.LATER)

    hotel = models.ForeignKey("hotels.Hotel", on_delete=models.CASCADE, related_name="+", db_index=False)
    guest = models.ForeignKey(Guest, on_delete=models.CASCADE, related_name="+")
    other = models.ForeignKey(Guest, on_delete=models.CASCADE, related_name="+")
    """The one the hotel got to know later."""
    reasons = models.JSONField(default=list)
    """Sentences: what speaks for one person, and what against it."""
    verdict = models.CharField(max_length=10, choices=Verdict, default=Verdict.OPEN)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["guest", "other"], name="question_once_per_pair"),
            models.CheckConstraint(condition=Q(guest_id__lt=F("other_id")), name="question_older_guest_first"),
            models.CheckConstraint(condition=Q(verdict__in=Verdict.values), name="question_verdict_known"),
        ]
        indexes = [models.Index(fields=["hotel", "verdict", "-created_at", "-id"], name="question_listed")]

    def __str__(self) -> str:
        return f"{self.guest} and {self.other}"


def ask_about(hotel_id: int, pairs: Iterable[tuple[int, int, list[str]]]) -> None:
    """Put questions about pairs of guests, with reasons; what was asked or answered before is not asked again."""
    questions = [
        GuestQuestion(hotel_id=hotel_id, guest_id=min(one, other), other_id=max(one, other), reasons=reasons)
        for one, other, reasons in pairs
    ]
    GuestQuestion.objects.bulk_create(questions, ignore_conflicts=True)
