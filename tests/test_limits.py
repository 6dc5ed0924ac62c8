"""`docs/limits.md` says what is: every default there is the code's, and every setting of a limit is there."""

import re
from typing import Any

import pytest
from django.conf import settings

from hospient import rsgi, server
from hospient.management.commands import worker
from hospient.middleware import SizeMiddleware
from hotels import login
from hotels.api.lists import Pages
from integrations import decoding
from integrations.api import parsers

FIXED: dict[str, Any] = {
    "time to stop after SIGTERM": worker.STOP_SECONDS,
    "disk that bodies of more than 64 KiB take together, at console and API": rsgi.DISK_BYTES // 2**20,
    "body": settings.DATA_UPLOAD_MAX_MEMORY_SIZE / 2**20,
    "entries of a list or an object": parsers.MAX_ENTRIES,
    "nesting": decoding.MAX_DEPTH,
    "digits of a number": decoding.MAX_DIGITS,
    "parameters in an address": SizeMiddleware.MAX_PARAMETERS,
    "length of a parameter": SizeMiddleware.MAX_PARAMETER,
    "rows of a page (`limit`)": Pages.MAX_LIMIT,
    "rows before a page (`offset`)": Pages.MAX_OFFSET,
    "failed sign-ins of an account in 15 minutes": login.FAILURES_PER_ACCOUNT,
    "failed sign-ins from an address in 15 minutes": login.FAILURES_PER_ADDRESS,
    "nesting of a webhook": decoding.MAX_DEPTH,
    "digits of a number in a webhook": decoding.MAX_DIGITS,
    "exponent of a number in a webhook": decoding.MAX_EXPONENT,
    "headers of a request": 100,  # Granian's own; tests.faults.abuse sends more
}
WORDS = {"charset": "UTF-8", "compression": "none"}


def rows() -> list[tuple[str, list[str], str]]:
    page = (settings.BASE_DIR / "docs" / "limits.md").read_text()
    found = []
    for line in page.splitlines():
        if line.startswith("| ") and not line.startswith(("| limit |", "| ---")):
            name, setting, default, _ = (cell.strip() for cell in line.strip("| ").split(" | "))
            found.append((name, re.findall(r"`(\w+)`", setting), default))
    return found


def in_force(setting: str) -> Any:
    for group in ("API_RATE", "WEBHOOK_RATE"):
        if setting.startswith(f"{group}_"):
            return getattr(settings, f"{group}S")[setting.removeprefix(f"{group}_").lower()]
    return getattr(settings, setting)


@pytest.mark.parametrize(("name", "names", "default"), rows(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_default_is_what_is_in_force(name: str, names: list[str], default: str) -> None:
    if name in WORDS:
        assert default == WORDS[name]
        return
    for value in map(in_force, names) if names else [FIXED[name]]:
        assert default.split()[0].replace(",", "") == (f"{value:g}" if isinstance(value, float) else str(value))


def test_every_setting_of_a_limit_is_on_the_page_and_in_the_example() -> None:
    listed = {setting for _, names, _ in rows() for setting in names}
    lines = (settings.BASE_DIR / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))
    kinds = ("SERVER_", "WEBHOOK_", "API_RATE_", "INTEGRATION_")
    assert {name for name in dir(settings) if name.startswith("SERVER_") and name != "SERVER_EMAIL"} <= listed
    assert {name: example[name] for name in listed} == {name: str(in_force(name)) for name in listed}
    assert {name for name in example if name.startswith(kinds)} == listed


def test_the_proxy_has_the_servers_limits() -> None:
    proxy = (settings.BASE_DIR / "proxy.conf").read_text()
    seconds = {name: int(value) for name, value in re.findall(r"^\s*(\w+_timeout) (\d+)s;", proxy, re.M)}
    assert seconds["client_header_timeout"] == seconds["keepalive_timeout"] == settings.SERVER_HEAD_TIMEOUT // 1000
    assert seconds["client_body_timeout"] == settings.SERVER_BODY_TIMEOUT // 1000
    assert seconds["send_timeout"] == settings.SERVER_ANSWER_TIMEOUT // 1000
    assert f"limit_conn address {settings.SERVER_CONNECTIONS_PER_ADDRESS};" in proxy
    buffers, kilobytes = map(int, re.search(r"large_client_header_buffers (\d+) (\d+)k;", proxy).groups())
    assert buffers * kilobytes * 1024 == settings.SERVER_HEAD_BYTES
    # What is too large is refused behind, in words; a connection that is kept is given up here before it is closed there.
    assert int(re.search(r"client_max_body_size (\d+)m;", proxy)[1]) * 2**20 > max(
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE, settings.WEBHOOK_MAX_BYTES
    )
    assert max(map(int, re.findall(r"upstream .* keepalive_timeout (\d+)s;", proxy))) < settings.SERVER_HEAD_TIMEOUT // 1000


def test_everything_is_started_by_one_command() -> None:
    for name in ("Dockerfile", "compose.yaml", "docs/operations.md"):
        text = (settings.BASE_DIR / name).read_text()
        assert "serve" in text
        assert "granian" not in text
    assert server.STOP_SECONDS < worker.STOP_SECONDS == FIXED["time to stop after SIGTERM"]
