"""What people put into settings: corrected where harmless, else refused by name, all at once."""

from __future__ import annotations

import pytest

from factory.config import load_settings
from factory.errors import Misconfigured

GOOD = {
    "DATABASE_URL": "postgresql://user@host/name",
    "REDIS_URL": "redis://host:6379/0",
    "SECRET_KEY": "5f1c0de9a7b34286" + "e2d1f80934c7ab65",
}


def refused(**variables: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        load_settings({**GOOD, **variables})
    return caught.value.message


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("OPENAI_API_KEY", "sk-proj-4fT9\n", "sk-proj-4fT9"),
        ("OPENAI_API_KEY", "  'sk-proj-4fT9' \r\n", "sk-proj-4fT9"),
        ("OPENAI_API_KEY", "", None),
        ("OPENAI_API_KEY", " \n", None),
        ("OPENAI_API_KEY", '""', None),
        ("OPENAI_BASE_URL", "", "https://api.openai.com/v1"),
        ("OPENAI_BASE_URL", "  ", "https://api.openai.com/v1"),
        ("OPENAI_BASE_URL", '"http://10.0.0.1/v1"', "http://10.0.0.1/v1"),
        ("OPENAI_API_KEY", "EMPTY", "EMPTY"),
        ("WORKER_SLOTS", "", 500),
        ("WORKER_SLOTS", " 8 ", 8),
        ("LEASE_S", "' '", 15.0),
        ("LEASE_S", "2.5", 2.5),
        ("METRICS_PORT", "", 9090),
        ("WEBHOOK_ALLOW_LOOPBACK", "", False),
        ("WEBHOOK_ALLOW_LOOPBACK", "Yes", True),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("LOG_LEVEL", "", "INFO"),
        ("LOG_LEVEL", "warn", "WARNING"),
        ("METRICS_PORT", "tcp://10.0.0.1:9090", 9090),
        ("REDIS_URL", "rediss://h/0?ssl_cert_reqs=none", "rediss://h/0?ssl_cert_reqs=none"),
        ("LOG_FORMAT", "JSON", "json"),
        ("DATABASE_URL", " 'postgresql://user@host/name'\n", "postgresql://user@host/name"),
    ],
)
def test_what_is_harmless_is_corrected(name: str, given: str, taken: object) -> None:
    assert getattr(load_settings({**GOOD, name: given}), name.lower()) == taken


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("OPENAI_API_KEY", "your-key-here", "placeholder"),
        ("OPENAI_API_KEY", "YOUR_API_KEY", "placeholder"),
        ("OPENAI_API_KEY", "changeme", "placeholder"),
        ("OPENAI_API_KEY", "sk-...", "placeholder"),
        ("OPENAI_API_KEY", "sk-…", "placeholder"),
        ("ANTHROPIC_API_KEY", "sk-ant-xxxxxxxx", "placeholder"),
        ("ANTHROPIC_API_KEY", "<key>", "placeholder"),
        ("GOOGLE_API_KEY", "xxx", "placeholder"),
        ("GOOGLE_API_KEY", "null", "placeholder"),
        ("GOOGLE_API_KEY", "$(cat key)", "command that nobody runs"),
        ("GOOGLE_API_KEY", "${GOOGLE_KEY}", "variable that nobody expands"),
        ("OPENAI_API_KEY", "sk-proj\n4fT9", "white space or a control character"),
        ("OPENAI_API_KEY", "sk-proj 4fT9", "white space or a control character"),
        ("OPENAI_API_KEY", "sk-proj\x004fT9", "white space or a control character"),
        ("OPENAI_API_KEY", "sk-\u200bproj", "not ASCII"),
        ("OPENAI_API_KEY", "ключ", "not ASCII"),
        ("SECRET_KEY", "$(openssl rand -hex 32) and some more", "command that nobody runs"),
        ("SECRET_KEY", "a" * 40, "repeats itself"),
        ("SECRET_KEY", "abc" * 20, "repeats itself"),
        ("SECRET_KEY", "1234567890" * 4, "repeats itself"),
        ("SECRET_KEY", "0101101110110100111010110111000100101", "fewer than 8 different"),
        ("SECRET_KEY", "changeme-changeme!changeme,changeme", "placeholder"),
        ("SECRET_KEY", "short", "32 characters or more"),
        ("SECRET_KEY", "", "is not set"),
        ("JWT_SECRET_KEY", "$(openssl rand -hex 32) and some more", "command that nobody runs"),
        ("JWT_SECRET_KEY", "<make one: openssl rand -hex 32>", "placeholder"),
        ("JWT_SECRET_KEY", "abc" * 20, "repeats itself"),
        ("JWT_SECRET_KEY", "short", "32 characters or more"),
        ("OPENAI_BASE_URL", "api.openai.com/v1", "must start with http"),
        ("OPENAI_BASE_URL", "localhost:11434", "must start with http"),
        ("OPENAI_BASE_URL", "http://", "no host"),
        ("OPENAI_BASE_URL", "http://host:99999/v1", "not a URL"),
        ("OPENAI_BASE_URL", "https://host/v1?x=1", "before ?"),
        ("OPENAI_BASE_URL", "https://ho st/v1", "white space"),
        ("API_BASE_URL", "<url>", "placeholder"),
        ("WORKER_SLOTS", "-1", "must be 1 or more, not '-1'"),
        ("WORKER_SLOTS", "many", "must be a whole number, not 'many'"),
        ("WORKER_SLOTS", "1.5", "must be a whole number"),
        ("WORKER_SLOTS", "9" * 5000, "must be a"),
        ("LEASE_S", "15s", "in seconds"),
        ("LEASE_S", "15 s", "in seconds"),
        ("LEASE_S", "nan", "must be a finite number"),
        ("LEASE_S", "inf", "must be a finite number"),
        ("LEASE_S", "0", "must be more than 0"),
        ("PAYLOAD_TTL_DAYS", "30d", "in days"),
        ("METRICS_PORT", "0", "must be 1 or more"),
        ("METRICS_PORT", "65536", "must be 65535 or less"),
        ("METRICS_PORT", "-9090", "must be 1 or more"),
        ("WEBHOOK_ALLOW_LOOPBACK", "maybe", "must be true or false"),
        ("LOG_LEVEL", "loud", "'DEBUG'"),
        ("LOG_FORMAT", "xml", "must be 'json' or 'text'"),
        ("DATABASE_URL", "", "neither is DATABASE_HOST"),
        ("REDIS_URL", "", "neither is REDIS_HOST"),
        ("DATABASE_URL", "mysql://host/name", "must start with postgresql://"),
        ("DATABASE_URL", "host/name", "must start with postgresql://"),
        ("DATABASE_URL", "postgresql://user:<password>@host/name", "placeholder"),
        ("REDIS_URL", "host:6379", "must start with redis://"),
        ("REDIS_URL", "redis://host:6379/jobs", "number of a database"),
        ("REDIS_URL", "redis://host:port/0", "port"),
        ("REDIS_URL", "rediss://host:6379/0?ssl_cert_reqs=never", "ssl_cert_reqs"),
        ("REDIS_CA_FILE", "/nowhere/ca.pem", "No such file"),
        ("REDIS_CA_FILE", __file__, "holds no certificate"),
        ("OPENAI_API_KEY", "sk-ant-api03-4fT9", "a key of Anthropic"),
        ("ANTHROPIC_API_KEY", "sk-proj-4fT9", "a key of OpenAI"),
        ("GOOGLE_API_KEY", "sk-proj-4fT9", "a key of OpenAI"),
        ("OPENAI_BASE_URL", "https://api.openai.com/", "lacks its version"),
        ("OPENAI_BASE_URL", "https://llm.corp/v1/chat/completions", "names a call"),
        ("ANTHROPIC_BASE_URL", "https://api.anthropic.com/v1", "must end before /v1"),
        ("ANTHROPIC_BASE_URL", "https://api.anthropic.com/v1/messages", "names a call"),
        ("OLLAMA_BASE_URL", "http://127.0.0.1:11434/api/chat", "names a call"),
        ("MISTRAL_BASE_URL", "https://api.mistral.ai/", "lacks its version"),
        ("OPENAI_COMPATIBLE_BASE_URL", "http://h/v1/chat/completions", "names a call"),
        ("OPENAI_COMPATIBLE_BASE_URL", "h:8000/v1", "must start with http"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(name: str, given: str, words: str) -> None:
    message = refused(**{name: given})
    assert message.startswith(f"{name} ")
    assert words in message


@pytest.mark.parametrize("letter", "/#@?%")
@pytest.mark.parametrize(
    ("url", "instead"),
    [
        ("postgresql://user:pa{}ss@host:5432/name", "DATABASE_PASSWORD"),
        ("redis://:pa{}ss@host:6379/0", "REDIS_PASSWORD"),
    ],
)
def test_a_password_that_is_not_encoded_is_refused(letter: str, url: str, instead: str) -> None:
    name = instead.replace("PASSWORD", "URL")
    message = refused(**{name: url.format(letter)})
    assert message.startswith(f"{name} ")
    assert instead in message
    assert "ss@host" not in message


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "postgresql://user@a:5432,b:5433/name?target_session_attrs=read-write"),
        ("DATABASE_URL", "postgresql://user:p%2F%40%23@[::1]:5432/name"),
        ("DATABASE_URL", "postgresql://user@/name?host=%2Frun%2Fpostgres"),
        ("DATABASE_URL", "postgresql+psycopg2://user:a:b@host/name"),
        ("REDIS_URL", "unix:///tmp/a:b/valkey.sock?db=0"),
        ("REDIS_URL", "rediss://user:p%40ss@host/1"),
        ("REDIS_URL", "redis://[::1]:6379"),
        ("REDIS_URL", "sentinel://a:26379;sentinel://b:26379/0?master_name=jobs"),
    ],
)
def test_urls_of_every_usual_form_pass(name: str, url: str) -> None:
    assert getattr(load_settings({**GOOD, name: url}), name.lower()) == url


