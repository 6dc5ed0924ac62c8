"""Signs an API account in to Simphony: OpenID Connect's authorization code with PKCE, walked through without a browser.

The token store lets one worker at a time through here, so the account has one live sign-in. Nothing here changes what a hotel has at
Simphony, so every call may be repeated (`safe`); a refused password is never sent twice, because a refusal is not repeated.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from integrations.exceptions import AuthenticationFailed, ReauthorizationRequired, RequestRejected, UnexpectedResponse
from integrations.services.simphony.manifest import Config, Credentials
from integrations.transport.auth import Caller, Token, bearer
from integrations.transport.client import Response

REDIRECT_URI = "apiaccount://callback"
"""Nobody listens there: the code is read from the answer."""
REFUSED_FOR = timedelta(minutes=30)
"""How long a refused password is not sent again, by whichever worker. New credentials end it."""


class SignIn:
    """Obtains tokens for one integration: refreshes while it can, else signs in."""

    def __init__(self, config: Config, credentials: Credentials) -> None:
        self.config = config
        self.credentials = credentials
        self.root = f"{config.oidc_url}/oidc-provider/v1/oauth2"

    def __call__(self, call: Caller, current: Token | None) -> Token:
        if current and current.refresh_token:
            try:
                return self.refresh(call, current)
            except (AuthenticationFailed, RequestRejected):
                pass  # the refresh token has ended or was used by somebody else; the password still counts
        try:
            return self.sign_in(call)
        except ReauthorizationRequired as refusal:
            # Kept where the token would be, so that no other call sends the password again: a few more would lock the account.
            refused = {"refused": refusal.message, "hint": refusal.hint}
            return Token(access_token="", expires_at=datetime.now(UTC) + REFUSED_FOR, extra=refused)

    def header(self, token: Token) -> Mapping[str, str]:
        """Return the header of a call. Raises ReauthorizationRequired while the password stands refused."""
        if "refused" in token.extra:
            raise ReauthorizationRequired(token.extra["refused"], hint=token.extra["hint"], provider="simphony", operation="signin")
        return bearer(token)

    def refresh(self, call: Caller, current: Token) -> Token:
        form = {"grant_type": "refresh_token", "refresh_token": current.refresh_token}
        return self.token(call, form, name="refresh_token", cookies="")

    def sign_in(self, call: Caller) -> Token:
        verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(verifier.encode()).digest()
        started = call(
            "GET",
            f"{self.root}/authorize",
            name="authorize",
            params={
                "response_type": "code",
                "client_id": self.credentials.client_id,
                "scope": "openid",
                "redirect_uri": REDIRECT_URI,
                "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
                "code_challenge_method": "S256",
            },
            expect=(200, 302),
        )
        cookies = cookie_header(started.headers.get("Set-Cookie", ""))
        return self.token(
            call,
            {"grant_type": "authorization_code", "code": self.code(call, cookies), "code_verifier": verifier},
            name="authorization_code",
            cookies=cookies,
        )

    def code(self, call: Caller, cookies: str) -> str:
        """Send the password, once."""
        form = {
            "username": self.credentials.username,
            "password": self.credentials.password.get_secret_value(),
            "orgname": self.config.org_short_name,
        }
        try:
            answer = _fields(call("POST", f"{self.root}/signin", name="signin", form=form, headers={"Cookie": cookies}, safe=True))
        except AuthenticationFailed as error:
            raise ReauthorizationRequired(
                "Simphony refused the API account's name or password.",
                hint="Enter the account's current password. Hospient does not send the refused one again, so as not to lock the account.",
            ) from error
        code = parse_qs(urlsplit(answer.get("redirectUrl") or "").query).get("code")
        if not code:
            raise ReauthorizationRequired(
                f"Simphony took the password but wants something else first: {answer.get('nextOp') or 'it does not say what'}.",
                hint="Sign in to Simphony's portal as the API account: its password may have expired. Then enter the new one here.",
            )
        return code[0]

    def token(self, call: Caller, form: Mapping[str, str], *, name: str, cookies: str) -> Token:
        form = {**form, "client_id": self.credentials.client_id, "scope": "openid", "redirect_uri": REDIRECT_URI}
        answer = _fields(call("POST", f"{self.root}/token", name=name, form=form, headers={"Cookie": cookies}, safe=True))
        if not answer.get("id_token"):
            raise UnexpectedResponse("Simphony's sign-in answered without an id_token.")
        seconds = answer.get("expires_in")
        return Token(
            access_token=answer["id_token"],  # Simphony takes the id_token as bearer, not the access_token
            refresh_token=answer.get("refresh_token", ""),  # a new one each time; stored together with the id_token
            expires_at=datetime.now(UTC) + timedelta(seconds=int(seconds)) if seconds else None,
        )


def _fields(response: Response) -> Mapping[str, Any]:
    answer = response.json()
    return answer if isinstance(answer, Mapping) else {}


def cookie_header(set_cookie: str) -> str:
    """Turn one or several Set-Cookie headers, joined by commas as HTTP libraries do, into a Cookie header."""
    cookies = re.split(r",\s*(?=[^;,=\s]+=)", set_cookie)  # an Expires date has a comma too, but no “=” soon after it
    return "; ".join(cookie.split(";", 1)[0].strip() for cookie in cookies if cookie)
