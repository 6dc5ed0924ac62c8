"""What has to be known of the house's own processes."""

from django.db import models
from django.utils import timezone


class Heartbeat(models.Model):
    """When a kind of process last gave a sign of life. In a row, for it must be known after a cache was emptied, and days later."""

    WORKER = "worker"

    name = models.CharField(max_length=40, primary_key=True)
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}, seen {self.seen_at:%Y-%m-%d %H:%M:%S}"

    @classmethod
    def beat(cls, name: str) -> None:
        if not cls.objects.filter(name=name).update(seen_at=timezone.now()):
            cls.objects.get_or_create(name=name, defaults={"seen_at": timezone.now()})
