"""Where a webhook may go: a server on the public internet, or one that the operator has listed.

A customer chooses the URL, and our workers stand inside a private network. So the URL is checked when a job is
submitted, and the addresses behind its name are checked again at each delivery, by the same lookup that the connection
then uses (the name may resolve differently the next time).
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network

from yarl import URL  # aiohttp's own parser: what is checked is what is called

from factory.errors import InvalidInput, WebhookFailed, WebhookRefused
from factory.webhooks.allowed import SETTING, AllowedHosts, IPAddress

LONGEST_URL = 2048
LIST_IT = f"use a public server, or have its operator list it in {SETTING}"
FIRST_FREE_PORT = 1024

# `is_global` of Python 3.11 lets these through.
_CLOSED_V4 = (
    ip_network("192.0.0.0/24"),  # protocol assignments; 192.0.0.192 is a cloud's metadata server
    ip_network("192.88.99.0/24"),  # 6to4 relays
    ip_network("168.63.129.16/32"),  # answers inside Azure alone, on a public number
)
# All global unicast is here; v4-mapped, NAT64, site-local, ULA and multicast addresses are not.
_UNICAST_V6 = ip_network("2000::/3")
_CLOSED_V6 = (
    ip_network("2001::/23"),  # Teredo, ORCHID and other protocol assignments
    ip_network("2001:db8::/32"),  # documentation
    ip_network("2002::/16"),  # 6to4: 2002:7f00:1:: is 127.0.0.1
    ip_network("3fff::/20"),  # documentation
)

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
# A part that the C library reads as a number of an IPv4 address, as in 127.1, 0x7f.1 and 2130706433.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """A checked address to connect to."""

    ip: str
    family: socket.AddressFamily


def is_public(address: IPAddress) -> bool:
    """Whether `address` is one host on the public internet, not a way around to another network."""
    if isinstance(address, IPv4Address):
        special = address.is_multicast or address.is_reserved
        return address.is_global and not special and not any(address in n for n in _CLOSED_V4)
    return (
        address in _UNICAST_V6
        and address.is_global
        and not any(address in network for network in _CLOSED_V6)
    )


def check_url(url: str, allowed: AllowedHosts) -> None:
    """Raises InvalidInput, which says how to fix it, if no webhook could ever go to `url`. Resolves no names."""
    if len(url) > LONGEST_URL:
        raise _unfit(f"is longer than {LONGEST_URL} characters: shorten it")
    if any(ord(char) <= 0x20 or ord(char) == 0x7F for char in url):
        raise _unfit("contains a space or a control character: percent-encode it")
    parsed = _parse(url)
    if parsed.scheme not in ("http", "https"):
        raise _unfit("must start with https:// or http://")
    if parsed.raw_user is not None or parsed.raw_password is not None:
        raise _unfit("contains credentials: remove them, and verify the signature instead")
    _check_port(parsed.port)
    _check_host((parsed.raw_host or "").removesuffix("."), allowed)


async def resolve(host: str, allowed: AllowedHosts) -> list[Address]:
    """Every address of `host`, in the order to try them.

    Raises WebhookRefused when any of them may not be called: a name that mixes public and private
    addresses is an attack. Raises WebhookFailed when the name does not resolve now.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise WebhookFailed(f"{host} does not resolve: {error.strerror}") from error
    addresses = [Address(str(sockaddr[0]), family) for family, _, _, _, sockaddr in found]
    for address in addresses:
        if not _may_call(ip_address(address.ip), host, allowed):
            raise WebhookRefused(
                f"{host} resolves to an address that is not public; if it is a receiver of your own, "
                f"its operator can list it in {SETTING}",
                code="forbidden_target",
            )
    return addresses


def _may_call(address: IPAddress, host: str, allowed: AllowedHosts) -> bool:
    return is_public(address) or allowed.address(address, host.lower().removesuffix("."))


def _parse(url: str) -> URL:
    try:
        return URL(url)
    except ValueError as error:
        raise _unfit(f"is not a URL ({error}): use https://host/path") from None


def _check_port(port: int | None) -> None:
    """Ports below 1024 belong to other protocols, whose servers a request might trick."""
    if port not in (80, 443) and (port or 0) < FIRST_FREE_PORT:
        raise _unfit(f"has port {port}: use 80, 443 or one from {FIRST_FREE_PORT} on")


def _check_host(host: str, allowed: AllowedHosts) -> None:
    try:
        address = ip_address(host)
    except ValueError:
        _check_name(host, allowed)
        return
    if not _may_call(address, host, allowed):
        raise _unfit(f"names the address {host}, which is not public: {LIST_IT}")


def _check_name(name: str, allowed: AllowedHosts) -> None:
    labels = name.split(".")
    well_formed = len(name) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
    if not well_formed or _NUMBER.fullmatch(labels[-1]):
        raise _unfit("has no valid host: use a host name or a full IP address")
    if labels[-1] == "localhost":
        if not allowed.loopback and not allowed.may_have_private(name):
            raise _unfit("names this machine: use a public server, or set WEBHOOK_ALLOW_LOOPBACK")
    elif len(labels) == 1 and not allowed.may_have_private(name):
        raise _unfit(
            f"names {name}, which only a private network knows: use its full name, or {LIST_IT}"
        )


def _unfit(reason: str) -> InvalidInput:
    return InvalidInput(f"webhook.url {reason}", param="webhook.url")
