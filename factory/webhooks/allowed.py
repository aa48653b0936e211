"""Receivers that an operator lets webhooks reach beyond the public internet: WEBHOOK_ALLOWED_HOSTS.

A name vouches for the private addresses that it resolves to, a network for its addresses whatever their names.
What answers to everybody on a machine or in a cloud (loopback, link-local, metadata servers) is reached only by
a network that holds it, never by a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from factory.config import Settings
from factory.errors import Misconfigured

SETTING = "WEBHOOK_ALLOWED_HOSTS"
IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_PRIVATE = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
_METADATA = ip_network("fd00:ec2::254/128")


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Names in lower case, `*.` in front for any name below; networks; and whether loopback is one."""

    loopback: bool = False
    names: tuple[str, ...] = ()
    networks: tuple[IPNetwork, ...] = ()

    def name(self, host: str) -> bool:
        """Whether the name is listed, or one above it."""
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
    """What the settings allow. Raises Misconfigured that names the part that cannot be read."""
    names, networks = [], []
    for part in filter(None, re.split(r"[,\s]+", settings.webhook_allowed_hosts.lower())):
        network = _network(part)
        if network is not None:
            networks.append(network)
        elif _NAME.fullmatch(part) and not part[-1].isdigit():
            names.append(part)
        else:
            raise _unreadable(part, "a name, *.name, an address or a network such as 10.1.0.0/16")
    return AllowedHosts(settings.webhook_allow_loopback, tuple(names), tuple(networks))


def _network(text: str) -> IPNetwork | None:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    if network.prefixlen == 0:
        raise _unreadable(text, "the networks of your receivers: this one would open everything")
    return network


def _unreadable(part: str, mend: str) -> Misconfigured:
    return Misconfigured(f"{SETTING}: {part!r} is not usable; name {mend}", param=SETTING)


def _is_private(address: IPAddress) -> bool:
    return address not in _METADATA and any(address in network for network in _PRIVATE)
