"""What every record of a hotel has in common."""

from django.db import models


def listed(name: str, *order: str) -> models.Index:
    """Index a hotel's live records in the order in which they are listed, so that a page costs the same however many there are."""
    return models.Index(fields=["hotel", *order], condition=models.Q(archived_at__isnull=True), name=f"{name}_listed")


class LiveManager(models.Manager):
    """Records that have not been archived."""

    def get_queryset(self) -> models.QuerySet:
        return super().get_queryset().filter(archived_at__isnull=True)


class HotelRecord(models.Model):
    """A record of a hotel. It knows no vendor, and is archived rather than deleted when its vendors no longer have it."""

    # Every model has an index that begins with the hotel; another one would only cost writes.
    hotel = models.ForeignKey("hotels.Hotel", on_delete=models.CASCADE, related_name="+", db_index=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = models.Manager()
    live = LiveManager()

    class Meta:
        abstract = True
