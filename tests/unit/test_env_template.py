"""`.env.production` has every setting and what compose reads, and none of it can be taken as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory.cli.env_file import find_faults
from factory.cli.init_env import names_of, new_secrets
from factory.config import Settings, setting_faults
from factory.config.environment import PARTS
from factory.config.template import COMPOSE, FILE, GUIDE, MARK, PRODUCTION, Entry, groups, template
from factory.env_file import parse_env

ROOT = Path(__file__).parents[2]
SETTINGS = {name.upper() for name in Settings.model_fields} | {n for p in PARTS.values() for n in p}
THE_GUIDES = {
    *("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY"),
    *("DATABASE_URL", "REDIS_URL", "JWT_SECRET_KEY", "API_BASE_URL", "API_CORS_ORIGINS"),
    *("SSL_CERT_PATH", "SSL_KEY_PATH"),
    *("DATABASE_USER", "DATABASE_PASSWORD", "REDIS_PASSWORD", "GRAFANA_PASSWORD"),
    *("GRAFANA_API_KEY", "SENTRY_DSN"),
    *("LOG_LEVEL", "WORKER_COUNT", "ENABLE_METRICS", "DATABASE_POOL_SIZE", "ENABLE_QUERY_CACHE"),
    "CACHE_TTL_MEDIUM",
}
"""What the deployment guide has an operator set."""
NO_KEYS = dict.fromkeys(
    ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "SLACK_WEBHOOK_URL"), ""
)


def entries() -> list[Entry]:
    return [entry for group in groups().values() for entry in group]


def test_the_file_is_that_of_the_code() -> None:
    assert (ROOT / FILE).read_text() == template(), "run: python -m factory.config.reference"


def test_its_names_are_the_settings_and_what_compose_reads() -> None:
    names = [entry.name for entry in entries()]
    assert len(names) == len(set(names))
    assert set(names) == SETTINGS | set(COMPOSE)


def test_every_name_of_the_guide_is_there_or_has_a_word_on_what_stands_for_it() -> None:
    assert THE_GUIDES - SETTINGS - set(COMPOSE) == set(GUIDE)


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_each_has_a_line_of_comment_that_marks_what_compose_reads(entry: Entry) -> None:
    assert len(entry.comment) > len(MARK) + 5
    assert "\n" not in entry.comment
    assert (MARK in entry.comment) is (entry.name in COMPOSE)


def test_what_is_active_is_read_as_it_stands() -> None:
    read = {line.name: line.value for line in parse_env(template())}
    assert read == {entry.name: entry.value for entry in entries() if entry.active}
    assert set(PRODUCTION) <= set(read)


def test_every_placeholder_is_found_and_nothing_else() -> None:
    found = {fault.name for fault in find_faults(template())}
    whole = {"DATABASE_HOST", "DATABASE_NAME", "DATABASE_USER", "REDIS_HOST", "POSTGRES_PROFILE"}
    whole |= {"LOG_LEVEL", "WORKER_COUNT", "DATABASE_POOL_SIZE", "ENABLE_METRICS"}
    whole |= {"TRUSTED_PROXIES"}
    assert found == {entry.name for entry in entries() if entry.active} - whole


def test_what_is_shown_as_a_default_is_one() -> None:
    """Taken as they stand, all lines with a # are what holds without them."""
    values = {entry.name: entry.value for entry in entries() if entry.value and not entry.active}
    examples = {name: values.pop(name) for name in ("DATABASE_URL", "REDIS_URL")}
    assert all("yourdomain" in url for url in examples.values())
    shown = {name: value for name, value in values.items() if name in SETTINGS}
    given = {"database_url": "postgresql://h/d", "redis_url": "redis://h", "secret_key": "k" * 32}
    taken = {name.lower(): value for name, value in shown.items()}
    assert Settings(**given, **taken) == Settings(**given)


def test_filled_in_it_is_good() -> None:
    text = template({**new_secrets(), **names_of("api.factory.test"), **NO_KEYS})
    values = {line.name: line.value for line in parse_env(text) if line.name}
    assert list(find_faults(text)) == []
    assert list(setting_faults(values)) == []


def test_secrets_are_made_by_chance() -> None:
    first, second = new_secrets(), new_secrets()
    assert len({*first.values(), *second.values()}) == len(first) + len(second)
