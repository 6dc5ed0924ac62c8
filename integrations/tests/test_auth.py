"""How a call proves who we are, and how a token is renewed: early, after a 401, and by one worker alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.exceptions import (
    AuthenticationFailed,
    ConfigurationError,
    HospientError,
    ProviderUnavailable,
    ReauthorizationRequired,
)
from integrations.security.egress import Egress
from integrations.simulators.server import SimRequest, SimResponse, Simulator, route, running
from integrations.tests.loopback import listening, plain_answer, wait_until
from integrations.transport.auth import (
    Auth,
    BasicAuth,
    BearerAuth,
    Caller,
    HeaderAuth,
    MemoryTokenStore,
    NoAuth,
    Token,
    TokenAuth,
    check_header,
)
from integrations.transport.client import Client, ErrorRules, Policy
from tests.threads import at_once

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)


class Bank(Simulator):
    """Takes only the newest token; a refresh token works once."""

    slug = "bank"

    def __init__(self, issued: int = 0) -> None:
        super().__init__()
        self.issued = issued
        self.refusals = 0
        self.seen: list[SimRequest] = []
        self.expires_in: int | None = 3600
        self.code = "EXPIRED"

    @route("POST", "/token")
    def token(self, request: SimRequest) -> SimResponse:
        if self.issued and request.form().get("refresh_token") != f"refresh-{self.issued}":
            return SimResponse(status=400, json={"code": "invalid_grant"})
        self.issued += 1
        return SimResponse(
            json={"access_token": f"access-{self.issued}", "refresh_token": f"refresh-{self.issued}", "expires_in": self.expires_in}
        )

    @route("GET", "/menu")
    @route("POST", "/orders")
    def work(self, request: SimRequest) -> SimResponse:
        self.seen.append(request)
        if request.headers.get("authorization") != f"Bearer access-{self.issued}":
            self.refusals += 1
            return SimResponse(status=401, json={"code": self.code})
        return SimResponse(json={"ok": True})


@pytest.fixture
def bank() -> Iterator[Bank]:
    with running(Bank()) as served:
        served.simulator.url = served.url
        yield served.simulator


def obtain(call: Caller, current: Token | None) -> Token:
    answer = call("POST", "/token", form={"refresh_token": current.refresh_token if current else ""}).json()
    seconds = answer["expires_in"]
    return Token(
        access_token=answer["access_token"],
        refresh_token=answer["refresh_token"],
        expires_at=NOW + timedelta(seconds=seconds) if seconds else None,
    )


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def signed(store: MemoryTokenStore, clock: Clock | None = None) -> TokenAuth:
    return TokenAuth(store, obtain, clock=clock or Clock())


def desk(url: str, auth: Auth, **more: Any) -> Client:
    return Client(
        **{
            "provider": "Square",
            "base_url": url,
            "auth": auth,
            "egress": Egress(["127.0.0.0/8"]),
            "policy": Policy(attempts=2),
            "sleep": lambda seconds: None,
            **more,
        }
    )


class TestFixedCredentials:
    @pytest.mark.parametrize(
        ("auth", "line"),
        [
            (NoAuth(), b""),
            (HeaderAuth({"X-API-Key": "k-1"}), b"\r\nX-API-Key: k-1\r\n"),
            (BearerAuth("t-1"), b"\r\nAuthorization: Bearer t-1\r\n"),
            (BasicAuth("hôtel", "pä:ss"), b"\r\nAuthorization: Basic aMO0dGVsOnDDpDpzcw==\r\n"),
        ],
    )
    def test_header_goes_out(self, auth: Auth, line: bytes) -> None:
        with listening(plain_answer()) as server:
            desk(server.url, auth).call("GET", "/", name="ping")
        assert line in server.received[0]

    @pytest.mark.parametrize(
        "value", ["k1\r\nX-Evil: 1", "k1\nb", "k1\rb", "k1\x00", "k1\x1b[31m", " k1", "k1 ", "\tk1", "ключ", "k1\u2028b", "k1\x7f", "\ud800"], ids=ascii
    )  # fmt: skip
    def test_value_that_could_break_a_header_is_refused_unseen(self, value: str) -> None:
        for check in (HeaderAuth, lambda headers: check_header("X-API-Key", headers["X-API-Key"])):
            with pytest.raises(ConfigurationError) as caught:
                check({"X-API-Key": value})
            assert value not in str(caught.value)

    def test_token_a_person_pasted_with_its_line_end_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="cannot be sent"):
            BearerAuth("EAAA-token\n")

    @pytest.mark.parametrize("auth", [HeaderAuth({"X-API-Key": "s3cr3t"}), BearerAuth("s3cr3t"), BasicAuth("hotel", "s3cr3t")])
    def test_secrets_are_known_to_redaction_and_in_no_repr(self, auth: Auth) -> None:
        assert "s3cr3t" in auth.secrets
        assert "s3cr3t" not in repr(auth)

    def test_refused_credentials_are_not_tried_again(self, bank: Bank) -> None:
        with pytest.raises(AuthenticationFailed, match="Square refused the credentials"):
            desk(bank.url, BearerAuth("old")).call("GET", "/menu", name="menus")
        assert len(bank.seen) == 1


class TestToken:
    def test_token_survives_storing(self) -> None:
        token = Token(access_token="a", refresh_token="r", expires_at=NOW, base_url="https://x.example", extra={"merchant_id": "m"})
        assert Token.from_json(token.to_json()) == token
        assert Token.from_json({"access_token": "a"}) == Token(access_token="a")
        assert "s3cr3t" not in repr(Token(access_token="s3cr3t-a", refresh_token="s3cr3t-r", extra={"id": "s3cr3t-e"}))

    def test_first_call_signs_in_and_the_next_does_not(self, bank: Bank) -> None:
        store = MemoryTokenStore()
        client = desk(bank.url, signed(store))
        for _ in range(3):
            assert client.call("GET", "/menu", name="menus").json() == {"ok": True}
        assert bank.issued == 1
        assert bank.refusals == 0
        assert store.load().access_token == "access-1"

    def test_stored_token_is_used(self, bank: Bank) -> None:
        bank.issued = 4
        store = MemoryTokenStore(Token(access_token="access-4", refresh_token="refresh-4"))
        desk(bank.url, signed(store)).call("GET", "/menu", name="menus")
        assert bank.issued == 4

    @pytest.mark.parametrize(("minutes", "renewals"), [(54, 0), (56, 1), (70, 1)])
    def test_token_is_renewed_five_minutes_early(self, bank: Bank, minutes: int, renewals: int) -> None:
        clock = Clock()
        client = desk(bank.url, signed(MemoryTokenStore(), clock))
        client.call("GET", "/menu", name="menus")
        clock.now += timedelta(minutes=minutes)
        client.call("GET", "/menu", name="menus")
        assert bank.issued == 1 + renewals
        assert bank.refusals == 0

    def test_token_shorter_than_the_window_is_not_renewed_at_every_call(self, bank: Bank) -> None:
        bank.expires_in = 120
        clock = Clock()
        client = desk(bank.url, signed(MemoryTokenStore(), clock))
        for _ in range(5):
            client.call("GET", "/menu", name="menus")
            clock.now += timedelta(seconds=10)
        assert bank.issued == 1
        clock.now += timedelta(seconds=20)
        client.call("GET", "/menu", name="menus")
        assert bank.issued == 2

    def test_token_that_is_over_by_the_vendors_clock_is_used_until_it_is_refused(self, bank: Bank) -> None:
        bank.expires_in = -900
        client = desk(bank.url, signed(MemoryTokenStore()))
        for _ in range(3):
            client.call("GET", "/menu", name="menus")
        assert bank.issued == 1

    def test_early_renewal_that_fails_leaves_the_good_token_in_use(self, bank: Bank) -> None:
        clock = Clock()
        client = desk(bank.url, signed(MemoryTokenStore(), clock))
        client.call("GET", "/menu", name="menus")
        bank.fail("status", status=503, match="/token", times=2)
        clock.now += timedelta(minutes=57)
        assert client.call("GET", "/menu", name="menus").json() == {"ok": True}
        clock.now += timedelta(minutes=4)
        with pytest.raises(ProviderUnavailable):
            client.call("GET", "/menu", name="menus")

    @pytest.mark.parametrize(("method", "path"), [("GET", "/menu"), ("POST", "/orders")])
    def test_refused_token_is_renewed_and_the_call_repeated_once(self, bank: Bank, method: str, path: str) -> None:
        bank.issued = 7
        store = MemoryTokenStore(Token(access_token="stolen", refresh_token="refresh-7"))
        assert desk(bank.url, signed(store)).call(method, path, name="x").json() == {"ok": True}
        assert [request.headers["authorization"] for request in bank.seen] == ["Bearer stolen", "Bearer access-8"]

    def test_second_refusal_is_final(self, bank: Bank) -> None:
        bank.fail("status", status=401, match="/menu", times=9)
        with pytest.raises(AuthenticationFailed):
            desk(bank.url, signed(MemoryTokenStore())).call("GET", "/menu", name="menus")
        assert bank.requests.count(("GET", "/menu")) == 2
        assert bank.issued == 2

    def test_withdrawn_access_is_not_renewed(self, bank: Bank) -> None:
        bank.issued, bank.code = 7, "REVOKED"
        rules = ErrorRules(read=lambda answer: (answer.json()["code"], ""), table={(401, "REVOKED"): ReauthorizationRequired})
        store = MemoryTokenStore(Token(access_token="old", refresh_token="refresh-7"))
        with pytest.raises(ReauthorizationRequired):
            desk(bank.url, signed(store), errors=rules).call("GET", "/menu", name="menus")
        assert bank.issued == 7

    def test_refusal_of_a_call_sent_with_the_token_before_renews_nothing(self, bank: Bank) -> None:
        auth = TokenAuth(MemoryTokenStore(Token(access_token="new")), obtain)
        auth.apply({}, None)
        assert auth.renew({"Authorization": "Bearer old"}, None)
        assert bank.requests == []

    def test_token_call_is_logged_without_secrets_and_sends_no_old_token(self, bank: Bank) -> None:
        bank.issued = 1
        log: list[Any] = []
        store = MemoryTokenStore(Token(access_token="stale-access", refresh_token="refresh-1"))
        desk(bank.url, signed(store), log=log.append).call("GET", "/menu", name="menus")
        assert [entry.operation_name for entry in log] == ["menus", "sign_in", "menus"]
        assert "Authorization" not in log[1].request_data["headers"]
        for secret in ("refresh-1", "refresh-2", "access-2", "stale-access"):
            assert secret not in str(log)

    def test_base_url_comes_with_the_token(self, bank: Bank) -> None:
        auth = TokenAuth(MemoryTokenStore(), lambda call, current: Token(access_token="access-0", base_url=bank.url))
        desk("http://127.0.0.1:9/login", auth).call("GET", "/menu", name="menus")
        assert bank.seen[0].path == "/menu"

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n",
            None,
        ],
    )
    def test_a_vendor_that_has_moved_us_is_found_by_signing_in_anew(self, bank: Bank, answer: bytes | None, method: str) -> None:
        with listening(lambda client: client.sendall(answer or b"")) as former:
            stale = Token(access_token="access-0", base_url=former.url if answer else "http://127.0.0.1:9")
            auth = TokenAuth(MemoryTokenStore(stale), lambda call, current: Token(access_token="access-0", base_url=bank.url))
            path = "/menu" if method == "GET" else "/orders"
            assert desk("http://127.0.0.1:9/login", auth).call(method, path, name="x").json() == {"ok": True}
        assert len(bank.seen) == 1

    def test_one_that_is_away_and_has_not_moved_is_asked_to_sign_in_once_a_call(self, bank: Bank) -> None:
        signed_in: list[int] = []

        def obtain_again(call: Caller, current: Token | None) -> Token:
            signed_in.append(1)
            return Token(access_token=f"access-{len(signed_in)}", base_url="http://127.0.0.1:9")

        auth = TokenAuth(MemoryTokenStore(Token(access_token="access-0", base_url="http://127.0.0.1:9")), obtain_again)
        with pytest.raises(ProviderUnavailable):
            desk(bank.url, auth).call("GET", "/menu", name="menus")
        assert len(signed_in) == 1

    def test_sign_in_on_another_host_gets_none_of_the_clients_headers(self, bank: Bank) -> None:
        with listening(plain_answer(b'{"token": "access-0"}')) as door:
            auth = TokenAuth(
                MemoryTokenStore(), lambda call, current: Token(access_token=call("POST", f"{door.url}/token").json()["token"])
            )
            desk(bank.url, auth, headers={"X-App-Key": "k-1"}).call("GET", "/menu", name="menus")
        assert b"k-1" not in door.received[0]
        assert bank.seen[0].headers["x-app-key"] == "k-1"

    def test_token_that_would_break_a_header_is_not_sent(self, bank: Bank) -> None:
        auth = TokenAuth(MemoryTokenStore(Token(access_token="a\r\nX-Evil: 1")), obtain)
        with pytest.raises(HospientError):
            desk(bank.url, auth).call("GET", "/menu", name="menus")
        assert bank.requests == []


class TestTwentyWorkers:
    @pytest.mark.parametrize("expires_at", [None, NOW - timedelta(minutes=1)], ids=["met as a 401", "met on the clock"])
    def test_one_refresh_and_no_failed_call(self, bank: Bank, expires_at: datetime | None) -> None:
        bank.issued = 1
        bank.fail("slow", seconds=0.1, match="/token")
        store = MemoryTokenStore(Token(access_token="expired", refresh_token="refresh-1", expires_at=expires_at))

        def work() -> None:
            client = desk(bank.url, signed(store))  # each worker has its own, and the store in common
            assert client.call("POST", "/orders", name="post").json() == {"ok": True}

        assert at_once(20, work) == []
        assert bank.issued == 2
        assert bank.requests.count(("POST", "/token")) == 1

    def test_look_ahead_and_renewal_do_not_renew_twice(self, bank: Bank) -> None:
        bank.issued = 1
        store = MemoryTokenStore(Token(access_token="access-1", refresh_token="refresh-1"))
        client = desk(bank.url, signed(store))
        numbers = iter(range(1, 4))
        pages = client.pages(
            "GET", "/menu", name="menus", next_request=lambda answer: {"params": {"n": n}} if (n := next(numbers, 0)) else None
        )
        next(pages)
        wait_until(lambda: len(bank.seen) >= 2)
        store._token = obtain(lambda method, path, **more: client.call(method, path, name="x", auth=False, **more), store.load())
        assert len(list(pages)) == 3
        assert bank.issued == 2

    def test_pages_fetched_ahead_after_a_renewal_carry_the_new_token(self, bank: Bank) -> None:
        bank.issued = 1
        log: list[Any] = []
        store = MemoryTokenStore(Token(access_token="access-1", refresh_token="refresh-1"))
        client = desk(bank.url, signed(store), log=log.append)
        numbers = iter(range(1, 20))
        pages = client.pages(
            "GET", "/menu", name="menus", next_request=lambda answer: {"params": {"n": n}} if (n := next(numbers, 0)) else None
        )
        given = [next(pages) for _ in range(6)]
        wait_until(lambda: len(bank.seen) >= 10)
        store._token = obtain(lambda method, path, **more: client.call(method, path, name="x", auth=False, **more), store.load())
        assert len([*given, *pages]) == 20
        assert [entry.http_status for entry in log if entry.status == "failed"] == [401]
