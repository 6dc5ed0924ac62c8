"""What a program shows instead of a password."""

from datetime import timedelta

from django.db import models
from django.utils import timezone
from knox.models import AbstractAuthToken


class ApiToken(AbstractAuthToken):
    """A bearer token of a user. Only its digest is stored; the name and the last use tell which one may be revoked."""

    USE_NOTED_EVERY = timedelta(minutes=1)
    """A use is written down once a minute: reading must not cost a write each time."""

    name = models.CharField(max_length=120, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API token"
        ordering = ["-created"]

    def __str__(self) -> str:
        return self.name or f"Token {self.token_key}…"

    def note_use(self) -> None:
        """Write down that the token was used, at most once a minute."""
        now = timezone.now()
        if self.last_used_at is None or now - self.last_used_at > self.USE_NOTED_EVERY:
            type(self).objects.filter(pk=self.pk).update(last_used_at=now)
