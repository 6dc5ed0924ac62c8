"""`manage.py demo`: two hotels, every vendor simulated, first syncs, a check, a webhook; then the console, the API and a worker.

Everything goes the real way: HTTP to the simulators on loopback, the services, the database, a worker in its own process. Safe to run
again: what is there is kept, and only the simulators' addresses are renewed.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from hotels.models import Guest, Hotel, Membership, MenuItem, Reservation, ReservationStatus, Role, Room
from integrations.models import ExternalReference, Integration, Operation, Trigger
from integrations.services import service_for, setup
from integrations.simulators.catalogue import SimulatedVendor, simulated_vendors
from integrations.simulators.server import RunningSimulator, start
from webhooks import subscriptions
from webhooks.models import WebhookEvent

FIRST = "square"
"""The point of sale is integration 1, as in the examples of the documentation."""
PEOPLE = {"admin": None, "manager": Role.MANAGER, "operator": Role.OPERATOR, "viewer": Role.VIEWER}


class Command(BaseCommand):
    help = "Fill a database with simulated hotels and show Hospient at work."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-serve", action="store_true", help="Stop after the summary.")
        parser.add_argument("--port", type=int, default=8000, help="Where console and API are served (8000).")

    def handle(self, *args: Any, no_serve: bool, port: int, **options: Any) -> None:
        self.console = Console()
        self.password = os.environ.get("DEMO_PASSWORD", "hospient-demo")
        port = self.free_port() if no_serve else port
        if self.in_use(port):
            raise CommandError(f"Port {port} is in use. Choose another one: manage.py demo --port 8001")
        call_command("migrate", verbosity=0)
        call_command("createcachetable", verbosity=0)
        hotel = self.make_hotels()
        vendors = sorted(simulated_vendors(), key=lambda vendor: vendor.slug != FIRST)
        running = {vendor.slug: start(vendor.simulator()) for vendor in vendors}
        rows = [self.connect(hotel, vendor, running[vendor.slug].url) for vendor in vendors]
        with self.processes(port) as served:
            self.sync(rows)
            self.post(rows)
            self.webhook(rows, running, port)
            self.summary(rows)
            if not no_serve:
                self.serve(port, served, rows[0])

    # --- hotels, people, vendors -----------------------------------------------------------------------------------------------

    def make_hotels(self) -> Hotel:
        hotel, _ = Hotel.objects.get_or_create(
            slug="grand-hotel", defaults={"name": "Grand Hotel", "currency": "EUR", "time_zone": "Europe/Vienna", "country": "AT"}
        )
        Hotel.objects.get_or_create(
            slug="seaside-inn", defaults={"name": "Seaside Inn", "currency": "EUR", "time_zone": "Europe/Lisbon", "country": "PT"}
        )
        for name, role in PEOPLE.items():
            user, _ = get_user_model().objects.get_or_create(username=name, defaults={"is_staff": True, "is_superuser": role is None})
            user.set_password(self.password)
            user.save()
            if role:
                Membership.objects.update_or_create(user=user, hotel=hotel, defaults={"role": role})
        return hotel

    def connect(self, hotel: Hotel, vendor: SimulatedVendor, url: str) -> Integration:
        body = vendor.connection(url)
        existing = Integration.objects.filter(hotel=hotel, provider=vendor.slug).first()
        if existing:
            integration, _ = setup.update_integration(existing, body, partial=True)
        else:
            integration, _ = setup.create_integration(hotel, body)
        return integration

    # --- what it shows ---------------------------------------------------------------------------------------------------------

    def sync(self, rows: list[Integration]) -> None:
        for integration in rows:
            service = service_for(integration, trigger=Trigger.COMMAND)
            with self.console.status(f"{integration.provider_name} ..."):
                outcome = service.test_connection()
            self.say(f"[bold]{integration.provider_name}[/] {outcome.message} {outcome.hint}")
            for stream in service.streams():
                if stream.scheduled:
                    run = service.sync(stream.name)
                    self.say(f"  {stream.label.lower()}: {run.summary} ({run.get_status_display().lower()}) {run.error_message}")

    def post(self, rows: list[Integration]) -> None:
        for integration in rows:
            service: Any = service_for(integration, trigger=Trigger.COMMAND)
            offered = {operation.name for operation in service.operations()}
            if "post_guest_check" in offered:
                self.post_and_void(integration, service)
            if "post_check_in" in offered:
                self.check_in(integration, service)
            if "post_feedback" in offered:
                guest = Guest.live.filter(hotel=integration.hotel).first()
                feedback = service.post_feedback(
                    {"guest_id": guest and guest.pk, "rating": 5, "title": "Excellent Service", "message": "Thank you."}
                )
                self.report(integration, "feedback", feedback)

    def post_and_void(self, integration: Integration, service: Any) -> None:
        known = ExternalReference.objects.filter(integration=integration, record_type="menu_item", deleted_at=None)
        item = MenuItem.live.filter(pk__in=known.values("object_id"), variations__price__gt=0).order_by("pk").first()
        if item is None:
            return
        variation = item.variations.filter(archived_at=None, price__gt=0).first()
        total = str(variation.price * 2)
        line = {"menu_id": item.pk, "variation_id": variation.pk, "quantity": 2, "unit_price": str(variation.price), "total_price": total}
        posted = service.post_guest_check({"room_number": "101", "items": [line], "subtotal": total, "total": total})
        self.report(integration, f"check: 2 × {item.name}", posted)
        if posted.vendor_reference:
            self.report(integration, "the same check voided", service.void_check(posted.vendor_reference, "Guest request"))

    def check_in(self, integration: Integration, service: Any) -> None:
        reservation = (
            Reservation.live.filter(hotel=integration.hotel, status=ReservationStatus.RESERVED)
            .exclude(room_number="")
            .order_by("arrival_date")
            .first()
        )
        if reservation:
            checked_in = service.post_check_in(
                {"reservation_id": reservation.pk, "room_number": reservation.room_number, "check_in_by": "demo"}
            )
            self.report(integration, f"check-in to room {reservation.room_number}", checked_in)

    def report(self, integration: Integration, what: str, operation: Operation) -> None:
        self.say(f"[bold]{integration.provider_name}[/] {what}: {operation.get_status_display().lower()} {operation.error_message}")

    def webhook(self, rows: list[Integration], running: dict[str, RunningSimulator], port: int) -> None:
        """Let Square change a price, and watch it arrive by its signed webhook."""
        square = next((row for row in rows if row.provider == "square"), None)
        if square is None:
            return
        Integration.objects.filter(pk=square.pk).update(webhook_url=f"http://127.0.0.1:{port}/api/webhooks/{square.pk}")
        square.refresh_from_db()
        subscriptions.create(square)
        events = WebhookEvent.objects.filter(integration=square)
        before = events.order_by("-pk").values_list("pk", flat=True).first() or 0
        started = time.monotonic()
        running["square"].simulator.control("add_item", {"name": f"Special of the day {events.count() + 1}", "cents": 1890})
        while time.monotonic() - started < 20:
            if events.filter(status="done", pk__gt=before).exists():
                self.say(f"[bold]Square[/] added a dish and told us: on the menu {time.monotonic() - started:.1f} s later")
                return
            time.sleep(0.2)
        self.say("[bold]Square[/] added a dish, but its webhook had no effect within 20 seconds.")

    def summary(self, rows: list[Integration]) -> None:
        table = Table(title="Grand Hotel")
        for column in ("Integration", "Status", "Last sync", "Stored"):
            table.add_column(column)
        for integration in rows:
            integration.refresh_from_db()
            last = integration.last_sync_at.strftime("%H:%M:%S UTC") if integration.last_sync_at else "never"
            stored = ExternalReference.objects.filter(integration=integration, deleted_at=None).count()
            table.add_row(
                f"{integration.provider_name} ({integration.provider})", integration.get_status_display(), last, f"{stored:,} records"
            )
        self.console.print(table)
        checks = Operation.objects.filter(name="post_guest_check", status="done").count()
        voided = Operation.objects.filter(name="void_check", status="done").count()
        self.say(
            f"{MenuItem.live.count()} dishes, {Room.live.count()} rooms, {Reservation.live.count()} reservations, {Guest.live.count()} guests; "
            f"{checks} checks posted, {voided} voided; {WebhookEvent.objects.filter(status='done').count()} webhooks worked"
        )

    # --- processes -------------------------------------------------------------------------------------------------------------

    @contextmanager
    def processes(self, port: int) -> Iterator[list[subprocess.Popen[bytes]]]:
        """Serve console, API and webhooks, and run a worker, each in a process of its own."""
        environment = os.environ | {"PUBLIC_URL": f"http://127.0.0.1:{port}", "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING")}
        serve, worker = ["serve", "--port", str(port), "-v", "0"], ["worker", "--threads", "2"]
        commands = [[sys.executable, "manage.py", *arguments] for arguments in (serve, worker)]
        started = [subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment) for command in commands]  # noqa: S603
        try:
            self.wait_for(f"http://127.0.0.1:{port}/healthz", started)
            yield started
        finally:
            for process in started:
                process.terminate()
            for process in started:
                try:
                    process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()

    def wait_for(self, url: str, started: list[subprocess.Popen[bytes]]) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if any(process.poll() is not None for process in started):
                raise CommandError("The server or the worker ended at once; its message is above.")
            try:
                if requests.get(url, timeout=2).ok:
                    return
            except requests.RequestException:
                time.sleep(0.3)
        raise CommandError(f"{url} did not answer within a minute.")

    def serve(self, port: int, started: list[subprocess.Popen[bytes]], till: Integration) -> None:
        address = f"http://127.0.0.1:{port}"
        secret = till.webhook_secrets.latest("pk").secret.reveal()["secret"]
        table = Table(title="Open", show_header=False)
        table.add_row("Console", f"{address}/admin/")
        table.add_row("API", f"{address}/api-docs")
        table.add_row(f"Webhooks of {till.provider_name}", f"{address}/api/webhooks/{till.pk}")
        table.add_row("their secret", f"{secret}  (made for this demo)")
        for name, role in PEOPLE.items():
            table.add_row(f"Sign in as {name}", f"{self.password}  ({role.label if role else 'everything, every hotel'})")
        self.console.print(table)
        self.say("Ctrl-C ends it.")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            while all(process.poll() is None for process in started):
                time.sleep(0.5)
        except KeyboardInterrupt:
            self.say("Bye.")

    # --- small things ----------------------------------------------------------------------------------------------------------

    def say(self, line: str) -> None:
        self.console.print(line.rstrip(), highlight=False)

    def free_port(self) -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def in_use(self, port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
