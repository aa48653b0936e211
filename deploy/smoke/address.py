"""A URL as an option of a command."""

from __future__ import annotations

from argparse import ArgumentTypeError
from urllib.parse import urlsplit

import httpx


def http_url(text: str) -> str:
    """The URL, without spaces around it. Raises ArgumentTypeError for what nobody can be asked by."""
    text = text.strip()
    try:
        httpx.URL(text)
        found = urlsplit(text)
        whole = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
        whole = whole and len(text.split()) == 1
    except (ValueError, httpx.InvalidURL):
        whole = False
    if not whole:
        raise ArgumentTypeError("not the URL of a server, such as https://api.yourdomain.com")
    return text
