"""Who is calling: `Authorization: Bearer hsp_...`."""

import re
from typing import Any

from django.utils import timezone
from knox import auth
from rest_framework.exceptions import AuthenticationFailed

from hotels.models import ApiToken

_TOKEN = re.compile(rb"hsp_[0-9a-f]{64}")


class TokenAuthentication(auth.TokenAuthentication):
    """Knox's bearer token. What cannot be one of ours is refused before it reaches the database."""

    def authenticate_credentials(self, token: bytes) -> tuple[Any, ApiToken]:
        if not _TOKEN.fullmatch(token):
            raise AuthenticationFailed("Invalid token.")
        user, api_token = super().authenticate_credentials(token)
        api_token.note_use()
        return user, api_token

    def _cleanup_token(self, auth_token: ApiToken) -> bool:
        """Say whether the token has expired. Knox's own reads all tokens of the user here, at every request."""
        return auth_token.expiry is not None and auth_token.expiry < timezone.now()
