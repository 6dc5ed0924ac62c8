"""`manage.py rotate_keys`: re-encrypt every stored secret with the newest key; can be stopped and started again."""

import base64
import secrets
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction
from django.utils import timezone

from integrations.management.command import DONE, PARTIAL, HospientCommand
from integrations.models import Integration, WebhookSecret
from integrations.security import keyring

SEALED = ((Integration, ("credentials", "tokens")), (WebhookSecret, ("secret",)))


class Command(HospientCommand):
    help = "Re-encrypt stored secrets with the first key of ENCRYPTION_KEY, without downtime."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--new-key", action="store_true", help="Print a new SECRET_KEY and a new entry for ENCRYPTION_KEY, and do nothing else."
        )
        parser.add_argument(
            "--verify", action="store_true", help="Only count what is left on older keys; 0 left means they can be removed."
        )
        parser.add_argument("--dry-run", action="store_true", help="The same as --verify.")

    def run(self, *, new_key: bool, verify: bool, dry_run: bool, **options: Any) -> int:
        if new_key:
            entry = f"{timezone.now():%Y-%m-%d}:{base64.urlsafe_b64encode(secrets.token_bytes(keyring.KEY_BYTES)).decode()}"
            secret = secrets.token_urlsafe(50)
            self.show(f"SECRET_KEY={secret}\nENCRYPTION_KEY={entry}", {"SECRET_KEY": secret, "ENCRYPTION_KEY": entry})
            return DONE
        newest = keyring.newest_key_id()
        rotated = left = 0
        for model, fields in SEALED:
            for pk in list(model.objects.values_list("pk", flat=True)):
                for field in fields:
                    if verify or dry_run:
                        left += self.is_old(model, pk, field, newest)
                    else:
                        rotated += self.rotate(model, pk, field, newest)
        if verify or dry_run:
            self.show(f"{left} left on older keys", {"left": left})
            return PARTIAL if left else DONE
        self.show(f"Rotated {rotated} to key {newest}", {"rotated": rotated, "key": newest})
        return DONE

    def token(self, model: Any, pk: int, field: str) -> str:
        return model.objects.values_list(field, flat=True).get(pk=pk)

    def is_old(self, model: Any, pk: int, field: str, newest: str) -> bool:
        token = self.token(model, pk, field)
        return bool(token) and keyring.key_id_of(token) != newest

    @transaction.atomic
    def rotate(self, model: Any, pk: int, field: str, newest: str) -> bool:
        """Re-encrypt one field of one row under a lock, so that a change made meanwhile is not lost."""
        row = model.objects.select_for_update().get(pk=pk)
        if not self.is_old(model, pk, field, newest):
            return False
        setattr(row, field, getattr(row, field).reveal())
        row.save(update_fields=[field])
        return True
