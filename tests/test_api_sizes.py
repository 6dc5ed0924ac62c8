"""Whatever is too large, too deep or unreadable at the API is refused in words, in its one error shape, and changes nothing."""

import io
import json
import logging

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from hospient.logs import ContextFilter, RedactingFormatter
from integrations.services.inputs import RequestInput, read
from tests.faults.abuse_api import attacks

pytestmark = pytest.mark.django_db
BODIES = {
    "deep": b"[" * 100_000, "deep object": b'{"a":' * 1000 + b"1" + b"}" * 1000, "digits": b'{"a":' + b"9" * 5000 + b"}", "exponent": b'{"a":1e400}',
    "nan": b'{"a":NaN}', "not UTF-8": b'{"a":"\xff"}', "nothing": b"", "surrogate": b'{"a":"\\ud800"}', "nul": b'{"a":"\\u0000"}',
    "entries": b"[" + b"1," * 100_000 + b"1]", "list": b"[]",
}  # fmt: skip


@pytest.fixture
def caller() -> Client:
    from hotels.models import ApiToken

    user = User.objects.create_superuser("sizes", password="correct-horse-battery")
    _, token = ApiToken.objects.create(user)
    return Client(headers={"Authorization": f"Bearer {token}"}, raise_request_exception=False)


def assert_refused(answer, *statuses: int) -> dict:
    assert answer.status_code in (statuses or range(400, 500)), answer.content[:300]
    body = json.loads(answer.content)
    assert set(body) >= {"type", "errors", "hint", "correlation_id"}
    assert body["errors"][0]["detail"]
    return body


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("address", ["/api/integrations", "/api/auth/token"])
def test_a_body_that_cannot_be_read_is_refused_in_words(caller: Client, address: str, name: str) -> None:
    assert_refused(caller.post(address, BODIES[name], content_type="application/json"), *([413] if name == "entries" else [400]))


def test_a_body_that_is_too_large_is_413(caller: Client) -> None:
    body = b'{"a":"' + b"x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE + b'"}'
    for address in ("/api/integrations", "/api/auth/token", "/api/integrations/1/sync"):
        assert "2.5 MiB" in assert_refused(caller.post(address, body, content_type="application/json"), 413)["errors"][0]["detail"]


def test_a_bom_is_read_and_other_charsets_and_types_are_refused(caller: Client) -> None:
    assert "username" in str(assert_refused(caller.post("/api/auth/token", b"\xef\xbb\xbf{}", content_type="application/json"), 400))
    for kind in ("application/json; charset=utf-16", "application/json; charset=zlib", "text/plain", "application/xml"):
        assert_refused(caller.generic("POST", "/api/integrations", b"{}", content_type=kind), 415)


@pytest.mark.parametrize(
    "address",
    ["/api/integrations/99999999999999999999999/", "/api/integrations?offset=1" + "0" * 30, "/api/integrations?limit=-1", "/api/nothing",
     "/api/hotels/99999999999999999999999999/guests", "/api/integrations?" + "&".join(f"a{n}=1" for n in range(5000)),
     "/api/integrations?provider=" + "x" * 10_000, "/api/integrations/" + "9" * 5000, "/api/integrations?status=%ff%00",
     "/api/hotels/1/guests/99999999999999999999999", "/api/integrations/1/logs?limit=" + "9" * 4000],
)  # fmt: skip
def test_an_address_that_asks_too_much(caller: Client, address: str) -> None:
    assert_refused(caller.get(address))


def test_what_no_view_sees_has_the_shape_too(caller: Client) -> None:
    assert_refused(caller.delete("/api/integrations"), 405)
    assert_refused(caller.get("/api/integrations", headers={"Host": "evil.example:99999"}), 400)


def test_process_logs_pass_redaction() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(ContextFilter())
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.Logger("marked")
    logger.addHandler(handler)
    marks = "https://user:marked-one@vendor.example/?access_token=marked-two Bearer marked-three 4111 1111 1111 1111"
    try:
        raise ValueError(marks)
    except ValueError:
        logger.exception(
            "it failed: %s", marks, extra={"password": "marked-four", "detail": {"client_secret": "marked-five", "url": marks}}
        )
    logger.error("later", extra={"note": marks}, stack_info=True)
    assert "ValueError" in stream.getvalue()
    for leak in ("marked-one", "marked-two", "marked-three", "marked-four", "marked-five", "1111 1111"):
        assert leak not in stream.getvalue()


def test_the_attacks_meet_words_over_http(live_server, caller: Client) -> None:
    token = caller.defaults["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    failed = [(name, detail) for name, ok, detail in attacks(live_server.url, token) if not ok]
    assert failed == []


def test_the_inputs_of_the_api_keep_no_card_and_every_id() -> None:
    given = read(
        RequestInput, {"room_number": "4111111111111111", "message": "card 4111 1111 1111 1111 exp 12/27", "guest_id": "4111111111111111"}
    )
    assert given.message == "card 411111…1111 exp 12/27"
    assert (given.room_number, given.guest_id) == ("4111111111111111", "4111111111111111")
