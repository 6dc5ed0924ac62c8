"""How long a page of the API's lists takes as the table grows: `python -m benchmarks.lists [--rows 10000 5000000]`.

Whole requests in one process (token, filters, page, count, JSON) on PostgreSQL. One call in seven fails, one in twenty is
inbound. Figures are milliseconds of one machine in one run; what counts is the ratio between the sizes.
"""

import argparse
import json
import statistics
import time
from typing import Any

from benchmarks import world

LOGS = {
    "newest": "",
    "failed": "status=failed",
    "syncs": "operation_type=sync",
    "inbound": "direction=inbound",
    "failed inbound": "status=failed&direction=inbound",
    "one cause": "correlation_id=cause-42",
    "a window": "since={middle}&until={later}",
    "page 2000": "offset=99950",
}
GUESTS = {"first": "", "by name": "family_name=ortner%20123", "page 2000": "offset=99950"}
REQUESTS = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 5_000_000])
    parser.add_argument("--measure", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(pages(int(options.measure[0]))))
        return
    print(f"{'rows':>10}  {'list':<24}{'p50 ms':>10}{'p95 ms':>10}{'to the smallest':>18}")
    smallest: dict[str, float] = {}
    for rows in options.rows:
        with world.database("postgresql") as url:
            world.manage(url, "migrate")
            world.manage(url, "createcachetable")
            for name, (p50, p95) in world.measure(url, "benchmarks.lists", rows).items():
                ratio = p95 / smallest.setdefault(name, p95)
                print(f"{rows:>10,}  {name:<24}{p50:>10.1f}{p95:>10.1f}{ratio:>17.2f}x", flush=True)


# --- measured in a process of its own ------------------------------------------------------------------------------------------


def pages(rows: int) -> dict[str, tuple[float, float]]:
    import django

    django.setup()
    integration, token = fill(rows)
    middle, later = window(rows)
    found = {}
    for kind, address, queries in (
        ("logs", f"/api/integrations/{integration.pk}/logs", LOGS),
        ("guests", f"/api/hotels/{integration.hotel_id}/guests", GUESTS),
    ):
        for name, query in queries.items():
            found[f"{kind}: {name}"] = measure(f"{address}?{query.format(middle=middle, later=later)}", token)
    return found


def measure(address: str, token: str) -> tuple[float, float]:
    from django.test import Client

    client = Client(headers={"Authorization": f"Bearer {token}"})
    taken = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        answer = client.get(address)
        taken.append((time.perf_counter() - started) * 1000)
        assert answer.status_code == 200, answer.content
    taken = sorted(taken[2:])  # the first two open the connection and read the code
    return statistics.median(taken), taken[int(len(taken) * 0.95)]


def window(rows: int) -> tuple[str, str]:
    """Return a minute in the middle of the logs."""
    from datetime import timedelta

    from django.utils import timezone

    middle = timezone.now() - timedelta(seconds=rows / 2)
    return tuple((middle + timedelta(seconds=s)).strftime("%Y-%m-%dT%H:%M:%SZ") for s in (0, 60))


def fill(rows: int) -> tuple[Any, str]:
    """Make a hotel with so many log rows, one a second, and as many guests up to a million."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.db import connection

    from hotels.models import ApiToken, Hotel
    from integrations.models import Integration

    call_command("flush", interactive=False, verbosity=0)
    hotel = Hotel.objects.create(name="Bench", slug="bench", currency="EUR")
    integration = Integration.objects.create(hotel=hotel, integration_type="pos", provider="generic_rest", provider_name="Bench")
    _, token = ApiToken.objects.create(get_user_model().objects.create_superuser("bench"))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO integrations_integrationlog (integration_id, operation_type, operation_name, direction, status, request_data, "
            "response_data, attempt, error_code, error_message, processing_time, records_processed, records_success, records_failed, "
            "correlation_id, created_at) SELECT %s, CASE WHEN n %% 3 = 0 THEN 'sync' ELSE 'api_call' END, 'list_items', "
            "CASE WHEN n %% 20 = 0 THEN 'inbound' ELSE 'outbound' END, CASE WHEN n %% 7 = 0 THEN 'failed' ELSE 'success' END, "
            '\'{"method": "GET", "url": "https://vendor.example.com/items"}\', \'{"status": 200}\', 1, \'\', \'\', 120, 100, 100, 0, '
            "'cause-' || n / 4, now() - n * interval '1 second' FROM generate_series(1, %s) n",
            [integration.pk, rows],
        )
        cursor.execute(
            "INSERT INTO hotels_guest (hotel_id, created_at, updated_at, given_name, family_name, email, phone, language, nationality, "
            "is_vip, preferences) SELECT %s, now(), now(), 'Eva', 'Ortner ' || n, 'eva' || n || '@example.com', '', 'de', 'AT', false, '{}' "
            "FROM generate_series(1, %s) n",
            [hotel.pk, min(rows, 1_000_000)],
        )
        cursor.execute("VACUUM ANALYZE")
    return integration, token


if __name__ == "__main__":
    main()
