"""Signs in at Oracle's gateway: client credentials or an integration user's password, whichever the hotel's environment has.

There is no refresh token: a new sign-in replaces the token, through the token store, so that all workers share one.
"""

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from integrations.exceptions import AuthenticationFailed, CredentialsMissing, RequestRejected, UnexpectedResponse
from integrations.services.opera_cloud.manifest import Credentials
from integrations.transport.auth import Caller, Token, TokenAuth, TokenStore

APP_KEY = re.compile(r"[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[89ab][a-f0-9]{3}-[a-f0-9]{12}")
"""The specification's own pattern for x-app-key."""
EARLY_SECONDS = 600
"""Tokens live an hour; Oracle advises a new one about every 50 minutes, and not more often."""
NEEDED = {
    "client_credentials": ("client_id", "client_secret", "enterprise_id"),
    "password": ("client_id", "client_secret", "username", "password"),
}


class GatewayAuth(TokenAuth):
    """Puts on the headers that every call needs, and an id of its own on each attempt: Oracle's support asks for it."""

    def __init__(self, credentials: Credentials, store: TokenStore) -> None:
        fixed = {"x-app-key": credentials.app_key.get_secret_value(), "x-hotelid": credentials.hotel_code}
        super().__init__(
            store,
            SignIn(credentials),
            header=lambda token: {"Authorization": f"Bearer {token.access_token}", **fixed},
            early_seconds=EARLY_SECONDS,
        )

    def apply(self, headers: dict[str, str], caller: Caller) -> None:
        super().apply(headers, caller)
        headers["x-request-id"] = str(uuid4())


class SignIn:
    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials

    def __call__(self, call: Caller, current: Token | None) -> Token:
        self.check()
        try:
            answer = call("POST", "/oauth/v1/tokens", name="sign_in", form=self.form, headers=self.headers, safe=True).json()
        except RequestRejected as error:  # Oracle answers wrong credentials with 400 as well
            facts = ("provider", "operation", "status", "vendor_code", "excerpt", "correlation_id")
            raise AuthenticationFailed(error.message, **{name: getattr(error, name) for name in facts}) from error
        if not isinstance(answer, dict) or not answer.get("access_token"):
            raise UnexpectedResponse("OPERA's gateway answered the sign-in without a token.")
        seconds = int(answer.get("expires_in") or 3600)
        return Token(access_token=answer["access_token"], expires_at=datetime.now(UTC) + timedelta(seconds=seconds))

    def check(self) -> None:
        """Raise CredentialsMissing that names what the chosen sign-in still needs, as the form calls it."""
        given = self.credentials
        missing = [str(type(given).model_fields[name].title) for name in NEEDED[given.sign_in] if not _plain(getattr(given, name))]
        if missing:
            raise CredentialsMissing(
                f"OPERA Cloud cannot be called yet. Missing: {', '.join(missing)}.",
                hint="Copy them from the environment's page in the OHIP developer portal into this integration's credentials, then test the connection.",
            )

    @property
    def form(self) -> Mapping[str, str]:
        if self.credentials.sign_in == "password":
            return {"grant_type": "password", "username": self.credentials.username, "password": _plain(self.credentials.password)}
        return {"grant_type": "client_credentials", "scope": self.credentials.scope}

    @property
    def headers(self) -> Mapping[str, str]:
        pair = f"{self.credentials.client_id}:{_plain(self.credentials.client_secret)}"
        headers = {
            "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
            "x-app-key": _plain(self.credentials.app_key),
            "x-request-id": str(uuid4()),
        }
        if self.credentials.sign_in == "client_credentials":
            headers["enterpriseId"] = self.credentials.enterprise_id
        return headers


def _plain(value: object) -> str:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
