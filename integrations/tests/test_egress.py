"""Which addresses may be called: how they are written, what they resolve to, and where a connection really goes."""

import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.exceptions import EgressBlocked, ProviderUnavailable, RequestRejected
from integrations.security.egress import Egress
from integrations.tests.loopback import listening, plain_answer
from integrations.transport.auth import BearerAuth
from integrations.transport.client import Client, Policy

PUBLIC = "93.184.215.14"
"""A public address that no test ever reaches: connecting is watched, or replaced."""

REFUSED = [
    # not an address at all
    "", " ", "vendor", "vendor.example", "//vendor.example/", "https:", "https://", "https:///path", "https:/vendor.example", "https:vendor.example",
    "https://?x=1", "https://#", "https://:443/", "https://@/", "https://.", "https://..", "https://vendor..example/", "https://-vendor.example/",
    "https://vendor-.example/", "https://" + "a" * 64 + ".example/", "https://" + "a." * 130 + "example/", "https://vendor.example/" + "a" * 2100,
    # another scheme, or none of the web
    "http://vendor.example/", "http://vendor.example:443/", "http://93.184.215.14/", "HTTP://vendor.example", "ftp://vendor.example/",
    "file:///etc/passwd", "gopher://vendor.example:70/_x", "data:text/plain,x", "javascript:alert(1)", "ws://vendor.example/", "ldap://vendor.example/",
    "dict://127.0.0.1:11211/stat", "jar:https://vendor.example!/", "https+unix://%2Fvar%2Frun%2Fdocker.sock/", "blob:https://vendor.example/x",
    # another port
    "https://vendor.example:80/", "https://vendor.example:22/", "https://vendor.example:0/", "https://vendor.example:65536/",
    "https://vendor.example:99999/", "https://vendor.example:-443/", "https://vendor.example:+443/", "https://vendor.example:4 43/",
    "https://vendor.example:０４４３/", "https://vendor.example:/", "https://vendor.example:443:443/", "https://vendor.example:0x1bb/",
    # two readings: who is asked, and who is meant
    "https://user@vendor.example/", "https://user:secret@vendor.example/", "https://vendor.example@127.0.0.1/", "https://127.0.0.1#@vendor.example/",
    "https://vendor.example\\@127.0.0.1/", "https://vendor.example\\.evil.example/", "https:\\\\vendor.example/", "https://vendor.example#.evil.example/",
    "https://vendor.example /", "https://vendor.example\t/", " https://vendor.example/", "https://vendor.example/\n", "https://vendor.example/\r\nHost: x",
    "https://vendor.example\r\nX-Evil: 1/", "https://vendor.example/a b", "https://vendor.example/\x00", "https://vendor.example\x7f/",
    "https://vendor.example\u2028/", "https://vendor.example\u00a0/", "https://vendor%2eexample/", "https://127%2e0%2e0%2e1/", "https://%31%32%37.0.0.1/",
    "https://vendor.example%00.evil.example/", "https://vendor.example/#fragment", "https://vendor.example;evil.example/", "https://[vendor.example]/",
    # this machine
    "https://localhost/", "https://LOCALHOST/", "https://localhost./", "https://localhost.localdomain/", "https://vendor.localhost/",
    "https://ip6-localhost/", "https://127.0.0.1/", "https://127.0.0.1./", "https://127.0.0.1:8443/", "https://127.255.255.254/", "https://127.1/",
    "https://127.0.1/", "https://2130706433/", "https://017700000001/", "https://0177.0.0.1/", "https://0x7f.0.0.1/", "https://0x7f000001/", "https://0x7f.1/",
    "https://127.0.0.01/", "https://127.0.0.1.2/", "https://0/", "https://0.0.0.0/", "https://00000000/", "https://①②⑦.⓪.⓪.①/", "https://127。0。0。1/",
    "https://127．0．0．1/", "https://１２７.０.０.１/", "https://①27.0.0.1/", "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "https://ｌｏｃａｌｈｏｓｔ/", "https://vendor。example/",
    "https://[::1]/", "https://[::]/", "https://[0:0:0:0:0:0:0:1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/",
    "https://[::1%25lo]/", "https://[::1%lo]/", "https://[::ffff:93.184.215.14]/", "https://::1/", "https://[::1/", "https://::1]/",
    # this network
    "https://10.0.0.1/", "https://10.255.255.255/", "https://172.16.0.1/", "https://172.31.255.255/", "https://192.168.1.1/", "https://100.64.0.1/",
    "https://169.254.1.1/", "https://198.18.0.1/", "https://192.0.2.1/", "https://198.51.100.7/", "https://203.0.113.9/", "https://192.0.0.8/",
    "https://192.88.99.1/", "https://224.0.0.1/", "https://239.255.255.250/", "https://240.0.0.1/", "https://255.255.255.255/",
    "https://3232235777/", "https://0xc0a80101/", "https://192.168.257/", "https://router/", "https://pos.local/", "https://pos.internal/", "https://pos.home.arpa/",
    "https://[fc00::1]/", "https://[fd12:3456:789a::1]/", "https://[fe80::1]/", "https://[fec0::1]/", "https://[ff02::1]/", "https://[2001:db8::1]/",
    "https://[64:ff9b::7f00:1]/", "https://[64:ff9b::a9fe:a9fe]/", "https://[64:ff9b:1::a9fe:a9fe]/", "https://[2002:7f00:1::]/", "https://[2001::1]/",
    "https://[5f00::1]/", "https://[3fff::1]/", "https://[100::1]/", "https://[::ffff:0:127.0.0.1]/",
    # where clouds keep their credentials
    "https://169.254.169.254/latest/meta-data/", "http://169.254.169.254/", "https://169.254.170.2/", "https://169.254.170.23/", "https://2852039166/",
    "https://192.0.0.192/", "https://100.100.100.200/", "https://168.63.129.16/", "https://[fd00:ec2::254]/", "https://[fd20:ce::254]/",
    "https://[::ffff:a9fe:a9fe]/", "https://metadata.google.internal/", "https://metadata/", "https://instance-data/",
]  # fmt: skip

