from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import InvalidInput
from factory.webhooks.allowed import PUBLIC_ONLY, AllowedHosts
from factory.webhooks.target import check_url, is_public

PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"]

NOT_PUBLIC = {
    "0.0.0.0": "this host",
    "10.0.0.1": "private",
    "100.64.0.1": "carrier NAT, which is_private misses",
    "127.0.0.1": "loopback",
    "168.63.129.16": "Azure's own server",
    "169.254.169.254": "metadata of most clouds",
    "172.16.0.1": "private",
    "192.0.0.192": "metadata of Oracle's cloud",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4 relay",
    "192.168.1.1": "private",
    "198.18.0.1": "benchmarks",
    "224.0.0.1": "multicast, which is_global lets through",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "::7f00:1": "v4-compatible 127.0.0.1",
    "::ffff:127.0.0.1": "v4-mapped 127.0.0.1",
    "::ffff:8.8.8.8": "v4-mapped, even of a public address",
    "64:ff9b::a00:1": "NAT64 of 10.0.0.1, which is_global lets through",
    "64:ff9b:1::a00:1": "local NAT64",
    "100::1": "discard",
    "2001:0:a00:1::": "Teredo",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4 of 127.0.0.1, which is_global lets through",
    "3fff::1": "documentation",
    "5f00::1": "segment routing",
    "fc00::1": "unique local",
    "fd00:ec2::254": "metadata of AWS",
    "fe80::1": "link-local",
    "fec0::1": "site-local, which is_global lets through",
    "ff02::1": "multicast",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_called(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC, ids=NOT_PUBLIC.get)
def test_no_other_address_may_be_called(address):
    assert not is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_no_way_of_writing_an_ipv4_address_inside_an_ipv6_one_is_public(address: IPv4Address):
    number = int(address)
    for wrapped in (
        number,
        0xFFFF << 32 | number,
        0x64FF9B << 96 | number,
        0x2002 << 112 | number << 80,
        0x20010000 << 96 | number ^ 0xFFFFFFFF,
    ):
        assert not is_public(ip_address(wrapped.to_bytes(16)))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hooks",
        "http://example.com:8080/hooks?tenant=1#top",
        "https://my_app.example.com./",
        "https://münchen.example/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]:8443/",
    ],
)
def test_a_url_of_a_public_server_is_accepted(url):
    check_url(url, PUBLIC_ONLY)


REFUSED = {
    "": "https://",
    "example.com/hooks": "https://",
    "//example.com/": "https://",
    "ftp://example.com/": "https://",
    "file:///etc/passwd": "https://",
    "https:///hooks": "host name",
    "https://user:secret@example.com/": "credentials",
    "https://:secret@example.com/": "credentials",
    "https://example.com/a b": "percent-encode",
    "https://example.com/\x00": "percent-encode",
    "https://example.com/\r\nHost: x": "percent-encode",
    "https://example.com/" + "a" * 2048: "shorten",
    "https://example.com:0/": "port",
    "https://example.com:25/": "port",
    "https://example.com:65536/": "use https://host/path",
    "https://[::1": "use https://host/path",
    "https://example.com\\@127.0.0.1/": "use https://host/path",
    "https://ex%61mple.com/": "host name",
    "https://a..example.com/": "host name",
    f"https://{'a' * 64}.example.com/": "host name",
    "https://127.1/": "full IP address",
    "https://0x7f.1/": "full IP address",
    "https://2130706433/": "full IP address",
    "https://0177.0.0.1/": "full IP address",
    "https://10.0.0.1/": "not public",
    "https://127.0.0.1./": "not public",
    "https://①27.0.0.1/": "not public",
    "https://127。0。0。1/": "not public",
    "https://[::ffff:10.0.0.1]/": "not public",
    "https://[fe80::1%25eth0]/": "not public",
    "https://redis:6379/": "full name",
    "https://localhost/": "this machine",
    "https://app.LOCALHOST./": "this machine",
}


@pytest.mark.parametrize(("url", "remedy"), REFUSED.items())
def test_any_other_url_is_refused_with_how_to_fix_it(url, remedy):
    with pytest.raises(InvalidInput) as refusal:
        check_url(url, PUBLIC_ONLY)
    assert refusal.value.param == "webhook.url"
    assert remedy in refusal.value.message


LOOPBACK = ["http://127.0.0.1:8080/", "http://[::1]:8080/", "http://localhost:8080/"]


@pytest.mark.parametrize("url", LOOPBACK)
def test_loopback_is_accepted_only_where_it_is_allowed(url):
    check_url(url, AllowedHosts(loopback=True))
    with pytest.raises(InvalidInput):
        check_url(url, PUBLIC_ONLY)


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]", "redis"])
def test_allowing_loopback_opens_no_private_network(host):
    with pytest.raises(InvalidInput):
        check_url(f"http://{host}/", AllowedHosts(loopback=True))
