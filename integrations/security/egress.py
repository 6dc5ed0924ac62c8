"""Which addresses Hospient may call: public https ones, and what the operator lists in `EGRESS_ALLOW`.

A form is judged by how its address is written, without asking the network; a connection by what its name resolves to, every time one is
opened. The table of addresses is our own: Python's `is_global` holds several inner ones for public.
"""

import ipaddress
import logging
import queue
import re
import socket
import ssl
import threading
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import Self

import certifi
import idna
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from integrations.exceptions import EgressBlocked

logger = logging.getLogger(__name__)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

HTTPS_PORTS = frozenset({443, 8443})
MAX_URL = 2048

# Where clouds hand out credentials to whoever asks from inside. No setting opens these.
METADATA = tuple(
    map(
        ipaddress.ip_network,
        (
            "169.254.0.0/16",  # link-local: AWS, Azure, Google, Oracle, DigitalOcean, Tencent; ECS and EKS credentials
            "100.100.100.200/32",  # Alibaba
            "168.63.129.16/32",  # Azure's host agent, a public address
            "192.0.0.192/32",  # Oracle, classic
            "fe80::/10",
            "fd00:ec2::/32",  # AWS
            "fd20:ce::254/128",  # Google
            "fd00:42::42/128",  # Scaleway
        ),
    )
)

# Not the public internet: IANA's special-purpose registries of IPv4 and IPv6 addresses, multicast and reserved space included.
INNER = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
            "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
            # Public IPv6 is 2000::/3. The rest is loopback, local, multicast, mapped and NAT64 space, or not assigned.
            "::/3", "4000::/2", "8000::/1",
            "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
        ),
    )
)  # fmt: skip

# IPv6 addresses that reach an IPv4 one: network, and where the 32 bits of it begin, counted from the right.
CARRIERS = (
    (ipaddress.IPv6Network("::/96"), 0),  # IPv4-compatible
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.IPv6Network("64:ff9b:1::/48"), 0),  # NAT64, local
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
)

# Names that never lead outside: RFC 2606, 6761, 6762, 7686, 8375, 9476; what ICANN keeps private; what networks are used to.
INNER_NAMES = (
    "localhost", "localdomain", "local", "internal", "home.arpa", "invalid", "test", "onion", "alt", "arpa", "lan", "corp", "home",
    "intranet", "private", "svc", "localnet", "priv", "intern",
)  # fmt: skip

_URL = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[^\[\]/?#@:\\%]+)(?::([0-9]{1,5}))?(?:[/?][!-\"$-~]*)?", re.IGNORECASE | re.ASCII)
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*")
_NUMERIC = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
_FOREIGN_DOTS = frozenset("\u3002\uff0e\uff61")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ufeff\\]")