ACCEPTED = [
    "https://connect.squareup.com", "https://connect.squareup.com/", "https://connect.squareup.com/v2/catalog/list?types=ITEM,CATEGORY",
    "https://CONNECT.SquareUp.com/", "https://connect.squareup.com./", "https://grandhotel.my.salesforce.com", "https://pos.vendor.example:8443/api/v1",
    "https://vendor.example:443/", "https://a.b.c.d.e.vendor.example/", "https://xn--mnchen-3ya.example/", "https://münchen.example/",
    "https://hotel_1.vendor.example/", "https://127.0.0.1.vendor.example/", "https://vendor.example/~hotel/@menu;v=1?q=%C3%BC&x=a:b",
    "https://93.184.215.14/", "https://8.8.8.8:8443/", "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", "https://1and1.example/", "https://vendor.example?x=1",
    "https://localhost.vendor.example/", "https://172.32.0.1/", "https://100.63.255.255/",
]  # fmt: skip


@pytest.fixture
def no_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **more: Any) -> None:
        pytest.fail("a name server was asked")

    monkeypatch.setattr(socket, "getaddrinfo", fail)


@pytest.mark.usefixtures("no_name_server")
class TestSpelling:
    def test_tables_are_as_long_as_promised(self) -> None:
        assert len(set(REFUSED)) >= 127
        assert len(set(ACCEPTED)) >= 16

    @pytest.mark.parametrize("url", REFUSED, ids=ascii)
    def test_hostile_address_is_refused(self, url: str) -> None:
        with pytest.raises(EgressBlocked) as caught:
            Egress().check_url(url)
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("url", ACCEPTED, ids=ascii)
    def test_public_address_is_accepted(self, url: str) -> None:
        Egress().check_url(url)

    @settings(max_examples=100, deadline=None)
    @given(st.one_of(st.text(), st.binary(), st.integers(), st.none(), st.text(alphabet="htps:/[]@%.#?\\0123456789axv：。①", max_size=40)))
    def test_nothing_else_is_ever_raised(self, url: Any) -> None:
        for candidate in (url, f"https://{url}", f"https://{url}.example/"):
            with contextlib.suppress(EgressBlocked):
                Egress().check_url(candidate)

    def test_name_is_normalised(self) -> None:
        assert Egress().origin("HTTPS://Connect.SquareUp.COM./v2") == ("https", "connect.squareup.com", 443)
        assert Egress().origin("https://münchen.example") == ("https", "xn--mnchen-3ya.example", 443)


