"""What is taken out of what leaves, and what stays."""

from __future__ import annotations

import pytest

from factory.config import Settings
from factory.redaction import MARK, Redactor

SETTINGS = Settings(
    database_url="postgresql://factory:p%40ss+w0rd!x@db.example.net/x",
    redis_url="redis://:redispass-1@cache.example.net",
    limiter_redis_url="redis://:limiterpass-2@limits.example.net/0",
    secret_key="s3cret" * 6,
    openai_api_key="opaque+key/of=openai",
    openai_base_url="http://proxy.example.net:8080/v1",
)
LETTERS = "wqzjxkvbnmplhgfdsaty"
REDACTOR = Redactor(
    SETTINGS,
    {
        "AZURE_API_KEY": "azure-0123456789",
        "GROQ_API_KEY": LETTERS,
        "DATABASE_PASSWORD": "correcthorse",
        "HOME": "/home/somebody",
    },
)


@pytest.mark.parametrize(
    "secret",
    [
        "opaque+key/of=openai",
        "opaque%2Bkey%2Fof%3Dopenai",
        "p@ss+w0rd!x",
        "redispass-1",
        "limiterpass-2",
        "s3cret" * 6,
        "azure-0123456789",
        LETTERS,
        "sk-" + "proj-abcdefghijklmnopqrstuvwxyz",
        "sk-ant-api03-abcdefghijklmnopqrstuvwxyz",
        "AI" + "zaSyA1234567890abcdefghijklmnopqrstuv",
        "af_0123456789ab_" + "0" * 48,
        f"afr_{'0' * 32}_{'A' * 43}",
        f"afi_{'A-' * 21}A",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def",
    ],
)
def test_a_secret_is_taken_out(secret: str) -> None:
    for text in (secret, f"it said {secret!r}, and no more", f"a={secret};b"):
        assert secret not in REDACTOR.clean(text)
        assert MARK in REDACTOR.clean(text)
        assert secret not in REDACTOR.public(text)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("redis://user:pw-1234@host/0", "redis://user:[redacted]@host/0"),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer [redacted]"),
        ("{'x-api-key': 'abcdefgh1234'}", "{'x-api-key': '[redacted]'}"),
        ("GET /v1?key=abcdefgh1234&alt=json", "GET /v1?key=[redacted]&alt=json"),
    ],
)
def test_the_words_around_a_secret_stay(text: str, clean: str) -> None:
    assert REDACTOR.clean(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided. You can find your API key in the console.",
        "bearer authentication is required",
        "model gpt-4o-mini-2024-07-18 is risk-free and task-oriented-as-can-be",
        "openai answered 429: Rate limit reached for requests per min (RPM): Limit 3",
        "see https://platform.openai.com/docs/guides/rate-limits?context=tier-free",
        "postgres answered in 10.5 s; version 10.1.2",
        "correcthorse is a plain word",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert REDACTOR.public(text) == text


@pytest.mark.parametrize(
    "address",
    [
        "10.2.3.4:8080",
        "127.0.0.1",
        "192.168.1.7",
        "172.20.0.3:443",
        "proxy.example.net",
        "db.example.net",
        "llm.prod.svc",
        "fd12:3456::1",
    ],
)
def test_an_owner_reads_no_address_of_the_installation(address: str) -> None:
    text = REDACTOR.public(f"upstream {address} failed")
    assert address not in text
    assert text.startswith("upstream [address]")


def test_a_body_keeps_what_only_looks_like_a_secret() -> None:
    body = b'{"text": "use sk-abcdefghijklmnopqrstuvwx", "echo": "opaque+key/of=openai"}'
    scrubbed = REDACTOR.scrub(body)
    assert b"sk-abcdefghijklmnopqrstuvwx" in scrubbed
    assert b"opaque" not in scrubbed
