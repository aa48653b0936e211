"""Well-formed values in the wrong place: another provider's key, a call's address for a base URL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from factory.config.faults import Fault
from factory.providers import PROVIDERS
from factory.providers.provider import BaseUrl, Key

OWNERS = {
    start: one.key.owner or one.title for one in PROVIDERS if one.key for start in one.key.begins
}
"""How each provider's keys begin; no prefix begins like another."""
CALLS = ("/completions", "/responses", "/messages", "/embeddings", "/api/chat", ":generateContent")


def mixups(found: Mapping[str, str]) -> Iterator[Fault]:
    """Settings that a provider would refuse at every call. The key of a provider whose base URL is set is not checked."""
    for one in PROVIDERS:
        if one.key and one.base_url.setting not in found:
            yield from _another_owner(one.key, one.key.owner or one.title, found)
    for one in PROVIDERS:
        yield from _no_base(one.base_url, found)


def _another_owner(key: Key, owner: str, found: Mapping[str, str]) -> Iterator[Fault]:
    value = found.get(key.setting, "")
    begins = next((start for start in OWNERS if value.startswith(start)), None)
    if begins and OWNERS[begins] != owner:
        yield Fault(key.setting, f"is a key of {OWNERS[begins]}", weak=True)


def _no_base(base: BaseUrl, found: Mapping[str, str]) -> Iterator[Fault]:
    url = found.get(base.setting, "").rstrip("/")
    call = next((path for path in CALLS if url.endswith(path)), None)
    if call:
        reason = f"names a call: it must end before {call} and what leads to it"
        yield Fault(base.setting, reason, weak=True)
    elif base.slip and url == base.slip[0]:
        yield Fault(base.setting, base.slip[1], weak=True)