class TestAllowance:
    """What the operator allows, and what not even the operator can."""

    LAN = Egress(["10.1.0.0/16", "pos.hotel.lan:8080", "127.0.0.1:4911", "fd12::/16", "[fd13::1]:9000", " simphony:443 "])

    @pytest.mark.parametrize(
        "url",
        ["http://10.1.2.3/", "http://10.1.2.3:8080/", "https://10.1.2.3:9999/", "http://pos.hotel.lan:8080/x", "https://POS.hotel.lan.:8080/",
         "http://127.0.0.1:4911", "http://[fd12::5]/", "http://[fd13::1]:9000/", "https://simphony/", "https://vendor.example/"],
    )  # fmt: skip
    def test_listed_destination_is_accepted(self, url: str) -> None:
        self.LAN.check_url(url)

    @pytest.mark.parametrize(
        "url",
        ["http://10.2.0.1/", "http://pos.hotel.lan/", "http://pos.hotel.lan:8081/", "http://127.0.0.1:4912", "http://127.0.0.1/", "http://[fd13::1]/",
         "http://simphony/", "http://vendor.example/", "https://192.168.1.1/", "http://[::ffff:10.1.2.3]/", "http://[::10.1.2.3]/"],
    )  # fmt: skip
    def test_everything_else_stays_refused(self, url: str) -> None:
        with pytest.raises(EgressBlocked) as caught:
            self.LAN.check_url(url)
        assert "EGRESS_ALLOW" in caught.value.hint

    @pytest.mark.parametrize(
        "host",
        ["169.254.169.254", "169.254.170.2", "192.0.0.192", "100.100.100.200", "168.63.129.16", "[fd00:ec2::254]", "[fd20:ce::254]", "[fe80::1]",
         "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[::169.254.169.254]"],
    )  # fmt: skip
    def test_metadata_is_refused_even_when_everything_is_allowed(self, host: str) -> None:
        careless = Egress(["0.0.0.0/0", "::/0", f"{host}:80"])
        for url in (f"http://{host}/", f"https://{host}/", f"http://{host}:80/"):
            with pytest.raises(EgressBlocked, match="platform"):
                careless.check_url(url)
        with pytest.raises(EgressBlocked):
            careless.resolve(host.strip("[]"), 80)

    def test_translated_address_has_to_be_allowed_in_both_its_forms(self) -> None:
        behind_nat64 = Egress(["64:ff9b::/96"])
        behind_nat64.check_url("https://[64:ff9b::808:808]/")
        for inner in ("7f00:1", "a00:1", "a9fe:a9fe"):
            with pytest.raises(EgressBlocked):
                behind_nat64.check_url(f"https://[64:ff9b::{inner}]/")

    def test_name_that_leads_to_metadata_is_refused_even_when_listed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answer_with(monkeypatch, ["169.254.169.254"])
        with pytest.raises(socket.gaierror):
            Egress(["pos.hotel.lan:80"]).resolve("pos.hotel.lan", 80)

    def test_settings_make_the_guard(self, settings: Any) -> None:
        settings.EGRESS_ALLOW = ["10.1.0.0/16"]
        guard = Egress.from_settings()
        guard.check_url("http://10.1.2.3/")
        assert Egress.from_settings() is guard
        settings.EGRESS_ALLOW = []
        with pytest.raises(EgressBlocked):
            Egress.from_settings().check_url("http://10.1.2.3/")

    @pytest.mark.parametrize("entry", ["", "vendor.example", "10.1.2.3/8", "vendor.example:https", "http://vendor.example:80", "127.1:80"])
    def test_entry_nobody_can_read_stops_the_start(self, entry: str) -> None:
        with pytest.raises(ImproperlyConfigured, match="EGRESS_ALLOW"):
            Egress([entry])


