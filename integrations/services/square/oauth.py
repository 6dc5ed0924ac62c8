"""How calls to Square are authenticated: a personal access token as it is, or an OAuth token that renews itself."""

from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel

from integrations.exceptions import AuthenticationFailed, ReauthorizationRequired, RequestRejected
from integrations.services.square import answers
from integrations.services.square.manifest import SquareConfig, SquareCredentials, manifest
from integrations.transport.auth import Auth, BearerAuth, Caller, Token, TokenAuth, TokenStore

KEEP_FOR = timedelta(days=8)
RENEW_EARLY = timedelta(days=1)
"""A token lives 30 days; Square advises to renew it every 7 and to own none older than 8 (docs, "Refresh, revoke", 2026-03)."""


class TokenAnswer(BaseModel):
    access_token: str
    refresh_token: str = ""
    expires_at: AwareDatetime
    merchant_id: str = ""


def make_auth(config: SquareConfig, credentials: SquareCredentials, tokens: TokenStore) -> Auth:
    """Return the strategy the credentials allow."""
    first_refresh_token = credentials.refresh_token.get_secret_value()
    secret = credentials.application_secret.get_secret_value()
    if not (first_refresh_token and credentials.application_id):
        return BearerAuth(credentials.access_token.get_secret_value())

    def obtain(call: Caller, current: Token | None) -> Token:
        refresh_token = (current.refresh_token if current else "") or first_refresh_token
        body = {"client_id": credentials.application_id, "grant_type": "refresh_token", "refresh_token": refresh_token}
        if secret:
            body["client_secret"] = secret
        try:
            # Without the secret (PKCE) a refresh token works once: repeated, it would be refused.
            headers = {"Square-Version": config.square_version}
            response = call("POST", "/oauth2/token", name="renew_token", json=body, headers=headers, safe=bool(secret))
        except (AuthenticationFailed, RequestRejected) as refusal:
            raise ReauthorizationRequired(provider=manifest.name, operation="renew_token", status=refusal.status) from refusal
        answer = answers.read(response, TokenAnswer)
        return Token(
            access_token=answer.access_token,
            refresh_token=answer.refresh_token or refresh_token,
            expires_at=min(answer.expires_at, datetime.now(UTC) + KEEP_FOR),
            extra={"merchant_id": answer.merchant_id},
        )

    return TokenAuth(tokens, obtain, early_seconds=RENEW_EARLY.total_seconds())
