"""Receivers beyond the public internet that an operator allows for webhooks: WEBHOOK_ALLOWED_HOSTS. A name allows the
private addresses that it resolves to; a network allows its addresses under any name. Addresses that answer anybody on
a machine or in a cloud (loopback, link-local, metadata servers) are allowed only by a network that contains them,
never by a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network

from factory.config import Settings
from factory.config.lists import IPNetwork, read_receivers

SETTING = "WEBHOOK_ALLOWED_HOSTS"
IPAddress = IPv4Address | IPv6Address

_PRIVATE = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
_METADATA = ip_network("fd00:ec2::254/128")


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Names in lower case (`*.` in front matches any subdomain), networks, and whether loopback is allowed."""

    loopback: bool = False
    names: tuple[str, ...] = ()
    networks: tuple[IPNetwork, ...] = ()

    def name(self, host: str) -> bool:
        """Whether the name is listed, or matches a listed `*.` name."""
        return any(
            host.endswith(name[1:]) if name.startswith("*.") else host == name
            for name in self.names
        )

    def may_have_private(self, host: str) -> bool:
        """Whether the name might resolve to an address that is allowed; only its resolution tells."""
        return bool(self.networks) or self.name(host)

    def address(self, address: IPAddress, host: str) -> bool:
        """Whether the address may be called, as that of `host`."""
        if self.loopback and address.is_loopback:
            return True
        if any(address in network for network in self.networks):
            return True
        return self.name(host) and _is_private(address)


PUBLIC_ONLY = AllowedHosts()


def allowed_hosts(settings: Settings) -> AllowedHosts:
    """What the settings allow."""
    listed = read_receivers(settings.webhook_allowed_hosts)
    return AllowedHosts(settings.webhook_allow_loopback, listed.names, listed.networks)


def _is_private(address: IPAddress) -> bool:
    return address not in _METADATA and any(address in network for network in _PRIVATE)