def answer_with(monkeypatch: pytest.MonkeyPatch, *answers: list[str] | Exception) -> list[str]:
    """Let the name server give these answers in turn, the last one for ever; return the names it was asked for."""
    asked: list[str] = []

    def look_up(host: str, port: int, *args: Any, **more: Any) -> list[Any]:
        asked.append(host)
        answer = answers[min(len(asked), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in answer]
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for family, address in zip(families, answer, strict=True)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


class TestResolving:
    @pytest.mark.parametrize(
        "address",
        ["127.0.0.1", "10.0.0.1", "100.64.0.1", "169.254.169.254", "192.0.0.192", "192.88.99.1", "224.0.0.1", "0.0.0.0", "255.255.255.255",
         "::1", "::", "::127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "64:ff9b::808:808", "2002:7f00:1::",
         "2001::1", "5f00::1", "3fff::1", "fec0::1", "fe80::1", "fd00::1", "ff02::1", "2001:db8::1", "100::1", "4000::1", "e000::1"],
    )  # fmt: skip
    def test_one_inner_address_among_public_ones_refuses(self, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
        for answer in ([address], [PUBLIC, address], [address, PUBLIC], [PUBLIC, "2606:4700::1111", address]):
            answer_with(monkeypatch, answer)
            with pytest.raises(socket.gaierror, match="no such name"):
                Egress().resolve("vendor.example", 443)

    def test_public_addresses_come_back_in_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = answer_with(monkeypatch, ["2606:4700::1111", PUBLIC, PUBLIC])
        assert [str(address) for address in Egress().resolve("vendor.example", 443)] == ["2606:4700::1111", PUBLIC]
        assert asked == ["vendor.example"]

    @pytest.mark.parametrize("failure", [socket.gaierror(-2, "unknown"), UnicodeError("label too long"), OSError("no network")])
    def test_failing_name_server_refuses(self, monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
        answer_with(monkeypatch, failure)
        with pytest.raises(OSError):  # noqa: PT011 the network's own error: it may pass
            Egress().resolve("vendor.example", 443)

    def test_silent_name_server_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        released = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: released.wait(5) and [])
        started = datetime.now(UTC)
        with pytest.raises(socket.gaierror):
            Egress().resolve("vendor.example", 443, seconds=0.1)
        assert datetime.now(UTC) - started < timedelta(seconds=1)
        released.set()


def client(url: str, egress: Egress, **more: Any) -> Client:
    quick = Policy(connect_seconds=5, read_seconds=5, total_seconds=10, attempts=1)
    return Client(provider="Square", base_url=url, auth=BearerAuth("EAAA-top-secret"), egress=egress, policy=quick, **more)


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Watch where sockets connect to; a public address refuses at once, as nobody in a test may go there."""
    targets: list[tuple[str, int]] = []

    class Watched(socket.socket):
        def connect(self, target: Any) -> None:
            targets.append(target[:2])
            if not ipaddress.ip_address(target[0]).is_loopback:
                raise ConnectionRefusedError
            super().connect(target)

    monkeypatch.setattr(socket, "socket", Watched)
    return targets


class TestConnecting:
    def test_rebinding_name_never_reaches_inside(self, monkeypatch: pytest.MonkeyPatch, connects: list[tuple[str, int]]) -> None:
        with listening(plain_answer()) as canary:
            asked = answer_with(monkeypatch, [PUBLIC], ["127.0.0.1"], [PUBLIC], ["127.0.0.1"])
            for expected in ("accepts no connection", "cannot be found") * 2:
                with pytest.raises(ProviderUnavailable, match=expected):
                    client("https://vendor.example", Egress()).call("GET", "/", name="ping")
            assert canary.connections == 0
        assert len(asked) == 4  # one question a connection: what was checked is what is used
        assert {address for address, _ in connects} == {PUBLIC}

    def test_mixed_answer_opens_no_connection(self, monkeypatch: pytest.MonkeyPatch, connects: list[tuple[str, int]]) -> None:
        answer_with(monkeypatch, [PUBLIC, "127.0.0.1"])
        with pytest.raises(ProviderUnavailable) as inside:
            client("https://vendor.example", Egress()).call("GET", "/", name="ping")
        assert connects == []
        answer_with(monkeypatch, socket.gaierror(-2, "unknown"))
        with pytest.raises(ProviderUnavailable) as unknown:
            client("https://vendor.example", Egress()).call("GET", "/", name="ping")
        assert (str(inside.value), inside.value.code) == (str(unknown.value), unknown.value.code)

    @pytest.mark.parametrize(
        "host",
        ["pos.lan", "POS.LAN.", "a.b.corp", "x.home", "db.svc", "db.default.svc.cluster.local", "x.intranet", "x.internal", "x.home.arpa",
         "x.test", "x.invalid", "x.onion", "x.localhost", "pos", "lan", "münchen", "xn--mnchen-3ya", "müller.lan", "1.0.0.127.in-addr.arpa"],
    )  # fmt: skip
    def test_a_name_that_only_an_inner_network_has_is_refused_as_written(self, host: str) -> None:
        with pytest.raises(EgressBlocked, match="a name inside a network"):
            Egress().check_url(f"https://{host}/")
        Egress([f"{host}:443"]).check_url(f"https://{host}/")

    def test_next_address_is_tried_and_the_host_header_stays(
        self, monkeypatch: pytest.MonkeyPatch, connects: list[tuple[str, int]]
    ) -> None:
        with listening(plain_answer(b'{"ok": true}')) as vendor:
            answer_with(monkeypatch, [PUBLIC, "127.0.0.1"])
            guard = Egress([f"vendor.example:{vendor.port}"])
            answer = client(f"http://vendor.example:{vendor.port}", guard).call("GET", "/menu", name="ping")
        assert answer.json() == {"ok": True}
        assert [address for address, _ in connects] == [PUBLIC, "127.0.0.1"]
        assert f"Host: vendor.example:{vendor.port}\r\n".encode() in vendor.received[0]

    def test_unknown_name_says_so_and_may_be_tried_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answer_with(monkeypatch, socket.gaierror(-2, "unknown"))
        with pytest.raises(ProviderUnavailable, match=r"Square cannot be reached: the name vendor\.example cannot be found\.") as caught:
            client("https://vendor.example", Egress()).call("POST", "/orders", name="post", json={})
        assert not caught.value.maybe_done

    @pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"])
    def test_redirect_is_an_error_and_nobody_follows_it(self, status: str) -> None:
        with listening(plain_answer()) as canary:
            target = f"http://127.0.0.1:{canary.port}/latest/meta-data"
            with listening(plain_answer(head=f"HTTP/1.1 {status}", headers=f"Location: {target}\r\n")) as vendor:
                with pytest.raises(RequestRejected, match="sends us on to") as caught:
                    client(vendor.url, Egress(["127.0.0.0/8"])).call("GET", "/", name="ping")
            assert canary.connections == 0
        assert target in caught.value.message
        assert caught.value.hint

    def test_link_to_another_host_gets_no_credentials(self) -> None:
        with listening(plain_answer()) as canary, listening(plain_answer()) as vendor:
            for link in (canary.url, f"{canary.url}/next", f"http://127.0.0.1:{canary.port}@{vendor.url[7:]}/"):
                with pytest.raises(EgressBlocked):
                    client(vendor.url, Egress(["127.0.0.0/8"])).call("GET", link, name="next")
            assert canary.connections == vendor.connections == 0

    def test_environment_has_no_say(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login thief password taken")
        monkeypatch.setenv("HOME", str(tmp_path))
        with listening(plain_answer()) as proxy, listening(plain_answer()) as vendor:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, proxy.url)
            client(vendor.url, Egress(["127.0.0.0/8"])).call("GET", "/", name="ping", auth=False)
            assert proxy.connections == 0
        assert b"authorization" not in vendor.received[0].lower()


class Authority:
    """Signs certificates for the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority")])
        self.bundle = folder / "authority.pem"
        self.bundle.write_bytes(self._sign(self.name, self.key, "", valid=True, is_authority=True).public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject: x509.Name, key: Any, host: str, *, valid: bool, is_authority: bool = False) -> x509.Certificate:
        now = datetime.now(UTC)
        end = now + timedelta(days=1) if valid else now - timedelta(hours=1)
        builder = x509.CertificateBuilder(self.name, subject, key.public_key(), x509.random_serial_number(), now - timedelta(days=1), end)
        builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def server(self, host: str, *, valid: bool = True) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        pem = self.folder / "server.pem"
        pem.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            + self._sign(subject, key, host, valid=valid).public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return context


def ancient(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


class TestTls:
    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path)

    @pytest.fixture(autouse=True)
    def names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answer_with(monkeypatch, ["127.0.0.1"])

    @contextlib.contextmanager
    def vendor(self, authority: Authority, tls: ssl.SSLContext, bundle: Path | None) -> Iterator[tuple[Client, Any]]:
        with listening(plain_answer(b'{"ok": true}'), tls) as vendor:
            guard = Egress([f"vendor.example:{vendor.port}"], str(bundle or ""))
            yield client(f"https://vendor.example:{vendor.port}", guard), vendor

    def test_operators_authority_is_trusted_and_the_name_is_asked_for(self, authority: Authority) -> None:
        with self.vendor(authority, authority.server("vendor.example"), authority.bundle) as (caller, vendor):
            assert caller.call("GET", "/", name="ping").json() == {"ok": True}
        assert vendor.server_names == ["vendor.example"]

    @pytest.mark.parametrize(
        ("server", "is_known"),
        [
            (lambda authority: authority.server("vendor.example"), False),
            (lambda authority: authority.server("vendor.example", valid=False), True),
            (lambda authority: authority.server("other.example"), True),
            (lambda authority: ancient(authority.server("vendor.example")), True),
        ],
        ids=["unknown authority", "expired", "another name", "TLS 1.1"],
    )
    def test_bad_server_gets_no_credentials(
        self, authority: Authority, server: Callable[[Authority], ssl.SSLContext], is_known: bool
    ) -> None:
        with self.vendor(authority, server(authority), authority.bundle if is_known else None) as (caller, vendor):
            with pytest.raises(ProviderUnavailable, match=r"certificate|secure connection") as caught:
                caller.call("POST", "/orders", name="post", json={"secret": "x"})
        assert not caught.value.maybe_done
        assert b"".join(vendor.received) == b""
