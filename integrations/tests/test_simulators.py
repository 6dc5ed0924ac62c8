"""A simulator answers whatever is sent to it, and what it does wrong itself is seen by whoever runs it."""

import importlib
import json
import re
import socket
from types import ModuleType
from typing import Any

import pytest
import requests
from django.conf import settings

from integrations.simulators.catalogue import simulated_vendors
from integrations.simulators.server import RunningSimulator, SimRequest, SimResponse, Simulator, route, running
from integrations.tests.wrong import ask


class Till(Simulator):
    slug = "till"

    @route("POST", "/bills")
    def create_bill(self, request: SimRequest) -> SimResponse:
        return SimResponse(json={"total": request.json()["total"]})

    @route("GET", "/bills")
    def list_bills(self, request: SimRequest) -> SimResponse:
        raise ZeroDivisionError("the till is empty")

    @route("POST", "/forms")
    def take_form(self, request: SimRequest) -> SimResponse:
        return SimResponse(json=request.form())

    def control(self, name: str, body: Any) -> Any:
        match name:
            case "price":
                return {}[body["item"]]
            case _:
                raise KeyError(name)


def say(served: RunningSimulator, text: bytes) -> bytes:
    """Send `text` as it is, nothing more, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as line:
        line.sendall(text)
        line.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: line.recv(65536), b""))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_exception_of_a_simulator_is_500_with_its_traceback_and_fails_the_test(method, capsys) -> None:
    with pytest.raises(ExceptionGroup, match="Till broke") as caught, running(Till()) as served:  # noqa: PT012
        answer = requests.request(method, f"{served.url}/bills", json={})
        assert answer.status_code == 500
        assert "Traceback" in answer.text
        assert f"in {'list_bills' if method == 'GET' else 'create_bill'}" in answer.text
    assert [type(bug) for bug in caught.value.exceptions] == [ZeroDivisionError if method == "GET" else KeyError]
    assert "Traceback" in capsys.readouterr().err


def test_exception_in_a_control_is_no_unknown_control() -> None:
    with pytest.raises(ExceptionGroup, match="Till broke"), running(Till()) as served:  # noqa: PT012
        assert requests.post(f"{served.url}/_simulator/unheard-of", json={}).status_code == 404
        assert served.simulator.bugs == []
        assert requests.post(f"{served.url}/_simulator/price", json={"item": "tea"}).status_code == 500


POST = b"POST /bills HTTP/1.1\r\nHost: till\r\n"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (POST + b"Content-Length: 9\r\n\r\nnot JSON!", 400),
        (POST + b"Content-Length: 2\r\n\r\n\xff\xfe", 400),
        (POST + b"Content-Length: 13\r\n\r\n" + b'{"total":NaN}', 400),
        (POST + b"Content-Length: 9\r\n\r\n" + b'{"total":', 400),
        (POST + b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000, 400),
        (POST + b"Content-Length: 5000\r\n\r\n" + b"9" * 5000, 400),
        (POST + b"Content-Length: many\r\n\r\n{}", 400),
        (POST + b"Content-Length: -1\r\n\r\n{}", 400),
        (POST + b"Content-Length: 99\r\n\r\n{}", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}", 400),
        (POST.replace(b"/bills", b"/forms") + b"Content-Length: 3\r\n\r\na=\xff", 400),
        (POST.replace(b"/bills", b"http://[/bills") + b"Content-Length: 2\r\n\r\n{}", 400),
        (POST.replace(b"POST", b"DELETE") + b"\r\n", 405),
        (POST.replace(b"POST", b"OPTIONS") + b"\r\n", 405),
        (POST.replace(b"POST", b"PURGE") + b"\r\n", 405),
        (POST.replace(b"/bills", b"/unheard-of") + b"\r\n", 404),
        (b"GET /bills HTTP/9.9\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"what is this\r\n\r\n", 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET /bills HTTP/1.1\r\n" + b"X: 1\r\n" * 200 + b"\r\n", 400),
    ],
)
def test_whatever_is_sent_is_answered_in_the_vendors_own_form(text: bytes, status: int) -> None:
    with running(Till()) as served:
        head, _, body = say(served, text).partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        assert body.startswith(b'{"error": ')
        assert requests.post(f"{served.url}/bills", json={"total": 1}).json() == {"total": 1}


def test_refused_body_leaves_the_connection_for_the_next_request() -> None:
    good = b'POST /bills HTTP/1.1\r\nContent-Length: 11\r\n\r\n{"total":7}'
    with running(Till()) as served:
        answer = say(served, POST + b"Content-Length: 9\r\n\r\nnot JSON!" + good)
    assert answer.count(b"HTTP/1.1 ") == 2
    assert answer.endswith(b'{"total": 7}')


def test_wrong_method_is_told_the_right_ones() -> None:
    with running(Till()) as served:
        assert requests.put(f"{served.url}/bills").headers["Allow"] == "GET, POST"


# --- every vendor's ------------------------------------------------------------------------------------------------------------

SLUGS = [vendor.slug for vendor in simulated_vendors()]
HOSTILE = [
    b"", b"{", b"\xff\xfe", b"[" * 20_000, b"null", b"true", b"0", b"1e400", b'""', b"[]", b"[[]]", b"{}", b'{"a":{"b":[null]}}', b"a=b&c", b"=&%ff",
    *(json.dumps({"order": odd, "header": odd, "criteria": odd, "reservation": odd, "records": odd, "subscription": odd, "items": odd}).encode()
      for odd in (None, 7, "x", [], [None], {}, {"id": None}, {"line_items": [None]}, [{"attributes": 5}])),
]  # fmt: skip


def wrong_requests_of(slug: str) -> ModuleType:
    """Return a vendor's own table of wrong requests, with what signs in to its simulator."""
    return importlib.import_module(f"integrations.services.{slug}.test_simulator")