def test_all_wrong_settings_are_named_at_once_and_no_secret_is() -> None:
    message = refused(
        OPENAI_API_KEY="hunter2-changeme",
        WORKER_SLOTS="-5",
        LEASE_S="15s",
        REDIS_URL="hunter2:6379",
        SECRET_KEY="hunter2",
    )
    names = [line.split()[0] for line in message.splitlines()[1:]]
    assert message.startswith("5 settings are wrong:")
    assert sorted(names) == [
        "LEASE_S",
        "OPENAI_API_KEY",
        "REDIS_URL",
        "SECRET_KEY",
        "WORKER_SLOTS",
    ]
    assert "hunter2" not in message


def test_a_server_that_plays_another_provider_may_want_any_key() -> None:
    settings = load_settings(
        {**GOOD, "OPENAI_API_KEY": "sk-ant-1", "OPENAI_BASE_URL": "https://llm.corp/v1"}
    )
    assert settings.openai_api_key == "sk-ant-1"


def test_where_weak_settings_are_allowed_a_placeholder_is_no_key_and_a_weak_secret_is_one() -> None:
    settings = load_settings(
        {**GOOD, "ALLOW_WEAK_SETTINGS": "true", "OPENAI_API_KEY": "sk-...", "SECRET_KEY": "a" * 40}
    )
    assert settings.openai_api_key is None
    assert settings.secret_key == "a" * 40


def test_tokens_of_people_are_signed_with_a_secret_of_their_own_or_else_with_the_one() -> None:
    one, other, third = GOOD["SECRET_KEY"], "9d2e7c41b8f0536a" + "1c4be87f20d39a56", "earlier"
    assert load_settings(GOOD).token_secrets == (one,)
    assert load_settings({**GOOD, "SECRET_KEY_PREVIOUS": third}).token_secrets == (one, third)
    own = {**GOOD, "SECRET_KEY_PREVIOUS": third, "JWT_SECRET_KEY": other}
    assert load_settings(own).token_secrets == (other,)
    turning = {**own, "JWT_SECRET_KEY_PREVIOUS": third}
    assert load_settings(turning).token_secrets == (other, third)
