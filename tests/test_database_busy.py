"""A database that restarts, or is busy beyond its time-out, is waited for by whoever asked: 503 and when to come back, at every door."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client, RequestFactory

from hospient import errors


@contextmanager
def busy_database() -> Iterator[None]:
    def refuse(execute: Callable[..., Any], *arguments: Any) -> None:
        raise OperationalError("database is locked")

    with connection.execute_wrapper(refuse):
        yield


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/auth/token", {"username": "anna", "password": "wrong-password"}),
        ("/api/webhooks/1", {"event": "reservation.created"}),
        ("/admin/login/", {"username": "anna", "password": "wrong-password"}),
    ],
)
def test_a_busy_database_is_answered_with_when_to_come_back(client: Client, path: str, body: dict[str, str]) -> None:
    kind = {"content_type": "application/json"} if path.startswith("/api/") else {}
    with busy_database():
        answer = client.post(path, body, **kind)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert b"locked" not in answer.content


def test_the_api_keeps_its_shape_where_no_view_of_it_was_reached(rf: RequestFactory) -> None:
    try:
        raise OperationalError("database is locked")
    except OperationalError:
        answer = errors.server_error(rf.get("/api/integrations"))
    assert answer.status_code == 503
    assert json.loads(answer.content)["errors"][0]["code"] == "busy"


@pytest.mark.django_db
def test_the_console_says_it_in_a_sentence(client: Client) -> None:
    with busy_database():
        answer = client.post("/admin/login/", {"username": "anna", "password": "wrong-password"})
    assert b"Try again in a few seconds" in answer.content
