"""The walls, address by address, and the URLs that never get as far as an address."""

import ipaddress

import pytest

from forebay.domain.people.public_addresses import AddressRefused, Walls, is_public, place

CLOSED = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255",
    "127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1",
    "192.168.0.1", "192.168.255.255", "192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.7",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8",
    "::ffff:0:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1", "100::1", "100:0:0:1::1",
    "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1",
    "2002:7f00:1::1", "2002:808:808::1", "2620:4f:8000::1", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254",
    "fdff::1", "fe80::1", "fe80::1%eth0", "2a00::1%eth0", "fec0::1", "ff02::1", "ff0e::1",
)  # fmt: skip
PUBLIC = (
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.255.255.255", "128.0.0.1",
    "168.63.129.15", "172.15.255.255", "172.32.0.1", "192.0.1.1", "192.167.255.255", "192.169.0.1", "198.17.255.255",
    "198.20.0.1", "223.255.255.254", "2001:200::1", "2001:4860:4860::8888", "2606:4700::1111", "2a00:1450::1",
    "2003::1",
)  # fmt: skip


@pytest.mark.parametrize("address", CLOSED)
def test_what_is_not_anyones_to_ask_for_is_closed(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    assert not Walls().lets_through(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_open(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_an_operator_opens_networks_and_no_more_than_those() -> None:
    walls = Walls(("10.1.0.0/16", "fd00:1::/32"))
    for address, is_open in (("10.1.2.3", True), ("10.2.0.1", False), ("::ffff:10.1.2.3", False), ("fd00:1::5", True)):
        assert walls.lets_through(ipaddress.ip_address(address)) is is_open


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/", "ftp://hooks.example.org/", "//hooks.example.org/", "hooks.example.org", "https://",
        "https:///x", "javascript:alert(1)", "file:///etc/passwd", "https://me:pw@hooks.example.org/",
        "https://@hooks.example.org/", "https://hooks.example.org/#x", "https://hooks.example.org:22/",
        "https://hooks.example.org:25/", "https://hooks.example.org:99999/", "https://hooks.example.org:x/",
        "https://hooks.example.org/ x", "https://hooks.example.org/\r\nX: y", "https://hooks.example.org\\@127.0.0.1/",
        "https://hööks.example.org/", "https://127.0.0.1/", "https://[::1]/", "https://[::ffff:8.8.8.8]/",
        "https://169.254.169.254/latest/meta-data/", "https://2130706433/", "https://0x7f.1/", "https://127.1/",
        "https://0177.0.0.1/", "https://1.1.1.1.1/", "https://localhost/", "https://x.localhost./",
        "https://LOCALHOST:8443/",
        "https://%31%32%37.0.0.1/", "https://[fe80::1%25eth0]/", "https://a.b/\x7f",
        f"https://example.org/{'x' * 1000}",
    ],
)  # fmt: skip
def test_a_url_that_can_lead_nowhere_good_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        place(url, Walls())
    assert refused.value.details["url"]


def test_a_url_is_taken_apart_once() -> None:
    found = place("https://Hooks.Example.org/a/b?token=x%20y&z", Walls())
    assert (found.scheme, found.host, found.port, found.path) == (
        "https",
        "hooks.example.org",
        443,
        "/a/b?token=x%20y&z",
    )
    assert place("https://8.8.8.8:8443", Walls()).path == "/"
    assert place("http://127.0.0.1:8000/", Walls(("127.0.0.0/8",), allows_http=True)).port == 8000
    assert place("http://localhost:8000/", Walls(("127.0.0.0/8",), allows_http=True)).host == "localhost"
