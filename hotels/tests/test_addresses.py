"""Whose address a request comes from: the socket's, or what exactly so many proxies wrote. Unreadable is unknown, never the proxy."""

import ipaddress
from typing import Any

import pytest
from django.test import RequestFactory
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hotels.addresses import UNKNOWN, address_behind_proxies, client_address, household, plain

PROXY = "10.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "proxies", "address"),
    [
        ("", 0, PROXY),
        ("1.2.3.4", 0, PROXY),
        ("1.2.3.4", 1, "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4", 1, "1.2.3.4"),
        ("6.6.6.6,1.2.3.4", 1, "1.2.3.4"),
        ("6.6.6.6, \t1.2.3.4 ", 1, "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4, 10.0.0.9", 2, "1.2.3.4"),
        ("203.0.113.7:51234", 1, "203.0.113.7"),
        ("203.0.113.7:", 1, "203.0.113.7"),
        ("2001:db8::1", 1, "2001:db8::1"),
        ("2001:DB8:0::1", 1, "2001:db8::1"),
        ("[2001:db8::1]", 1, "2001:db8::1"),
        ("[2001:db8::1]:443", 1, "2001:db8::1"),
        ("fe80::1%eth0", 1, "fe80::1"),
        ("[fe80::1%25eth0]:80", 1, "fe80::1"),
        ("::ffff:203.0.113.7", 1, "203.0.113.7"),
        ("[::ffff:cb00:7107]:51234", 1, "203.0.113.7"),
        ("", 1, UNKNOWN),
        (",", 1, UNKNOWN),
        ("1.2.3.4,", 1, UNKNOWN),
        ("1.2.3.4, ,10.0.0.9", 2, UNKNOWN),
        ("1.2.3.4", 2, UNKNOWN),
        ("made up", 1, UNKNOWN),
        ("unknown", 1, UNKNOWN),
        ("_hidden", 1, UNKNOWN),
        ("localhost", 1, UNKNOWN),
        ("1.2.3.4:80:80", 1, UNKNOWN),
        ("1.2.3.4 5.6.7.8", 1, UNKNOWN),
        ("1.2.3.256", 1, UNKNOWN),
        ("01.2.3.4", 1, UNKNOWN),
        ("0x7f.0.0.1", 1, UNKNOWN),
        ("2130706433", 1, UNKNOWN),
        ("１.2.3.4", 1, UNKNOWN),
        ("[1.2.3.4", 1, UNKNOWN),
        ("2001:db8::1]:443", 1, UNKNOWN),
        ("127.0.0.1\n", 1, UNKNOWN),
        ('"[2001:db8::1]"', 1, UNKNOWN),
        ("for=1.2.3.4", 1, UNKNOWN),
        ("?", 1, UNKNOWN),
    ],
)
def test_client_address_comes_from_the_socket_or_exactly_so_many_proxies(forwarded: str, proxies: int, address: str, settings: Any) -> None:
    settings.TRUSTED_PROXIES = proxies
    assert address_behind_proxies(PROXY, forwarded) == address


def test_a_header_that_was_not_sent_is_unknown_behind_a_proxy(rf: RequestFactory, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    assert client_address(rf.get("/", REMOTE_ADDR=PROXY)) == UNKNOWN
    assert client_address(rf.get("/", REMOTE_ADDR=PROXY, HTTP_X_FORWARDED_FOR="1.2.3.4:5")) == "1.2.3.4"


@pytest.mark.parametrize("peer", ["127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1"])
def test_the_sockets_address_is_itself_in_ipv6_too(peer: str, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 0
    assert address_behind_proxies(peer, "1.2.3.4") == "127.0.0.1"


BUSY = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be: no time is measured here."""
addresses = st.ip_addresses().map(str)
junk = st.one_of(
    st.text(max_size=12), st.sampled_from(["unknown", "[", "]:80", "::", "%", ":", "1.2.3.4:", "fe80::%", "[::ffff:1.2.3.4%]:1"])
)
port = st.integers(0, 99_999).map(lambda number: f":{number}")


@st.composite
def written(draw: Any) -> tuple[str, str]:
    """An address, and one of the ways in which proxies write it."""
    address = draw(st.ip_addresses())
    shown = draw(st.sampled_from([str(address), address.exploded, address.exploded.upper()]))
    if address.version == 6:
        shown += draw(st.sampled_from(["", "%eth0", "%25en1"]))
        shown = draw(st.sampled_from([shown, f"[{shown}]", f"[{shown}]{draw(port)}"]))
        address = address.ipv4_mapped or address
    else:
        shown = draw(st.sampled_from([shown, shown + draw(port)]))
    space = st.sampled_from(["", " ", "\t", "  "])
    return str(address), draw(space) + shown + draw(space)


@BUSY
@given(st.lists(junk.map(lambda text: text.replace(",", "")), max_size=3), written(), st.lists(addresses, max_size=3), addresses)
def test_however_a_proxy_writes_it_and_whatever_stands_before_it(
    before: list[str], given: tuple[str, str], after: list[str], peer: str
) -> None:
    address, shown = given
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hotels.addresses.settings.TRUSTED_PROXIES", 1 + len(after), raising=False)
        assert address_behind_proxies(peer, ",".join([*before, shown, *after])) == address


@BUSY
@given(junk)
def test_anything_is_an_address_or_unknown(text: str) -> None:
    found = plain(text)
    assert found == UNKNOWN or str(ipaddress.ip_address(found)) == found
    assert plain(found) == found
    assert household(text) == household(found)


def test_a_household_is_an_address_or_the_network_a_client_owns() -> None:
    assert household("203.0.113.7:80") == "203.0.113.7"
    assert household("[2001:db8:1:2:3::4]:80") == household("2001:db8:1:2::") == "2001:db8:1:2::/64"
    assert household("::ffff:203.0.113.7") == "203.0.113.7"
    assert household("junk") == UNKNOWN
