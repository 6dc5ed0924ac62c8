"""How a call proves who we are: one strategy a kind of credential, and tokens that renew themselves.

The transport applies a strategy to each call and, after a 401, asks it once whether a repeat is worth it. Where tokens are kept is
the services' business: they hand in a `TokenStore`.
"""

import base64
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, Self

from django.utils import timezone

from integrations.exceptions import ConfigurationError, RetryableProviderError

if TYPE_CHECKING:
    from integrations.transport.response import Response

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")


def check_header(name: str, value: str) -> None:
    """Raise ConfigurationError if the header could break out of its line, without showing the value."""
    if not _HEADER_NAME.fullmatch(name):
        raise ConfigurationError("The name of a header may hold letters, digits and hyphens alone.")
    if value and not _HEADER_VALUE.fullmatch(value):
        raise ConfigurationError(
            f"The value for {name} cannot be sent: it begins or ends with a blank, or holds a line break, a control character or a letter "
            "outside of ASCII.",
            hint="Copy it from the vendor again, without the line around it.",
        )


class Caller(Protocol):
    """The client a strategy belongs to, without the strategy: guarded, logged and retried like any other call."""

    def __call__(self, method: str, path: str, **more: Any) -> "Response":
        """Take what `Client.call` takes. `path` may be an address on another host; the client's own headers are not sent there."""


class Auth:
    """Base of every strategy."""

    base_url = ""
    """Where calls go, if the sign-in told us; otherwise empty."""
    secrets: tuple[str, ...] = ()
    """Values that must not show in any log."""

    def apply(self, headers: dict[str, str], caller: Caller) -> None:
        """Put on the headers that prove who we are."""
        raise NotImplementedError

    def renew(self, headers: Mapping[str, str], caller: Caller) -> bool:
        """Say, after a 401 to a call sent with `headers`, whether repeating it once is worth it."""
        return False


class NoAuth(Auth):
    """Nothing to prove, or proven in the address or the body."""

    def apply(self, headers: dict[str, str], caller: Caller) -> None:
        pass


class HeaderAuth(Auth):
    """Fixed headers: `HeaderAuth({"X-API-Key": key})`."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            check_header(name, value)
        self._headers = dict(headers)
        self.secrets = tuple(headers.values())

    def apply(self, headers: dict[str, str], caller: Caller) -> None:
        headers.update(self._headers)


class BearerAuth(HeaderAuth):
    """A token that a person pasted; it cannot be renewed."""

    def __init__(self, token: str) -> None:
        super().__init__({"Authorization": f"Bearer {token}"})
        self.secrets = (token,)


class BasicAuth(HeaderAuth):
    """User name and password (RFC 7617, UTF-8)."""

    def __init__(self, username: str, password: str) -> None:
        pair = base64.b64encode(f"{username}:{password}".encode()).decode()
        super().__init__({"Authorization": f"Basic {pair}"})
        self.secrets = (password, pair)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    expires_at: datetime | None = None
    """None: the vendor does not say; the token is used until a 401."""
    base_url: str = ""
    """Learned from the token answer (Salesforce's `instance_url`)."""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        return {
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "expires_at": self.expires_at and self.expires_at.isoformat(),
            "base_url": self.base_url,
            "extra": dict(self.extra),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        expires_at = stored.get("expires_at")
        return cls(
            access_token=stored["access_token"],
            refresh_token=stored.get("refresh_token") or "",
            expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
            base_url=stored.get("base_url") or "",
            extra=stored.get("extra") or {},
        )


class TokenStore(Protocol):
    """Where an integration's token is kept, for all workers."""

    def load(self) -> Token | None:
        """Return the newest token, if there is one."""

    def renew(self, stale: Token | None, obtain: Callable[[Token | None], Token]) -> Token:
        """Replace `stale`, once over all workers.

        If the stored token's `access_token` is not that of `stale`, another worker was faster: return the stored one. Otherwise call
        `obtain` with the stored token (its refresh token may be newer), store the answer before anything else, return it.
        """


class MemoryTokenStore:
    """Keeps the token in this process: for testing a connection that is not saved yet."""

    def __init__(self, token: Token | None = None) -> None:
        self._token = token
        self._lock = threading.Lock()

    def load(self) -> Token | None:
        return self._token

    def renew(self, stale: Token | None, obtain: Callable[[Token | None], Token]) -> Token:
        with self._lock:
            if self._token is None or (stale and self._token.access_token == stale.access_token):
                self._token = obtain(self._token)
            return self._token


def bearer(token: Token) -> dict[str, str]:
    """Return the header that most vendors take a token in."""
    return {"Authorization": f"Bearer {token.access_token}"}


class TokenAuth(Auth):
    """A token that runs out: renewed `early_seconds` before it does, and once after a 401.

    `obtain(call, current)` signs in at the vendor, or refreshes `current`, and returns the new token.
    """

    def __init__(
        self,
        store: TokenStore,
        obtain: Callable[[Caller, Token | None], Token],
        *,
        header: Callable[[Token], Mapping[str, str]] = bearer,
        early_seconds: float = 300,
        clock: Callable[[], datetime] = timezone.now,
    ) -> None:
        self._store = store
        self._obtain = obtain
        self._header = header
        self._early = timedelta(seconds=early_seconds)
        self._clock = clock
        self._token: Token | None = None
        self._renew_at: datetime | None = None

    @property
    def base_url(self) -> str:  # type: ignore[override]
        return self._token.base_url if self._token else ""

    @property
    def secrets(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(filter(None, (self._token.access_token, self._token.refresh_token))) if self._token else ()

    def apply(self, headers: dict[str, str], caller: Caller) -> None:
        token = self._token or self._load()
        if token is None:
            token = self._replace(None, caller)
        elif self._renew_at and self._renew_at <= self._clock():
            token = self._replace_early(token, caller)
        headers.update(self._checked_header(token))

    def renew(self, headers: Mapping[str, str], caller: Caller) -> bool:
        token = self._token
        # A call that was under way while another one renewed: its 401 speaks of the token before.
        if token and all(headers.get(name) == value for name, value in self._header(token).items()):
            self._replace(token, caller)
        return True

    def _load(self) -> Token | None:
        self._token = self._store.load()
        if self._token and self._token.expires_at:
            self._renew_at = self._token.expires_at - self._early
        return self._token

    def _replace(self, stale: Token | None, caller: Caller) -> Token:
        token = self._token = self._store.renew(stale, lambda current: self._obtain(caller, current))
        left = token.expires_at - self._clock() if token.expires_at else timedelta()
        # A token that lives shorter than `early_seconds`, or by the vendor's clock is over already, is not renewed before every call.
        self._renew_at = token.expires_at - min(self._early, left / 2) if left > timedelta() else None
        return token

    def _replace_early(self, token: Token, caller: Caller) -> Token:
        try:
            return self._replace(token, caller)
        except RetryableProviderError:
            if token.expires_at and token.expires_at <= self._clock():
                raise
            return token  # still good; the next call tries again

    def _checked_header(self, token: Token) -> Mapping[str, str]:
        header = self._header(token)
        for name, value in header.items():
            check_header(name, value)
        return header
