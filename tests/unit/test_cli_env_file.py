from __future__ import annotations

import pytest

from factory.cli.env_file import find_faults

GOOD_SECRET = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "line",
    [
        "OPENAI_API_KEY=your_openai_key_here",
        "OPENAI_API_KEY=your-key-here",
        'GRAFANA_PASSWORD="changeme"',
        "GRAFANA_PASSWORD=Change_Me # later",
        "SENTRY_DSN=<dsn>",
        "JWT_SECRET_KEY=$(openssl rand -base64 32)",
        "export API_BASE_URL=https://api.yourdomain.com",
        "DATABASE_URL=postgresql://prod_user:STRONG_PASSWORD@db:5432/agent_factory_prod",
        "REDIS_URL=redis://redis.example.com:6379/0",
        "OPENAI_API_KEY=sk-proj-...",
        "SECRET_KEY=short",
        "SERVER_NAME=https://api.factory.test",
        "FLOWER_BASIC_AUTH=admin",
        "FLOWER_BASIC_AUTH=admin:a:b",
        "POSTGRES_PROFILE=8GB",
        "NETWORK_PREFIX=10.0.0",
        "DATABASE_PASSWORD=pa$word",
        'DATABASE_PASSWORD="pa$word"',
        "REDIS_PASSWORD = ab$$cd",
        "JWT_SECRET_KEY=",
        "no assignment",
    ],
)
def test_a_value_that_must_not_go_to_production_is_found(line: str) -> None:
    assert [fault.line for fault in find_faults(f"# first\n{line}\n")] == [2]


@pytest.mark.parametrize(
    "line",
    [
        "# OPENAI_API_KEY=your_openai_key_here",
        "",
        f"SECRET_KEY={GOOD_SECRET}",
        f"JWT_SECRET_KEY='{GOOD_SECRET}'",
        "OPENAI_API_KEY=sk-proj-4fT9",
        "ANTHROPIC_API_KEY=",
        "SERVER_NAME=api.factory.test",
        "FLOWER_BASIC_AUTH=admin:0123abcd",
        "POSTGRES_PROFILE=16gb",
        "NETWORK_PREFIX=172.30.9",
        "DATABASE_PASSWORD='pa$word'",
        "DATABASE_PASSWORD = 'pa$word' # why",
        "WORKER_COUNT=4 # change_me if there are more cores",
        "DATABASE_URL=postgresql://prod_user:p%40ss@postgres-service:5432/agent_factory_prod",
    ],
)
def test_a_value_that_is_meant_passes(line: str) -> None:
    assert list(find_faults(line)) == []


def test_a_fault_never_repeats_the_value() -> None:
    (fault,) = find_faults("SECRET_KEY=hunter2-changeme")
    assert "hunter2" not in repr(fault)
