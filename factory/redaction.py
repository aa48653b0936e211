"""What leaves the platform passes here once more: the secrets that it knows, and what looks like one, are taken out.

The second net. The first is that messages are made of our own words, and hold no library's.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from factory.config import Settings
from factory.providers import PROVIDERS

MARK = "[redacted]"
ADDRESS_MARK = "[address]"
SHORTEST = 8
"""Anything shorter would take words out of every text."""
LONGEST_WORD = 19
"""So many letters and nothing else may be a plain word. As a secret it would be taken out of every sentence."""
SECRET_NAME = re.compile(r"secret|password|passwd|token|credential|_key$|_keys$", re.IGNORECASE)
PUBLIC_HOSTS = re.compile(
    rf"(^|\.)({'|'.join(re.escape(one.domain) for one in PROVIDERS if one.domain)})$", re.IGNORECASE
)
URL_PASSWORD = re.compile(r"(://[^\s/:@'\"\\]*:)[^\s/@'\"\\]+(?=@)")
NAMED_KEY = re.compile(
    r"((?:x-goog-api-key|x-api-key|api[-_]?key|authorization|access[-_]token|[?&](?:key|token|sig))"
    r"\\?['\"]?\s*[:=]\s*\\?['\"]?(?:(?:bearer|basic)\s+)?)[^\s'\",;&<>{}()\\]{8,}",
    re.IGNORECASE,
)
SHAPES = re.compile(
    r"\b(?:"
    r"(?:sk|rk|pk)-[\w-]{16,}"  # OpenAI, Anthropic, OpenRouter, DeepSeek
    r"|AIza[\w-]{30,}"  # Google
    r"|(?:gsk|xai|hf|r8|pplx|nvapi|csk|tgp_v1|dapi)[_-]\w{20,}"
    r"|gh[pousr]_\w{20,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}"  # AWS
    r"|whsec_[\w+/-]{16,}=*"
    r"|af_[0-9a-f]{12}_[0-9a-f]{48}"  # this platform's own
    r"|afr_[0-9a-f]{32}_[\w-]{43}|afi_[\w-]{43}"  # of people
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+"  # a JSON Web Token
    r"|(?i:bearer)\s+[\w.~+/-]{16,}=*"
    r")"
)
HINTS = (
    *(
        "api-key",
        "api_key",
        "apikey",
        "authorization",
        "access_token",
        "access-token",
        "sig=",
        "key=",
        "token=",
    ),
    *(
        "bearer",
        "sk-",
        "rk-",
        "pk-",
        "aiza",
        "gsk_",
        "gsk-",
        "xai-",
        "xai_",
        "hf_",
        "hf-",
        "r8_",
        "r8-",
        "pplx",
    ),
    *(
        "nvapi",
        "csk",
        "tgp_v1",
        "dapi",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "akia",
        "asia",
        "whsec_",
        "af_",
        "afr_",
        "afi_",
    ),
    "eyj",
)
"""Without any of these, in small letters, no pattern for a key can fit."""
ADDRESSES = re.compile(
    r"(?<![\w.])(?:(?:10|127)\.\d{1,3}|169\.254|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2}(?!\.?\w)(?::\d+)?"
    r"|\[?\b(?:f[cd][0-9a-f]{2}|fe80):[0-9a-f:]+\]?(?::\d+)?"
    r"|(?<![\w.])(?:localhost|[\w-]+(?:\.[\w-]+)*\.(?:internal|local|svc|lan|corp|intranet))\b(?::\d+)?",
    re.IGNORECASE,
)


class Redactor:
    """Knows the secrets of one installation: those of its settings, and of the variables that LiteLLM reads."""

    def __init__(self, settings: Settings, variables: Mapping[str, str] | None = None) -> None:
        values = settings.model_dump()
        known = {*_secrets(values), *_secrets(os.environ if variables is None else variables)}
        self._secrets = sorted(known, key=len, reverse=True)
        self._hosts = _pattern(set(_hosts(values)))
        self._known = _pattern(known)

    def clean(self, text: str) -> str:
        """`text` for a log: without secrets."""
        if self._known:
            text = self._known.sub(MARK, text)
        if "@" in text:
            text = URL_PASSWORD.sub(rf"\1{MARK}", text)
        lower = text.lower()
        if not any(hint in lower for hint in HINTS):
            return text  # nearly all lines: the patterns take ten times as long as the look
        text = NAMED_KEY.sub(rf"\1{MARK}", text)
        return SHAPES.sub(MARK, text)

    def public(self, text: str) -> str:
        """`text` for a job's owner: without addresses of this installation either."""
        text = self.clean(text)
        if self._hosts:
            text = self._hosts.sub(ADDRESS_MARK, text)
        return ADDRESSES.sub(ADDRESS_MARK, text)

    def scrub(self, body: bytes) -> bytes:
        """A webhook's body without the known secrets; what merely looks like one may be a customer's text."""
        for secret in self._secrets:
            raw = secret.encode(errors="replace")
            if raw in body:
                body = body.replace(raw, MARK.encode())
        return body


def _secrets(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        reveal = getattr(value, "get_secret_value", None)
        text = str(reveal() if reveal else value or "")
        if SECRET_NAME.search(name):
            yield from _spellings(text.strip())
        elif "://" in text:
            yield from _spellings(_password(text))


def _password(url: str) -> str:
    try:
        return unquote(urlsplit(url).password or "")
    except ValueError:
        return ""


def _spellings(secret: str) -> Iterator[str]:
    """A secret as it is, as a URL has it and as JSON has it. A plain word is none."""
    is_word = secret.isalpha() and len(secret) <= LONGEST_WORD
    if len(secret) >= SHORTEST and not is_word:
        yield secret
        yield quote(secret, safe="")
        yield json.dumps(secret)[1:-1]


def _hosts(values: Mapping[str, Any]) -> Iterator[str]:
    """The hosts that settings name, but for the providers' own."""
    for value in values.values():
        if not isinstance(value, str) or "://" not in value:
            continue
        for part in value.replace(",", ";").split(";"):
            try:
                host = urlsplit(part if "://" in part else f"x://{part}").hostname
            except ValueError:
                continue
            if host and "." in host and not PUBLIC_HOSTS.search(host):
                yield host


def _pattern(words: Iterable[str]) -> re.Pattern[str] | None:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
