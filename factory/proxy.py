"""The way out of networks that let nobody out but an HTTP proxy: which calls take it, and which go straight."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from factory.config import Settings

LOOPBACK = "localhost,127.0.0.1,::1"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY")
MOST_REMEMBERED = 256


class Proxy:
    """Says of a URL which proxy a call to it takes. This machine, and what NO_PROXY names, is called directly."""

    def __init__(self, url: str | None, no_proxy: str) -> None:
        self._url = url
        self._exceptions = [part for part in re.split(r"[,\s]+", no_proxy.lower()) if part]
        self._known: dict[str, str | None] = {}

    def of(self, url: str) -> str | None:
        """The proxy's URL, or None for a direct call."""
        if self._url is None:
            return None
        # All that decides stands before the path; the calls of one provider share it.
        place = "/".join(url.split("/", 3)[:3])
        if place not in self._known:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[place] = None if self._is_direct(place) else self._url
        return self._known[place]

    def _is_direct(self, place: str) -> bool:
        parts = urlsplit(place)
        host, port = (parts.hostname or "").rstrip("."), parts.port
        return _is_loopback(host) or any(_fits(one, host, port) for one in self._exceptions)


def export_proxy(settings: Settings, environ: MutableMapping[str, str]) -> None:
    """For LiteLLM, which looks into the environment: its calls take the same proxy as ours."""
    if settings.provider_proxy_url is None:
        return
    direct = ",".join(filter(None, (settings.no_proxy, LOOPBACK)))
    values = {**dict.fromkeys(VARIABLES, settings.provider_proxy_url), "NO_PROXY": direct}
    for name, value in values.items():
        environ[name] = environ[name.lower()] = value


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _fits(exception: str, host: str, port: int | None) -> bool:
    """Whether `*`, `name`, `.name`, `*.name`, `name:port`, an address or a network stands for the host."""
    if exception == "*":
        return True
    if "/" in exception:
        return _in_network(host, exception)
    name, colon, wanted = exception.rpartition(":")
    if colon and ":" not in name and wanted.isdigit():
        exception, fits_port = name, port == int(wanted)
    else:
        fits_port = True
    exception = exception.strip("[]").removeprefix("*").lstrip(".")
    return fits_port and (host == exception or host.endswith(f".{exception}"))


def _in_network(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
