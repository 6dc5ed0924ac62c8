"""How Hospient signs in to Salesforce: by client credentials, by a signed token, by a refresh token, or with a pasted access token.

A token answer has no `expires_in`: the org's session policy decides (2026-11), so a token is used until a 401. It does have the
instance's address, which is where everything else is called.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from integrations.exceptions import (
    AuthenticationFailed,
    ConfigurationError,
    CredentialsMissing,
    ReauthorizationRequired,
    UnexpectedResponse,
)
from integrations.services.salesforce.manifest import Config, Credentials
from integrations.transport.auth import Auth, BearerAuth, Caller, Token, TokenAuth, TokenStore

LIFETIME = timedelta(minutes=3)
"""Of a token we sign: enough for clocks that differ a little."""

NEEDED: Mapping[str, tuple[str, ...]] = {
    "jwt_bearer": ("private_key", "client_id", "username"),
    "refresh_token": ("refresh_token", "client_id"),
    "client_credentials": ("client_secret", "client_id", "base_url"),
    "access_token": ("access_token",),
}
"""What a way needs; the first of it decides for that way. Only an org's own address takes client credentials (2026-11)."""


def auth(config: Config, credentials: Credentials, tokens: TokenStore) -> Auth:
    """Return the way to sign in that these credentials are for. Raises CredentialsMissing."""
    given = {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in (*config, *credentials)}
    way = credentials.sign_in
    if way == "automatic":
        way = next((way for way, (deciding, *_) in NEEDED.items() if given[deciding]), "")
    if not way:
        raise CredentialsMissing(
            "There is nothing to sign in to Salesforce with.",
            hint="Fill in the consumer key with one of: the consumer secret, a username and private key, a refresh token. Or paste an access token.",
        )
    if missing := next((name for name in NEEDED[way] if not given[name]), ""):
        label = (Credentials.model_fields | Config.model_fields)[missing].title
        raise CredentialsMissing(f"To sign in to Salesforce by {way.replace('_', ' ')}, fill in “{label}”.")
    if way == "access_token":
        pasted = BearerAuth(given["access_token"])
        pasted.base_url = (credentials.instance_url or config.base_url).rstrip("/")
        return pasted
    return TokenAuth(tokens, lambda call, current: _obtain(call, FORMS[way](given, current)))


def _obtain(call: Caller, form: Mapping[str, str]) -> Token:
    refreshes = "refresh_token" in form
    try:
        # A refresh token may be good for one use only, and a lost answer held the next one: that call is not repeated by itself.
        body = call("POST", "/services/oauth2/token", name="sign_in", form=form, safe=not refreshes).json()
    except AuthenticationFailed as error:
        if not refreshes:
            raise
        raise ReauthorizationRequired(
            "Salesforce no longer takes the refresh token.",
            provider=error.provider,
            operation=error.operation,
            status=error.status,
            vendor_code=error.vendor_code,
        ) from error
    try:
        refresh_token = body.get("refresh_token") or form.get("refresh_token", "")
        return Token(access_token=body["access_token"], refresh_token=refresh_token, base_url=body["instance_url"])
    except (KeyError, AttributeError) as error:
        raise UnexpectedResponse("Salesforce answered the sign-in without a token or without the instance's address.") from error


def _client_credentials(given: Mapping[str, str], current: Token | None) -> Mapping[str, str]:
    return {"grant_type": "client_credentials", "client_id": given["client_id"], "client_secret": given["client_secret"]}


def _refresh_token(given: Mapping[str, str], current: Token | None) -> Mapping[str, str]:
    newest = (current and current.refresh_token) or given["refresh_token"]
    secret = {"client_secret": given["client_secret"]} if given["client_secret"] else {}
    return {"grant_type": "refresh_token", "client_id": given["client_id"], "refresh_token": newest, **secret}


def _signed_token(given: Mapping[str, str], current: Token | None) -> Mapping[str, str]:
    from joserfc import jwt  # takes a fifth of a second to import
    from joserfc.errors import JoseError
    from joserfc.jwk import RSAKey

    expires_at = int((datetime.now(UTC) + LIFETIME).timestamp())
    claims = {"iss": given["client_id"], "sub": given["username"], "aud": given["jwt_audience"], "exp": expires_at}
    try:
        assertion = jwt.encode({"alg": "RS256"}, claims, RSAKey.import_key(given["private_key"]))
    except (ValueError, TypeError, JoseError) as error:
        hint = "Paste the whole RSA key, from -----BEGIN to END-----, without a passphrase."
        raise ConfigurationError("The private key cannot be read.", hint=hint) from error
    return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}


FORMS: Mapping[str, Callable[[Mapping[str, str], Token | None], Mapping[str, str]]] = {
    "jwt_bearer": _signed_token,
    "refresh_token": _refresh_token,
    "client_credentials": _client_credentials,
}