@pytest.mark.parametrize("slug", SLUGS)
def test_no_route_breaks_whatever_it_is_sent(slug: str) -> None:
    table = wrong_requests_of(slug)
    simulator = table.signed_in()
    for method, expression, name in simulator.table:
        place = re.sub(r"\(\?P<\w+>\[\^/\]\+\)", "x", expression.pattern.strip("^$")).replace("\\", "")
        for kind, query in (("application/json", ""), ("application/x-www-form-urlencoded", "?limit=x&q='&page=-1&cursor=&a=%00")):
            for body in HOSTILE:
                answer = ask(simulator, method, place + query, body, {**table.RIGHT, "content-type": kind})
                assert answer.status < 500 or answer.status == 501, (method, place, body[:60], name)


@pytest.mark.parametrize("slug", SLUGS)
def test_mistake_in_any_vendors_simulator_is_500_and_fails_the_test(slug: str, monkeypatch, capsys) -> None:
    simulator = wrong_requests_of(slug).signed_in()
    method, expression, _ = next(entry for entry in simulator.table if "(?P" not in entry[1].pattern)
    monkeypatch.setattr(type(simulator), "authenticate", lambda *_: {}["a mistake"])
    with pytest.raises(ExceptionGroup, match="broke"), running(simulator) as served:  # noqa: PT012
        answer = requests.request(method, served.url + expression.pattern.strip("^$"))
        assert (answer.status_code, "Traceback" in answer.text) == (500, True)
    assert "a mistake" in capsys.readouterr().err


def count(slug: str) -> int:
    return sum(len(requests) for name, requests in vars(wrong_requests_of(slug)).items() if name.startswith("WRONG"))


def test_page_says_how_many_wrong_requests_each_simulator_is_held_to() -> None:
    page = (settings.BASE_DIR / "docs" / "simulators.md").read_text()
    told = {slug: int(number) for slug, number in re.findall(r"^\| [^|]+ \| `(\w+)` \| (\d+) \|", page, re.MULTILINE)}
    assert told == {slug: count(slug) for slug in SLUGS}
    assert min(told.values()) >= 20
    assert sum(told.values()) >= 300
