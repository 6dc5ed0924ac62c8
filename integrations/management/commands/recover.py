"""`manage.py recover`: make what a dead worker left behind due at once, without waiting for its leases."""

from typing import Any

from integrations.management.command import HospientCommand
from integrations.tasks import recover


class Command(HospientCommand):
    help = "Put lapsed runs and operations back into the queue (a worker does this by itself)."

    def run(self, **options: Any) -> int:
        found = recover()
        self.show(f"Put back {found['runs']} runs and {found['operations']} operations", found)
        return 0
