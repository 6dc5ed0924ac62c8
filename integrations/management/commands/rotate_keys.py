"""`manage.py rotate_keys`: re-encrypt every stored secret with the newest key; can be stopped and started again."""

import secrets
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.core.management.base import CommandParser
from django.db import models, transaction

from integrations.exceptions import DecryptionFailed
from integrations.management.command import DONE, PARTIAL, HospientCommand
from integrations.models import SealedJSONField
from integrations.security import keyring


class Stored(NamedTuple):
    """One secret as a row has it."""

    model: type[models.Model]
    pk: int
    field: str
    key_id: str

    @property
    def name(self) -> str:
        return f"{self.model._meta.verbose_name} {self.pk}, {self.field}"


class Command(HospientCommand):
    help = "Re-encrypt stored secrets with the first key of ENCRYPTION_KEY, without downtime."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--new-key", action="store_true", help="Print a new SECRET_KEY and a new entry for ENCRYPTION_KEY, and do nothing else."
        )
        parser.add_argument(
            "--verify",
            action="store_true",
            help="Decrypt everything and count what is left on older keys; 0 left means they can be removed.",
        )
        parser.add_argument("--dry-run", action="store_true", help="The same as --verify.")

    def run(self, *, new_key: bool, verify: bool, dry_run: bool, **options: Any) -> int:
        if new_key:
            made = {"SECRET_KEY": secrets.token_urlsafe(50), "ENCRYPTION_KEY": keyring.new_entry()}
            self.show("\n".join(f"{name}={value}" for name, value in made.items()), made)
            return DONE
        newest = keyring.newest_key_id()
        only_looks = verify or dry_run
        rotated = left = 0
        lost = []
        for stored in _all_stored():
            is_old = stored.key_id != newest
            try:
                if only_looks:
                    _reveal(stored)
                    left += is_old
                elif is_old:
                    rotated += _rotate(stored)
            except DecryptionFailed:
                lost.append(f"{stored.name}, key “{stored.key_id}”")
                self.note(f"Cannot be decrypted: {lost[-1]}. Put its key back into ENCRYPTION_KEY, or enter the secret again.")
        unread = f", {len(lost)} cannot be decrypted" if lost else ""
        if only_looks:
            self.show(f"{left} left on older keys{unread}", {"left": left, "undecryptable": lost})
        else:
            self.show(f"Rotated {rotated} to key {newest}{unread}", {"rotated": rotated, "key": newest, "undecryptable": lost})
        return PARTIAL if lost or left else DONE


def _all_stored() -> Iterator[Stored]:
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, SealedJSONField):
                tokens = model._base_manager.exclude(**{field.attname: ""}).order_by("pk").values_list("pk", field.attname)
                yield from (Stored(model, pk, field.attname, keyring.key_id_of(token)) for pk, token in list(tokens))


def _reveal(stored: Stored) -> None:
    if row := stored.model._base_manager.filter(pk=stored.pk).first():
        getattr(row, stored.field).reveal()


def _rotate(stored: Stored) -> bool:
    """Re-encrypt one field of one row under a lock, so that a change made meanwhile is not lost."""
    with transaction.atomic():
        row = stored.model._base_manager.select_for_update().filter(pk=stored.pk).first()
        if row is None or not getattr(row, stored.field):
            return False  # deleted meanwhile
        setattr(row, stored.field, getattr(row, stored.field).reveal())
        row.save(update_fields=[stored.field])
        return True
