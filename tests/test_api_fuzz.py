"""Whatever is sent to the API, it answers as it says it does, and never with a fault of its own."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from rest_framework.test import APIClient

from hospient.wsgi import application
from hotels.models import Hotel
from integrations.tests.conftest import Connect

schemathesis = pytest.importorskip("schemathesis")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis.errors import Unsatisfiable  # noqa: E402
from schemathesis import GenerationMode  # noqa: E402
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance  # noqa: E402

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
FEW = settings(max_examples=3, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def described(db: None) -> Iterator[Any]:
    """The API as it describes itself, served by the real WSGI application, which must not close the test's connection."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield schemathesis.openapi.from_wsgi("/api/schema", application)
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_api_answers_as_it_says(described: Any, manager: APIClient, connect: Connect, hotel: Hotel, mode: GenerationMode) -> None:
    token = {"Authorization": manager._credentials["HTTP_AUTHORIZATION"]}
    ids = {"hotel_id": hotel.pk, "integration_id": connect(hotel).pk}

    def check(operation: Any) -> None:
        @FEW
        @given(case=operation.as_strategy(generation_mode=mode))
        def answers(case: Any) -> None:
            case.path_parameters.update({name: value for name, value in ids.items() if name in case.path_parameters})
            case.call_and_validate(headers=token, checks=CHECKS)

        with suppress(Unsatisfiable):  # it takes nothing that could be wrong
            answers()

    for found in described.exclude(path="/api/auth/logout").exclude(method="DELETE").get_all_operations():
        check(found.ok())
