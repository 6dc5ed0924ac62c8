"""Sends the API what is too large, too deep or not to be kept, over real HTTP. Called by `tests.faults.abuse`."""

import json
import time

import urllib3

BODIES = {
    "larger than 2.5 MiB": (b'{"a":"' + b"x" * 2_700_000 + b'"}', 413, "larger than 2.5 MiB"),
    "100,000 list entries": (b"[" + b"1," * 100_000 + b"1]", 413, "100,001 entries"),
    "nested 100,000 deep": (b"[" * 100_000, 400, "nested too deeply"),
    "5,000 digits": (b'{"a":' + b"9" * 5000 + b"}", 400, "more than 64 digits"),
    "1e400": (b'{"a":1e400}', 400, "out of range"),
    "NaN": (b'{"a":NaN}', 400, "NaN is not a number"),
    "invalid UTF-8": (b'{"a":"\xff"}', 400, "not valid UTF-8"),
}
ADDRESSES = {
    "5,000 parameters": ("/api/integrations?" + "&".join(f"a{n}=1" for n in range(5000)), 400, "more than 100 parameters"),
    "a filter of 10 kB": ("/api/integrations?provider=" + "x" * 10_000, 400, "longer than 2,000 characters"),
    "an id of 23 digits": ("/api/integrations/99999999999999999999999/", 404, "Not found"),
    "an endless offset": ("/api/integrations?offset=1" + "0" * 30, 400, "whole number"),
    "a limit of -1": ("/api/integrations?limit=-1", 400, "whole number"),
}
INNER = ["https://pos.lan", "https://POS.CORP.", "https://db.default.svc.cluster.local", "https://x.home.arpa", "https://pos"]
SECONDS = 10


def attacks(base_url: str, token: str) -> list[tuple[str, bool, str]]:
    """Return for each attack its name, whether it was refused for what it is and in time, and what came. The token's owner has a hotel."""
    pool = urllib3.PoolManager(
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"}, retries=False, timeout=SECONDS
    )
    found = []

    def attack(name: str, method: str, path: str, body: bytes | None, status: int, reason: str) -> None:
        started = time.monotonic()
        try:
            answer = pool.request(method, base_url + path, body=body)
            said = json.loads(answer.data)["errors"][0]["detail"]
            ok = answer.status == status and reason in said
            detail = f"{answer.status} {said[:120]}"
        except (urllib3.exceptions.HTTPError, ValueError, KeyError, IndexError) as error:
            ok, detail = False, repr(error)[:200]
        found.append((name, ok and time.monotonic() - started < SECONDS, detail))

    for name, (sent, status, reason) in BODIES.items():
        attack(name, "POST", "/api/integrations", sent, status, reason)
    for name, (path, status, reason) in ADDRESSES.items():
        attack(name, "GET", path, None, status, reason)
    hotels = json.loads(pool.request("GET", base_url + "/api/hotels").data)["results"]
    for address in INNER:
        body = {
            "provider": "generic_rest",
            "integration_type": "pos",
            "provider_name": "Inner",
            "config": {"base_url": address},
            "hotel_id": hotels[0]["id"],
            "credentials": {"apiKey": "key-4711"},
        }
        attack(f"an integration at {address}", "POST", "/api/integrations", json.dumps(body).encode(), 400, "a name inside a network")
    return found
