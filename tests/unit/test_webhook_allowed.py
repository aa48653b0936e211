"""Receivers inside the operator's own network, which WEBHOOK_ALLOWED_HOSTS lists."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from factory.config import Settings
from factory.errors import InvalidInput
from factory.webhooks.allowed import AllowedHosts, allowed_hosts
from factory.webhooks.target import check_url


def _listed(hosts: str) -> AllowedHosts:
    return allowed_hosts(
        Settings(
            database_url="postgresql://db/x",
            redis_url="redis://cache",
            secret_key="k3y-0f-32-characters-that-differ!",
            webhook_allowed_hosts=hosts,
        )
    )


@pytest.mark.parametrize(
    ("hosts", "url"),
    [
        ("hooks.internal", "http://hooks.internal/x"),
        ("hooks", "http://hooks:8080/x"),
        ("*.svc.cluster.local", "http://receiver.apps.svc.cluster.local/"),
        ("10.1.0.0/16", "http://10.1.2.3/"),
        ("10.1.2.3", "http://10.1.2.3:8080/"),
        ("172.16.0.0/12", "http://receiver:8080/"),
        ("fd12::/16", "http://[fd12::1]/"),
        ("a.b, HOOKS.internal 10.9.9.9", "http://hooks.INTERNAL/"),
    ],
)
def test_a_listed_receiver_is_accepted(hosts: str, url: str) -> None:
    check_url(url, _listed(hosts))


@pytest.mark.parametrize(
    ("hosts", "url"),
    [
        ("hooks.internal", "http://10.0.0.1/"),
        ("10.1.0.0/16", "http://10.2.0.1/"),
        ("10.1.0.0/16", "http://169.254.169.254/"),
        ("hooks", "http://redis/"),
    ],
)
def test_a_list_opens_nothing_else(hosts: str, url: str) -> None:
    with pytest.raises(InvalidInput, match="WEBHOOK_ALLOWED_HOSTS"):
        check_url(url, _listed(hosts))


@pytest.mark.parametrize(
    ("hosts", "address", "allowed"),
    [
        ("hooks.internal", "10.0.0.1", True),
        ("hooks.internal", "fd12::1", True),
        ("hooks.internal", "127.0.0.1", False),
        ("hooks.internal", "169.254.169.254", False),
        ("hooks.internal", "fd00:ec2::254", False),
        ("hooks.internal", "0.0.0.0", False),
        ("other.internal", "10.0.0.1", False),
        ("10.0.0.0/8", "10.0.0.1", True),
        ("10.0.0.0/8", "192.168.0.1", False),
        ("169.254.0.0/16", "169.254.169.254", True),
        ("127.0.0.0/8", "127.0.0.1", True),
    ],
)
def test_what_a_name_resolves_to_decides(hosts: str, address: str, allowed: bool) -> None:
    assert _listed(hosts).address(ip_address(address), "hooks.internal") is allowed
