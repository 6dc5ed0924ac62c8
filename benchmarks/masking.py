"""What it costs to keep and show nothing that should not be: `python -m benchmarks.masking`.

Processor time of one thing of each sort, with nothing to hide in it, as nearly always, and with a card, a token and a passport's line in
it. Beside it is what the same thing costs to read or write as JSON, which is done to each of them anyway.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from integrations.records import Guest, MenuItem, MenuVariation
from integrations.security.kept import keepable, keepable_json
from integrations.security.redaction import redact, redact_text
from integrations.sync.bindings import BINDINGS
from integrations.sync.rows import encoder, keepable_record

SECONDS = 0.3
HIDDEN = "card 4556 7375 8689 9855, cvv 739, sk_live_markb7Qx85markb7Qx85, P<UTOBERGER<<ANNA<<<<<<<<<<<<<<<<<<<<<<<<<"
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def event(note: str) -> dict[str, Any]:
    data = {"guest_id": "guest_1", "first_name": "Anna", "last_name": "Berger", "phone": "+436641234567", "note": note}
    lines = [{"sku": "5449000000996", "name": f"Dish {n}", "quantity": 1, "price": 12.5} for n in range(8)]
    return {"event_type": "guest_updated", "event_id": "evt_0815", "occurred_at": "2026-11-29T10:00:00Z", "data": data, "lines": lines}


def item(note: str) -> MenuItem:
    sizes = tuple(MenuVariation(external_id=f"v{n}", name="Large", price=Decimal("12.50"), currency="EUR") for n in range(2))
    return MenuItem(external_id="m1", updated_at=NOW, name="Club sandwich", description=f"With fries. {note}", variations=sizes)


def guest(note: str) -> Guest:
    told = {"pillow": "feather", "floor": "high", "note": note}
    return Guest(
        external_id="g1", given_name="Anna", family_name="Berger", email="anna@example.com", phone="+436641234567", preferences=told
    )


def main() -> None:
    print(f"{'':<46}{'nothing hidden':>16}{'something':>12}{'as JSON':>10}   microseconds")
    for name, one, function, plain in (
        ("a webhook's body", lambda note: json.dumps(event(note)), keepable_json, json.loads),
        ("a body of the API", event, keepable, json.dumps),
        ("a menu item of a sync", item, keepable_record, encoder(BINDINGS["menu_item"])),
        ("a guest of a sync", guest, keepable_record, encoder(BINDINGS["guest"])),
        ("a call in the integration's log", event, redact, json.dumps),
        ("a line of the process's log", lambda note: f"sync_page run=12 stored=100 {note}", redact_text, json.dumps),
    ):
        figures = [cost(function, one("thanks")), cost(function, one(HIDDEN)), cost(plain, one("thanks"))]
        print(f"{name:<46}{figures[0]:>16.1f}{figures[1]:>12.1f}{figures[2]:>10.1f}")


def cost(function: Callable[[Any], Any], value: Any) -> float:
    function(value)
    count, started = 0, time.process_time()
    while time.process_time() - started < SECONDS:
        for _ in range(50):
            function(value)
        count += 50
    return (time.process_time() - started) / count * 1e6


if __name__ == "__main__":
    import django

    django.setup()
    main()
