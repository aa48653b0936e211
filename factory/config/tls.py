"""TLS to Redis: the options that redis-py and kombu both take, so that both clients verify alike."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

SWITCHES = {"ssl_check_hostname"}
VERIFICATION = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}


def redis_tls_options(redis_url: str, *, tls: bool, ca_file: str | None) -> dict[str, Any]:
    """Empty without TLS. The certificate and the host name are verified unless the URL says `?ssl_cert_reqs=none`;
    certificate authorities are the system's, and those in `ca_file`.
    """
    if not (redis_url.startswith("rediss://") or tls):
        return {}
    options: dict[str, Any] = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    if ca_file:
        options["ssl_ca_certs"] = ca_file
    return {**options, **_named_options(redis_url)}


def without_tls_options(redis_url: str) -> str:
    """The URL as it is when the options are given apart; kombu would read them otherwise."""
    address, _, query = redis_url.partition("?")
    kept = [(name, value) for name, value in parse_qsl(query) if not name.startswith("ssl_")]
    return f"{address}?{urlencode(kept)}" if kept else address


def tls_options_fault(redis_url: str) -> str | None:
    """What is wrong with the URL's options; None if nothing is."""
    given = dict(parse_qsl(redis_url.partition("?")[2])).get("ssl_cert_reqs", "required")
    return (
        None
        if verification(given) is not None
        else "has an ssl_cert_reqs other than required, optional and none"
    )


def ca_file_fault(path: str) -> str | None:
    """Why no certificate can be read from this file; None if one can."""
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # an SSLError is an OSError too, but its strerror says nothing
        reason = "holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        return f"names a file that cannot be used: {reason}"
    return None


def _named_options(redis_url: str) -> Mapping[str, Any]:
    named = dict(parse_qsl(redis_url.partition("?")[2]))
    return {name: _typed(name, value) for name, value in named.items() if name.startswith("ssl_")}


def _typed(name: str, value: str) -> Any:
    if name in SWITCHES:
        return value.lower() not in ("false", "0", "no", "off")
    return verification(value) if name == "ssl_cert_reqs" else value


def verification(value: str) -> ssl.VerifyMode | None:
    """`required`, or CERT_REQUIRED as Celery's users write it; None if it is neither."""
    return VERIFICATION.get(value.lower().removeprefix("cert_"))
