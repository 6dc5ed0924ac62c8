"""Signing in and tokens: what opens the API, what does not, and how often one may guess."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import check_password
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from hotels import login
from hotels.models import ApiToken
from tests.threads import at_once

PASSWORD = "a long enough password"


@pytest.fixture(autouse=True)
def _no_failures_yet(db: None) -> None:
    cache.clear()


@pytest.fixture
def owner(db: None) -> Any:
    return get_user_model().objects.create_user("eva", password=PASSWORD)


def sign_in(client: Client, password: str = PASSWORD, username: str = "eva", address: str = "192.0.2.1", **headers: str) -> Any:
    body = {"username": username, "password": password}
    return client.post("/api/auth/token", body, content_type="application/json", REMOTE_ADDR=address, headers=headers)


class TestTokens:
    def test_a_token_is_shown_once_and_stored_as_a_digest(self, client: Client, owner: Any) -> None:
        answer = sign_in(client)
        assert answer.status_code == 201
        token = answer.json()["token"]
        assert token.startswith("hsp_")
        assert len(token) == 4 + 64  # 256 bits
        assert answer.headers["Cache-Control"] == "no-store"
        row = ApiToken.objects.get()
        assert token not in {str(value) for value in vars(row).values()}
        assert row.expiry > timezone.now() + timedelta(days=1)

    def test_a_token_opens_the_api_until_it_is_revoked(self, client: Client, owner: Any) -> None:
        bearer = {"Authorization": f"Bearer {sign_in(client).json()['token']}"}
        assert client.get("/api/hotels", headers=bearer).status_code == 200
        assert client.post("/api/auth/logout", headers=bearer).status_code == 204
        refused = client.get("/api/hotels", headers=bearer)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"

    def test_an_expired_token_opens_nothing(self, client: Client, owner: Any) -> None:
        _, token = ApiToken.objects.create(owner, expiry=timedelta(seconds=-1))
        assert client.get("/api/hotels", headers={"Authorization": f"Bearer {token}"}).status_code == 401

    def test_a_token_of_somebody_who_was_switched_off_opens_nothing(self, client: Client, owner: Any) -> None:
        _, token = ApiToken.objects.create(owner)
        get_user_model().objects.update(is_active=False)
        assert client.get("/api/hotels", headers={"Authorization": f"Bearer {token}"}).status_code == 401

    @pytest.mark.parametrize(
        "token", ["", "x", "hsp_" + "0" * 64, "hsp_" + "g" * 64, "hsp_\x00", "\xff\xfe", "hsp_" + "0" * 100_000, "a b"]
    )
    def test_what_is_no_token_is_refused(self, client: Client, owner: Any, token: str) -> None:
        answer = client.get("/api/hotels", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401

    def test_the_last_use_is_written_down_once_a_minute(self, client: Client, owner: Any) -> None:
        row, token = ApiToken.objects.create(owner)
        bearer = {"Authorization": f"Bearer {token}"}
        client.get("/api/hotels", headers=bearer)
        row.refresh_from_db()
        first = row.last_used_at
        assert first is not None
        client.get("/api/hotels", headers=bearer)
        row.refresh_from_db()
        assert row.last_used_at == first

    def test_signing_in_often_makes_no_request_dearer(self, client: Client, owner: Any, django_assert_num_queries: Any) -> None:
        for _ in range(10):
            ApiToken.objects.create(owner, expiry=timedelta(seconds=-1))
            _, token = ApiToken.objects.create(owner)
        bearer = {"Authorization": f"Bearer {token}"}
        client.get("/api/hotels", headers=bearer)
        with django_assert_num_queries(2):  # the token with its user, and the hotels
            client.get("/api/hotels", headers=bearer)
        sign_in(client)
        assert ApiToken.objects.count() == 11

    def test_a_session_of_the_console_does_not_open_the_api(self, client: Client, owner: Any) -> None:
        client.force_login(owner)
        assert client.get("/api/hotels").status_code == 401


class TestGuessing:
    def test_an_account_that_is_not_there_looks_like_a_wrong_password(self, client: Client, owner: Any) -> None:
        headers = {"X-Request-Id": "the-same-request"}
        wrong, absent = (sign_in(client, "wrong", username, **headers) for username in ("eva", "nobody"))
        assert (wrong.status_code, wrong.content) == (absent.status_code, absent.content)
        assert wrong.status_code == 401

    def test_an_account_that_is_not_there_costs_as_much_as_a_wrong_password(
        self, client: Client, owner: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hashed: list[str] = []
        hasher = "django.contrib.auth.hashers.MD5PasswordHasher.encode"
        monkeypatch.setattr(hasher, lambda self, password, salt: hashed.append(password) or f"md5${salt}$x")
        sign_in(client, "wrong", "nobody")
        assert hashed == ["wrong"]

    @pytest.mark.parametrize("username", ["eva", "nobody"])
    def test_the_sixth_failure_in_fifteen_minutes_is_not_looked_at(self, client: Client, owner: Any, username: str) -> None:
        assert [sign_in(client, "wrong", username).status_code for _ in range(5)] == [401] * 5
        refused = sign_in(client, PASSWORD, username)  # right, but nobody looks
        assert refused.status_code == 429
        assert 0 < int(refused.headers["Retry-After"]) <= login.WINDOW_SECONDS
        assert "Wait 15 min" in refused.json()["errors"][0]["detail"]

    def test_the_owner_is_in_again_after_the_window(self, client: Client, owner: Any, time_machine: Any) -> None:
        time_machine.move_to(timezone.now())
        for _ in range(8):
            sign_in(client, "wrong")
        time_machine.shift(timedelta(seconds=login.WINDOW_SECONDS - 60))
        assert sign_in(client).status_code == 429  # asking again did not move the window, nor did it open
        time_machine.shift(timedelta(seconds=62))
        assert sign_in(client).status_code == 201

    def test_a_stranger_who_guesses_does_not_lock_the_owner_out(self, client: Client, owner: Any) -> None:
        assert sign_in(client, address="192.0.2.1").status_code == 201
        for _ in range(6):
            sign_in(client, "wrong", address="198.51.100.9")
        assert sign_in(client, address="198.51.100.9").status_code == 429
        assert sign_in(client, address="192.0.2.1").status_code == 201

    def test_where_the_owner_signs_in_one_may_guess_no_more_than_elsewhere(self, client: Client, owner: Any) -> None:
        sign_in(client)
        assert [sign_in(client, "wrong").status_code for _ in range(6)] == [401] * 5 + [429]

    def test_an_address_may_fail_twenty_times_over_all_accounts(self, client: Client, owner: Any) -> None:
        assert {sign_in(client, "wrong", f"user{n}").status_code for n in range(20)} == {401}
        assert sign_in(client, username="another").status_code == 429
        assert sign_in(client, address="198.51.100.9").status_code == 201

    def test_signing_in_rightly_is_no_failure(self, client: Client, owner: Any) -> None:
        assert {sign_in(client).status_code for _ in range(25)} == {201}

    def test_a_header_does_not_change_the_address(self, client: Client, owner: Any) -> None:
        codes = [sign_in(client, "wrong", f"user{n}", **{"X-Forwarded-For": f"203.0.113.{n}"}).status_code for n in range(21)]
        assert codes == [401] * 20 + [429]

    def test_behind_a_proxy_only_what_the_proxy_wrote_counts(self, client: Client, owner: Any, settings: Any) -> None:
        settings.TRUSTED_PROXIES = 1
        forged = [
            sign_in(client, "wrong", f"user{n}", **{"X-Forwarded-For": f"203.0.113.{n}, 198.51.100.7"}).status_code for n in range(21)
        ]
        assert forged == [401] * 20 + [429]
        assert sign_in(client, **{"X-Forwarded-For": "198.51.100.8"}).status_code == 201

    def test_ports_that_a_proxy_writes_are_no_other_clients(self, client: Client, owner: Any, settings: Any) -> None:
        settings.TRUSTED_PROXIES = 1
        codes = [sign_in(client, "wrong", f"user{n}", **{"X-Forwarded-For": f"203.0.113.7:{50_000 + n}"}).status_code for n in range(21)]
        assert codes == [401] * 20 + [429]
        assert sign_in(client, **{"X-Forwarded-For": "203.0.113.8:51234"}).status_code == 201

    def test_an_ipv6_client_cannot_hop_through_its_network(self, client: Client, owner: Any) -> None:
        codes = [sign_in(client, "wrong", f"user{n}", address=f"2001:db8::{n:x}").status_code for n in range(21)]
        assert codes == [401] * 20 + [429]

    def test_the_consoles_form_has_the_same_limit_and_says_so(self, client: Client, owner: Any) -> None:
        for _ in range(5):
            sign_in(client, "wrong")
        page = client.post("/admin/login/", {"username": "eva", "password": PASSWORD}, REMOTE_ADDR="192.0.2.1")
        assert "Too many failed sign-ins" in page.content.decode()
        assert "_auth_user_id" not in client.session

    @pytest.mark.parametrize(
        "body", [{}, [], "x", {"username": "eva"}, {"username": "e\x00va", "password": "x"}, {"username": 1, "password": {}}]
    )
    def test_what_is_no_request_for_a_token_is_refused(self, client: Client, body: Any) -> None:
        answer = client.post("/api/auth/token", body, content_type="application/json")
        assert answer.status_code == 400


class TestConsole:
    @pytest.fixture
    def tokens(self, owner: Any) -> tuple[ApiToken, ApiToken]:
        get_user_model().objects.filter(pk=owner.pk).update(is_staff=True)
        other = get_user_model().objects.create_user("max")
        return ApiToken.objects.create(owner, name="own till")[0], ApiToken.objects.create(other, name="foreign till")[0]

    def test_a_user_sees_and_revokes_their_own_tokens(self, client: Client, owner: Any, tokens: tuple[ApiToken, ApiToken]) -> None:
        client.force_login(owner)
        page = client.get("/admin/hotels/apitoken/").content.decode()
        assert "own till" in page
        assert "foreign till" not in page
        own, foreign = tokens
        client.post(f"/admin/hotels/apitoken/{foreign.pk}/delete/", {"post": "yes"})
        client.post(f"/admin/hotels/apitoken/{own.pk}/delete/", {"post": "yes"})
        assert [token.name for token in ApiToken.objects.all()] == ["foreign till"]

    def test_no_token_is_made_in_a_page(self, client: Client, owner: Any, tokens: tuple[ApiToken, ApiToken]) -> None:
        client.force_login(owner)
        assert client.get("/admin/hotels/apitoken/add/").status_code == 403

    def test_a_superuser_sees_all(self, client: Client, tokens: tuple[ApiToken, ApiToken]) -> None:
        client.force_login(get_user_model().objects.create_superuser("root"))
        assert "foreign till" in client.get("/admin/hotels/apitoken/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_twenty_guesses_at_once_look_at_five_passwords(owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bool] = []
    monkeypatch.setattr(
        "django.contrib.auth.base_user.check_password", lambda *args, **kw: looked.append(True) or check_password(*args, **kw)
    )
    codes: list[int] = []
    assert at_once(20, lambda: codes.append(sign_in(Client(), "wrong").status_code)) == []
    assert sorted(codes) == [401] * 5 + [429] * 15
    assert len(looked) == 5
