"""Signing in, for console and API alike: who is asking, and how often they may guess.

Five failures for an account and twenty from an address in fifteen minutes; each attempt is counted before the password is looked at,
so that a race gains nothing. An account that is not there counts like one that is. Where the owner has signed in from before, the
account has failures of its own: a stranger who guesses locks out strangers, not the owner.
"""

import hashlib
import ipaddress
import math
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.http import HttpRequest

WINDOW_SECONDS = 15 * 60
FAILURES_PER_ACCOUNT = 5
FAILURES_PER_ADDRESS = 20
KNOWN_SECONDS = 90 * 24 * 3600
"""How long an address counts as the owner's after they signed in from it."""


def client_address(request: HttpRequest) -> str:
    """Return who is asking."""
    return address_behind_proxies(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""))


def address_behind_proxies(peer: str, forwarded_for: str) -> str:
    """Return a client's address: the socket's, or what the outermost of exactly TRUSTED_PROXIES proxies wrote.

    Each proxy appends the address it saw, so a client can only forge entries to the left of the ones that count.
    """
    if settings.TRUSTED_PROXIES:
        hops = forwarded_for.split(",")
        if len(hops) >= settings.TRUSTED_PROXIES and _is_address(hops[-settings.TRUSTED_PROXIES].strip()):
            return hops[-settings.TRUSTED_PROXIES].strip()
    return peer


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def household(address: str) -> str:
    """Return what one client can be anywhere in: an IPv4 address, or the /64 that an IPv6 client owns whole."""
    return str(ipaddress.ip_network((address, 64), strict=False)) if ":" in address and _is_address(address) else address


class TooManyAttempts(ValidationError):
    """Guessing has to wait. Django's login form shows it as it is."""

    def __init__(self, wait_seconds: int) -> None:
        self.wait_seconds = wait_seconds
        minutes = math.ceil(wait_seconds / 60)
        super().__init__(f"Too many failed sign-ins. Wait {minutes} min, then try again.", code="throttled")


@dataclass(frozen=True, slots=True)
class Failures:
    """How many failures are left in the window that the first of them opened."""

    key: str
    limit: int

    def take(self) -> None:
        """Count an attempt. Raises TooManyAttempts."""
        if cache.add(self.key, 0, WINDOW_SECONDS):
            cache.set(f"{self.key}:until", time.time() + WINDOW_SECONDS, WINDOW_SECONDS)
        try:
            count = cache.incr(self.key)
        except ValueError:  # the window closed between the two lines
            return
        if count > self.limit:
            until = cache.get(f"{self.key}:until", 0)
            raise TooManyAttempts(max(1, math.ceil(until - time.time())))

    def give_back(self) -> None:
        """The attempt was no failure after all."""
        with suppress(ValueError):  # the window closed meanwhile
            cache.decr(self.key)

    def forget(self) -> None:
        cache.delete(self.key)


class GuardedBackend(ModelBackend):
    """Django's own check of name and password, behind the two limits."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> AbstractBaseUser | None:
        if request is None or username is None or password is None:  # a program's own call: nobody is guessing
            return super().authenticate(request, username, password, **kwargs)
        address = household(client_address(request))
        account = f"login:{hashlib.sha256(username.casefold().encode()).hexdigest()}"
        seen = f"{account}:{address}"
        by_address = Failures(f"login:from:{address}", FAILURES_PER_ADDRESS)
        by_account = Failures(f"{seen}:failures" if cache.get(seen) else f"{account}:failures", FAILURES_PER_ACCOUNT)
        by_address.take()
        try:
            by_account.take()
        except TooManyAttempts:
            by_address.give_back()
            raise
        user = super().authenticate(request, username, password, **kwargs)
        if user is not None:
            by_address.give_back()
            by_account.forget()
            cache.set(seen, True, KNOWN_SECONDS)
        return user
