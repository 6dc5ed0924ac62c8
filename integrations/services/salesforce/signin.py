"""How Hospient signs in to Salesforce: by client credentials, by a signed token, by a refresh token, or with a pasted access token.

A token answer has no `expires_in`: the org's session policy decides (2026-11), so a token is used until a 401. It does have the
instance's address, which is where everything else is called.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from integrations.exceptions import (
    AuthenticationFailed,
    ConfigurationError,
    CredentialsMissing,
    ReauthorizationRequired,
    UnexpectedResponse,
)
from integrations.services.salesforce.manifest import Config, Credentials
from integrations.transport.auth import Auth, BearerAuth, Caller, Token, TokenAuth, TokenStore

PATH = "/services/oauth2/token"
LIFETIME = timedelta(minutes=3)
"""Of a token we sign: enough for clocks that differ a little."""

Form = Mapping[str, str]


def auth(config: Config, credentials: Credentials, tokens: TokenStore) -> Auth:
    """Return the way to sign in that these credentials are for. Raises CredentialsMissing."""
    way = next((name for name in NEEDED_WITH if getattr(credentials, name).get_secret_value()), "")
    if not way:
        raise CredentialsMissing(
            "There is nothing to sign in to Salesforce with.",
            hint="Fill in the consumer key with one of: the consumer secret, a username and private key, a refresh token. Or paste an access token.",
        )
    label = {name: field.title for name, field in (Credentials.model_fields | Config.model_fields).items()}
    given = {**dict(credentials), **dict(config)}
    if missing := [label[name] for name in NEEDED_WITH[way] if not given[name]]:
        raise CredentialsMissing(f"Signing in to Salesforce with “{label[way]}” also needs “{missing[0]}”.")
    if way == "access_token":
        pasted = BearerAuth(credentials.access_token.get_secret_value())
        pasted.base_url = (credentials.instance_url or config.base_url).rstrip("/")
        return pasted

    def obtain(call: Caller, current: Token | None) -> Token:
        form = FORMS[way](config, credentials, current)
        try:
            # A refresh token may be good for one use only, and the lost answer had the next one.
            body = call("POST", PATH, name="sign_in", form=form, safe=way != "refresh_token").json()
        except AuthenticationFailed as error:
            if way != "refresh_token":
                raise
            raise ReauthorizationRequired(
                "Salesforce no longer takes the refresh token.", status=error.status, vendor_code=error.vendor_code
            ) from error
        try:
            refresh_token = body.get("refresh_token") or form.get("refresh_token", "")
            return Token(access_token=body["access_token"], refresh_token=refresh_token, base_url=body["instance_url"])
        except (KeyError, TypeError, AttributeError) as error:
            raise UnexpectedResponse("Salesforce's sign-in answered without a token or without the instance's address.") from error

    return TokenAuth(tokens, obtain)


def _client_credentials(config: Config, credentials: Credentials, current: Token | None) -> Form:
    return {
        "grant_type": "client_credentials",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret.get_secret_value(),
    }


def _refresh(config: Config, credentials: Credentials, current: Token | None) -> Form:
    newest = current.refresh_token if current else ""
    secret = credentials.client_secret.get_secret_value()
    return {
        "grant_type": "refresh_token",
        "client_id": credentials.client_id,
        "refresh_token": newest or credentials.refresh_token.get_secret_value(),
        **({"client_secret": secret} if secret else {}),
    }


def _signed_token(config: Config, credentials: Credentials, current: Token | None) -> Form:
    from joserfc import jwt  # takes a fifth of a second to import
    from joserfc.errors import JoseError
    from joserfc.jwk import RSAKey

    claims = {
        "iss": credentials.client_id,
        "sub": credentials.username,
        "aud": config.jwt_audience,
        "exp": int((datetime.now(UTC) + LIFETIME).timestamp()),
    }
    try:
        assertion = jwt.encode({"alg": "RS256"}, claims, RSAKey.import_key(credentials.private_key.get_secret_value()))
    except (ValueError, TypeError, JoseError) as error:
        raise ConfigurationError(
            "The private key cannot be read.", hint="Paste the whole RSA key, from -----BEGIN to END-----, without a passphrase."
        ) from error
    return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}


FORMS: Mapping[str, Callable[[Config, Credentials, Token | None], Form]] = {
    "private_key": _signed_token,
    "refresh_token": _refresh,
    "client_secret": _client_credentials,
}
NEEDED_WITH: Mapping[str, tuple[str, ...]] = {
    "private_key": ("client_id", "username"),
    "refresh_token": ("client_id",),
    "client_secret": ("client_id", "base_url"),
    "access_token": (),
}
"""The credential that decides, the first that is given -> what is needed beside it. Client credentials work at the My Domain address only."""
