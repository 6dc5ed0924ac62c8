"""Whose address a request comes from. Sign-in, metrics and both doors for webhooks ask here, and so does whoever counts connections."""

import ipaddress
import re

from django.conf import settings
from django.http import HttpRequest

UNKNOWN = ""
"""The address of a client behind a proxy that wrote nothing we can read: of nobody, and never the proxy's own."""

_WITH_PORT = re.compile(r"(\d+\.\d+\.\d+\.\d+)(?::\d*)?|\[([^\]]*)\](?::\d*)?", re.ASCII)


def client_address(request: HttpRequest) -> str:
    """Return who is asking."""
    return address_behind_proxies(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""))


def address_behind_proxies(peer: str, forwarded_for: str) -> str:
    """Return a client's address: the socket's, or what the outermost of exactly TRUSTED_PROXIES proxies wrote; UNKNOWN if that is unreadable.

    Each proxy appends the address it saw, so a client can only forge entries to the left of the ones that count.
    """
    if not settings.TRUSTED_PROXIES:
        return plain(peer)
    hops = forwarded_for.split(",")
    return plain(hops[-settings.TRUSTED_PROXIES]) if len(hops) >= settings.TRUSTED_PROXIES else UNKNOWN


def plain(text: str) -> str:
    """Return an address as it is compared and counted: without port, brackets and zone, IPv4 as such; UNKNOWN if it is none."""
    text = text.strip(" \t")
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or ipaddress.IPv6Address(address.packed)  # without its zone
    return str(address)


def household(address: str) -> str:
    """Return what one client can be anywhere in: an IPv4 address, or the /64 that an IPv6 client owns whole."""
    address = plain(address)
    return str(ipaddress.ip_network((address, 64), strict=False)) if ":" in address else address
