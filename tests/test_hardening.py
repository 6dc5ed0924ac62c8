"""What every answer carries, and what a deployment is warned about."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from hospient import database
from integrations.security import keyring

PRODUCTION = {
    "PATH": os.environ["PATH"],
    "PUBLIC_URL": "https://hospient.example.com",
    "ALLOWED_HOSTS": "hospient.example.com",
    "SECRET_KEY": "kJ4-vQ8_zT1.wN6~" * 4,
    "ENCRYPTION_KEY": keyring.new_entry(),
}


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, timeout=120)


def test_a_deployment_behind_https_is_warned_about_nothing(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/hospient.sqlite3"
    checked = manage("check", "--deploy", "--fail-level", "WARNING", DATABASE_URL=database, **PRODUCTION)
    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout


@pytest.mark.parametrize("name", ["SECRET_KEY", "ENCRYPTION_KEY"])
@pytest.mark.parametrize("value", ["", "too-shrt", "change-me-" + "x" * 80])
def test_the_server_does_not_start_on_a_bad_key(name: str, value: str) -> None:
    refused = manage("check", **(PRODUCTION | {name: value}))
    assert refused.returncode != 0
    assert name in refused.stderr
    assert not value or value not in refused.stderr


def test_a_worker_with_a_broken_ring_ends_with_a_sentence() -> None:
    refused = manage("worker", **(PRODUCTION | {"ENCRYPTION_KEY": f"a:{'A' * 86}"}))
    assert refused.returncode == 1
    assert refused.stderr.startswith("ENCRYPTION_KEY, entry 1: the key is not random")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("url", ["postgres://hotel:s3cret/x@db/hospient", "'postgres://hotel:s3cret@db/hospient'"])
def test_the_server_does_not_start_on_an_odd_database_and_shows_no_password(url: str) -> None:
    refused = manage("check", DATABASE_URL=url, **PRODUCTION)
    assert refused.returncode == 1
    assert refused.stderr.startswith("DATABASE_URL ")
    assert refused.stderr.count("\n") == 1
    assert "s3cret" not in refused.stderr + refused.stdout


@pytest.mark.parametrize(
    "url",
    [
        "", "garbage-s3cret", "$S3CRET", "mysql://hotel:s3cret@db/hospient", "postgres://hotel:s3cret@db", "postgres://hotel:s3cret@db:x/y",
        "postgres://hotel:s3cret@db:99999/hospient", "postgres://hotel:12/s3cret@db/hospient", "postgres://hotel:s3cret?x=y@db/hospient",
        "postgres://hotel:1/a?b=s3cret@db/hospient", "postgres://hotel:s3cret%00@db/hospient", "postgres://hotel:p@s3cret/x@db/hospient",
    ],
)  # fmt: skip
def test_an_odd_address_of_a_database_is_refused_without_a_piece_of_it(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^DATABASE_URL ") as caught:
        database.configuration(url)
    assert "s3cret" not in f"{caught.value}".lower()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("password", ["p@:/?#[]%+ =&;$,ü€", "s3cret", "%41", "a#b", "~!*'()"])
def test_a_password_of_any_characters_reaches_the_database(password: str) -> None:
    found = database.configuration(f"postgres://ho%40tel:{quote(password, safe='')}@db.example.com:6432/hospient?sslmode=require")
    assert (found["USER"], found["PASSWORD"], found["HOST"], found["PORT"]) == ("ho@tel", password, "db.example.com", 6432)
    assert (found["NAME"], found["OPTIONS"]) == ("hospient", {"sslmode": "require"})


@pytest.mark.parametrize("given", [{}, {"SECRET_KEY": PRODUCTION["SECRET_KEY"]}, {"ENCRYPTION_KEY": "broken" * 20}])
def test_the_command_that_a_missing_key_names_makes_keys_that_serve(given: dict[str, str]) -> None:
    bare = {name: value for name, value in PRODUCTION.items() if not name.endswith("_KEY")} | given
    refused = manage("check", **bare)
    assert "python manage.py rotate_keys --new-key" in refused.stderr
    made = dict(line.split("=", 1) for line in manage("rotate_keys", "--new-key", **bare).stdout.splitlines())
    assert manage("check", **(bare | made)).returncode == 0


@pytest.mark.django_db
class TestHeaders:
    @pytest.mark.parametrize("address", ["/admin/login/", "/api-docs", "/api/hotels", "/api/nothing", "/nothing", "/healthz"])
    def test_nothing_is_loaded_from_elsewhere_and_nobody_frames_us(self, client: Client, address: str) -> None:
        headers = client.get(address).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy or "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "http" not in policy
        assert "'unsafe-inline'" not in policy.replace("style-src 'self' 'unsafe-inline'", "")
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Request-Id"]
        assert not {"Server", "X-Powered-By"} & set(headers)

    def test_the_api_is_not_kept_by_anybody_in_between(self, client: Client) -> None:
        assert client.get("/api/hotels").headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("address", ["/api/hotels", "/api/nothing", "/api/schema"])
    def test_a_slash_at_the_end_changes_nothing(self, client: Client, address: str) -> None:
        headers = {"X-Request-Id": "the-same-request"}
        with_slash, without = (client.get(form, headers=headers) for form in (f"{address}/", address))
        assert (with_slash.status_code, with_slash.content) == (without.status_code, without.content)

    def test_a_page_that_is_not_there_says_nothing_of_us(self, client: Client) -> None:
        page = client.get("/nothing")
        assert page.status_code == 404
        assert not [word for word in (b"Django", b"Python", b"Traceback") if word in page.content]

    def test_a_host_we_do_not_answer_to_is_refused_in_json(self, client: Client) -> None:
        answer = client.get("/api/hotels", headers={"Host": "evil.example.com"})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "bad_request")


@pytest.mark.django_db
def test_a_refused_request_is_logged_under_its_own_correlation_id(client: Client, caplog: Any) -> None:
    client.get("/api/hotels", headers={"X-Request-Id": "follow-me-through"})
    record = next(record for record in caplog.records if record.name == "django.request")
    assert record.request.correlation_id == "follow-me-through"
