"""The settings that providers' files declare: a key each, and a base URL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from factory.config.values import check_http_url, check_key
from factory.providers import PROVIDERS

ApiKey = Annotated[str, AfterValidator(check_key)]
"""A value that is sent in a header; placeholders are refused."""
HttpUrl = Annotated[str, AfterValidator(check_http_url)]

Fields = dict[str, tuple[Any, Any]]


def provider_fields() -> Fields:
    """Type and default of each, by its name in small letters: all keys, then all base URLs."""
    return dict([*_keys(), *_base_urls()])


def key_names() -> tuple[str, ...]:
    """The variables that hold providers' keys."""
    return tuple(one.key.setting for one in PROVIDERS if one.key)


def _keys() -> Iterator[tuple[str, tuple[Any, Any]]]:
    for one in PROVIDERS:
        if one.key:
            what = f"Key of `{one.name}/…`" + (
                "." if one.key.needed else ", if its server wants one."
            )
            yield one.key.setting.lower(), (ApiKey | None, Field(default=None, description=what))


def _base_urls() -> Iterator[tuple[str, tuple[Any, Any]]]:
    for one in PROVIDERS:
        url = one.base_url
        kind = HttpUrl if url.default else HttpUrl | None
        yield url.setting.lower(), (kind, Field(default=url.default, description=url.what))