class Egress:
    """The addresses that may be called, given what the operator allows: `host:port` pairs and networks."""

    def __init__(self, allow: Iterable[str] = (), ca_bundle: str = "") -> None:
        self._pairs: set[tuple[str, int]] = set()
        self._networks: list[Network] = []
        self._ca_bundle = ca_bundle
        for entry in allow:
            self._allow(entry.strip())

    @classmethod
    def from_settings(cls) -> Self:
        """Return the guard the operator's settings describe; the same one until they change."""
        return _configured(tuple(settings.EGRESS_ALLOW), settings.EGRESS_CA_BUNDLE)

    def _allow(self, entry: str) -> None:
        try:
            self._networks.append(ipaddress.ip_network(entry))
            return
        except ValueError:
            host, _, port = entry.rpartition(":")
        try:
            self._pairs.add((_normalised(host), int(port)))
        except (EgressBlocked, ValueError) as error:
            raise ImproperlyConfigured(f"EGRESS_ALLOW: “{entry}” is neither host:port nor a network such as 10.1.0.0/16.") from error

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """How every https connection is verified. There is no switch to turn it off."""
        context = ssl.create_default_context(cafile=certifi.where())
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._ca_bundle:
            context.load_verify_locations(self._ca_bundle)
        return context

    def check_url(self, url: str) -> None:
        """Raise EgressBlocked unless `url` is written as the address of somebody we may call. Asks no name server."""
        self.origin(url)

    def origin(self, url: str) -> tuple[str, str, int]:
        """Return scheme, host and port of `url`, normalised; raises EgressBlocked like `check_url`."""
        if not isinstance(url, str) or not url or len(url) > MAX_URL:
            raise EgressBlocked(f"The address is empty or longer than {MAX_URL} characters.")
        if _UNPRINTABLE.search(url):
            raise EgressBlocked("The address holds a blank, a backslash, a line break or a control character.")
        if not (parts := _URL.fullmatch(url)):
            raise EgressBlocked(
                "The address is not of the form https://host/path: no user name, no password, no “#”, and special letters "
                "written as %C3%BC."
            )
        scheme, host = parts[1].lower(), _normalised(parts[2])
        port = int(parts[3] or (443 if scheme == "https" else 80))
        if not 0 < port < 65536:
            raise EgressBlocked(f"There is no port {port}.")
        address = _literal(host)
        if (host, port) in self._pairs:
            if address:
                self._check_metadata(address)
        elif address:
            self._check(address)
            self._check_service(scheme, host, port, listed=self._is_listed(address))
        else:
            if "." not in host or host.endswith(tuple("." + name for name in INNER_NAMES)):
                raise EgressBlocked(f"{host} is a name inside a network, not a public one.")
            self._check_service(scheme, host, port, listed=False)
        return scheme, host, port

    def resolve(self, host: str, port: int, seconds: float = 5.0) -> list[Address]:
        """Return what `host` resolves to, in the order to try; raises EgressBlocked if it is an address that may not be called.

        A name that cannot be found, or not within `seconds`, raises OSError, and so does one of which anything is inside.
        """
        if literal := _literal(host):
            addresses = [literal]
        else:
            addresses = _look_up(host, port, seconds)
        try:
            for address in addresses:
                if (host, port) in self._pairs:
                    self._check_metadata(address)
                else:
                    self._check(address)
        except EgressBlocked as refusal:
            if literal:
                raise
            # Whoever asks must not learn which names our network has: the answer is that of a name nobody has.
            logger.warning("egress_blocked name=%s reason=%s", host, refusal.message)
            raise socket.gaierror(socket.EAI_NONAME, "no such name") from refusal
        return addresses

    def _check(self, address: Address) -> None:
        self._check_metadata(address)
        for inner in _carried(address):
            if not self._is_listed(inner) and any(inner in network for network in INNER):
                raise EgressBlocked(f"{address} is not on the public internet.")

    def _check_metadata(self, address: Address) -> None:
        if any(inner in network for inner in _carried(address) for network in METADATA):
            raise EgressBlocked(f"{address} belongs to the machine's own platform.", hint="No setting allows it.")

    def _check_service(self, scheme: str, host: str, port: int, *, listed: bool) -> None:
        if listed:
            return
        if scheme != "https":
            raise EgressBlocked(f"{host} would be called without encryption.")
        if port not in HTTPS_PORTS:
            raise EgressBlocked(f"Port {port} of {host} may not be called.")

    def _is_listed(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


@lru_cache(maxsize=4)
def _configured(allow: tuple[str, ...], ca_bundle: str) -> Egress:
    return Egress(allow, ca_bundle)


def _normalised(host: str) -> str:
    """Return `host` in lower case ASCII without its last dot; raises EgressBlocked for other spellings of an address."""
    host = host.lower().removesuffix(".")
    if host.startswith("["):
        try:
            return ipaddress.IPv6Address(host[1:-1]).compressed
        except ValueError as error:
            raise EgressBlocked(f"{host} is not an IPv6 address.") from error
    if not host.isascii():
        host = _international(host)
    if not _HOST_NAME.fullmatch(host):
        raise EgressBlocked("The host in the address is not a valid name.")
    if _NUMERIC.fullmatch(host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError as error:
            raise EgressBlocked(f"{host} is an odd way to write an IPv4 address.", hint="Write it as four numbers with dots.") from error
    return host


def _international(host: str) -> str:
    # Strict IDNA knows no circled digits, but it does take foreign full stops for dots.
    try:
        if _FOREIGN_DOTS.isdisjoint(host):
            return idna.encode(host).decode()
    except (idna.IDNAError, UnicodeError):
        pass
    raise EgressBlocked("The host in the address holds letters that no name may have.")


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _carried(address: Address) -> list[Address]:
    """Return `address`, and the IPv4 address it leads to if it is one of those."""
    found: list[Address] = [address]
    if address.version == 6:
        found += [
            ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF)
            for network, shift in CARRIERS
            if address in network and int(address) > 1  # :: and ::1 carry nothing
        ]
    return found


def _look_up(host: str, port: int, seconds: float) -> list[Address]:
    """Ask the name servers. The system's own call knows no time limit, so it gets a thread of its own to be late in."""
    answer: queue.SimpleQueue = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP))
        except (OSError, UnicodeError) as error:
            answer.put(error)

    threading.Thread(target=ask, daemon=True, name="name lookup").start()
    try:
        found = answer.get(timeout=max(seconds, 0.001))
    except queue.Empty:
        raise socket.gaierror(socket.EAI_AGAIN, "no name server answered in time") from None
    if isinstance(found, Exception):
        raise found if isinstance(found, OSError) else socket.gaierror(socket.EAI_NONAME, "no such name")
    addresses = dict.fromkeys(ipaddress.ip_address(entry[4][0].partition("%")[0]) for entry in found)
    if not addresses:
        raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
    return list(addresses)
