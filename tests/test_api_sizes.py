"""Whatever is too large, too deep or unreadable at the API is refused in words, in its one error shape, and changes nothing."""

import io
import json
import logging
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from hospient.logs import ContextFilter, RedactingFormatter
from hotels.models import Hotel
from integrations.services.inputs import RequestInput, read
from integrations.tests.test_api_tenancy import ALL
from tests.faults.abuse_api import attacks
from webhooks.tests.doors import ViewDoor

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
    try:
        raise ValueError("-----BEGIN RSA PRIVATE KEY-----\nmarked-six\nmarked-seven\n-----END RSA PRIVATE KEY-----") from KeyError(marks)
    except ValueError:
        logger.exception("a key")
    logger.error("later", extra={"note": marks, "url": "amqp://user:marked-eight@broker:5672//"}, stack_info=True)
    assert "ValueError" in stream.getvalue()
    for leak in (
        "marked-one",
        "marked-two",
        "marked-three",
        "marked-four",
        "marked-five",
        "marked-six",
        "marked-seven",
        "marked-eight",
        "1111 1111",
    ):
        assert leak not in stream.getvalue()


def test_the_attacks_meet_words_over_http(live_server, caller: Client) -> None:
    Hotel.objects.create(name="Miramar", slug="miramar")
    token = caller.defaults["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    failed = [(name, detail) for name, ok, detail in attacks(live_server.url, token) if not ok]
    assert failed == []


def test_the_inputs_of_the_api_keep_no_card_and_every_id() -> None:
    given = read(
        RequestInput, {"room_number": "4111111111111111", "message": "card 4111 1111 1111 1111 exp 12/27", "guest_id": "4111111111111111"}
    )
    assert given.message == "card 411111…1111 exp 12/27"
    assert (given.room_number, given.guest_id) == ("4111111111111111", "4111111111111111")


LARGE = b"x=" + b"y" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE
WRITES = [(route, method) for route in ALL for method in route.methods if method != "get"]


def answers(caller: Client, body: bytes, kind: str, query: str = "") -> list[tuple[str, Any]]:
    """Send a body to every address of the API that takes one."""
    ids = {name: 1 for route, _ in WRITES for name in route.ids}
    return [
        (f"{method} {route}", caller.generic(method.upper(), route.fill(ids) + query, body, content_type=kind)) for route, method in WRITES
    ]


ATTACKS: dict[str, tuple[bytes, str, str, int]] = {
    "a body of 2.5 MiB": (LARGE, "application/json", "", 413),
    "a form of 2.5 MiB": (LARGE, "application/x-www-form-urlencoded", "", 413),
    "files of 2.5 MiB": (LARGE, "multipart/form-data; boundary=x", "", 413),
    "5,000 parameters": (b"{}", "application/json", "?" + "&".join(f"a{n}=1" for n in range(5000)), 400),
    "a parameter of 10 kB": (b"{}", "application/json", "?name=" + "x" * 10_000, 400),
    "a charset that unpacks": (b"{}", "application/json; charset=zlib", "", 415),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_every_address_refuses_it_before_anything_else(caller: Client, name: str) -> None:
    *sent, status = ATTACKS[name]
    seen = answers(caller, *sent)
    assert len(seen) > 20
    for where, answer in seen:
        if not where.startswith("post api/webhooks/"):  # its own limits
            assert_refused(answer, status)
        else:
            assert_refused(answer)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", ""]
)
def test_every_address_takes_json_and_says_so(caller: Client, kind: str) -> None:
    for where, answer in answers(caller, b"<a/>", kind):
        assert answer.status_code < 500, where
        if answer.status_code >= 400:
            assert_refused(answer)


@pytest.mark.parametrize("name", BODIES)
def test_no_address_falls_over_an_odd_body(caller: Client, name: str) -> None:
    for where, answer in answers(caller, BODIES[name], "application/json"):
        assert answer.status_code < 500, where
        if answer.status_code >= 400:
            assert_refused(answer)


@pytest.mark.parametrize("charset", ["zlib", "hex", "utf-16", "rot13", "x" * 500])
@pytest.mark.parametrize("address", ["/api/integrations?provider=a", "/admin/login/?next=/admin/"])
def test_a_charset_that_is_no_text_is_refused_and_not_computed_with(db: None, address: str, charset: str) -> None:
    answer = ViewDoor().post(address, b"a=1", {"Content-Type": f"application/x-www-form-urlencoded; charset={charset}"})
    assert (answer.status, b"Send it in UTF-8." in answer.body) == (415, True)


class TestConsole:
    """The same at the console, as a page in words."""

    @pytest.fixture
    def staff(self, db: None) -> Client:
        Hotel.objects.create(name="Miramar", slug="miramar")
        client = Client(raise_request_exception=False)
        client.force_login(User.objects.create_superuser("root"))
        return client

    @pytest.mark.parametrize(
        "address", ["/admin/login/", "/admin/integrations/integration/add/?provider=generic_rest&kind=pos", "/admin/hotels/hotel/add/"]
    )
    @pytest.mark.parametrize(
        ("body", "kind", "status", "said"),
        [
            (LARGE, "application/x-www-form-urlencoded", 413, "2.5 MiB"),
            (LARGE, "multipart/form-data; boundary=x", 413, "2.5 MiB"),
            (b"&".join(b"a%d=1" % n for n in range(5000)), "application/x-www-form-urlencoded", 400, "1,000 fields"),
            (b"not parts", "multipart/form-data", 400, "cannot be understood"),
        ],
    )
    def test_a_form_that_asks_too_much(self, staff: Client, address: str, body: bytes, kind: str, status: int, said: str) -> None:
        answer = staff.generic("POST", address, body, content_type=kind)
        assert (answer.status_code, said in answer.content.decode()) == (status, True)
        assert "Nothing was changed." in answer.content.decode()

    @pytest.mark.parametrize("query", ["&".join(f"a{n}=1" for n in range(5000)), "q=" + "x" * 10_000])
    @pytest.mark.parametrize("address", ["/admin/", "/admin/hotels/guest/", "/admin/integrations/integrationlog/"])
    def test_an_address_that_asks_too_much(self, staff: Client, address: str, query: str) -> None:
        answer = staff.get(f"{address}?{query}")
        assert answer.status_code == 400
        assert "Nothing was changed." in answer.content.decode()

    @pytest.mark.parametrize("typed", ["\x00", "x" * 50_000, "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "[" * 100_000])
    def test_a_field_that_holds_too_much_is_named_on_the_form(self, staff: Client, typed: str) -> None:
        hotel = Hotel.objects.get()
        form = {
            "hotel": hotel.pk,
            "provider_name": typed,
            "config.base_url": typed,
            "config.endpoints": f"a = {typed}",
            "environment": "production",
        }
        answer = staff.post("/admin/integrations/integration/add/?provider=generic_rest&kind=pos", form)
        assert answer.status_code == 200
        assert answer.context["form"].errors
