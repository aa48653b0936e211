"""What was wrong with a connection, in our own words.

A library's are for whoever reads its code: aiohttp's hold addresses, and in their `repr` the request's headers.
"""

from __future__ import annotations

import errno
import ssl
from http import HTTPStatus

import aiohttp

ERRNO_WORDS = {
    errno.ECONNREFUSED: "was refused",
    errno.ECONNRESET: "was reset",
    errno.EPIPE: "was reset",
    errno.EHOSTUNREACH: "failed: there is no route to its host",
    errno.ENETUNREACH: "failed: there is no route to its network",
    errno.ETIMEDOUT: "timed out",
    errno.EMFILE: "failed: this process has too many files open",
    errno.ENFILE: "failed: this machine has too many files open",
}


WORDS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((aiohttp.InvalidURL,), "the URL of the {peer} is not one that can be called"),
    ((aiohttp.ClientConnectorDNSError,), "the name of the {peer}'s host was not found"),
    (
        (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError),
        "the certificate of the {peer} is not valid",
    ),
    ((aiohttp.ClientSSLError, ssl.SSLError), "connection to the {peer} failed: no TLS"),
    (
        (aiohttp.ClientProxyConnectionError,),
        "connection to the {peer} failed: the proxy does not answer",
    ),
    (
        (aiohttp.ServerDisconnectedError,),
        "connection to the {peer} was closed before the answer",
    ),
    ((aiohttp.ClientPayloadError,), "the answer of the {peer} broke off"),
    ((aiohttp.ClientResponseError,), "the answer of the {peer} is not valid HTTP"),
)
"""The first kind that fits says it."""


def connection_words(error: Exception, peer: str) -> str:
    """A clause such as "connection to the provider was refused"; `peer` is the one at the other end."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"connection to the {peer} failed: {proxy_words(error.status)}"
    for kinds, words in WORDS:
        if isinstance(error, kinds):
            return words.format(peer=peer)
    return f"connection to the {peer} {ERRNO_WORDS.get(_errno(error), 'failed')}"


def proxy_words(status: int) -> str:
    """What an HTTP proxy's refusal means."""
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return "the proxy wants other credentials (407)"
    return f"the proxy answered {status}"


def _errno(error: Exception) -> int:
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    return getattr(error, "errno", None) or 0
