"""Settings that are lists: receivers of webhooks and models. Raises ValueError with a reason that names the part."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

IPNetwork = IPv4Network | IPv6Network
_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_SHOWN = 60
"""Characters of a part that a message repeats."""


class Receivers(NamedTuple):
    """Names in lower case, `*.` in front for any name below, and networks."""

    names: tuple[str, ...]
    networks: tuple[IPNetwork, ...]


def read_receivers(text: str) -> Receivers:
    """WEBHOOK_ALLOWED_HOSTS: parts with commas or white space between."""
    names, networks = [], []
    for part in filter(None, re.split(r"[,\s]+", text.lower())):
        network = _network(part)
        if network is not None:
            networks.append(network)
        elif _NAME.fullmatch(part) and not part[-1].isdigit():
            names.append(part)
        else:
            raise _unusable(part, "a name, *.name, an address or a network such as 10.1.0.0/16")
    return Receivers(tuple(names), tuple(networks))


def read_models(text: str) -> tuple[tuple[str, str], ...]:
    """EXTRA_MODELS: provider and model of each part."""
    parts = (part.strip() for part in text.split(","))
    return tuple(_model(part) for part in parts if part)


def _network(text: str) -> IPNetwork | None:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    if network.prefixlen == 0:
        raise _unusable(text, "the networks of your receivers: this one would open everything")
    return network


def _model(text: str) -> tuple[str, str]:
    provider, _, name = text.partition("/")
    if not provider or not name:
        raise _unusable(text, "each model as <provider>/<model>")
    return provider, name


def _unusable(part: str, wanted: str) -> ValueError:
    return ValueError(f"holds {part[:_SHOWN]!r}, which is not usable: name {wanted}")
