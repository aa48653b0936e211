"""docker-compose.yml as compose reads it: what is refused, and that each setting comes to who reads it."""

from __future__ import annotations

import copy
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.validate.checks import compose as check
from deploy.validate.composition import (
    FILE,
    NETWORK,
    OWN_SERVERS,
    faults,
    filled_template,
    rendered,
    variables,
)
from deploy.validate.tools import Invalid, Tools, Unavailable
from factory.config import Settings, load_settings
from factory.config.provider_fields import provider_fields
from factory.config.template import COMPOSE
from factory.providers import PROVIDERS

ROOT = Path(__file__).parents[3]
WORKER = "worker"
PROGRAMS = ("migrate", "gateway-1", "gateway-2", "dispatcher", "exporter", "flower")
ONLY_WORKERS = {
    *provider_fields(),
    *("provider_proxy_url", "webhook_proxy_url", "no_proxy"),
}
"""What leads to providers and receivers."""
ONLY_BACKUPS = {"backup_recipient", "backup_identity_file", "backup_keep_days"}
"""What no program reads that runs all day."""
FIXED = {
    "metrics_port": "Prometheus asks there, and no port of it is published",
    "gateway_metrics_port": "the same",
    "metrics_host": "the image's",
    "backup_dir": "mounted where the image expects it",
}
CA_FILE = ssl.get_default_verify_paths().openssl_cafile
OTHERS = {
    "secret_key": "9f2c5d1e7ab34860" * 3,
    "secret_key_previous": "1a5c7d2e9fb34864" * 3,
    "jwt_secret_key": "4b8e1f6a3dc95072" * 3,
    "jwt_secret_key_previous": "7d0c2b9e5fa13846" * 3,
    **{one.key.setting.lower(): f"key-of-{one.name}" for one in PROVIDERS if one.key},
    **{one.base_url.setting.lower(): f"http://{one.name}.test/v9" for one in PROVIDERS},
    "api_base_url": "https://api.test",
    "extra_models": "openai/ours",
    "provider_proxy_url": "http://proxy.test:3128",
    "webhook_proxy_url": "http://hooks.test:3128",
    "no_proxy": "inside.test",
    "webhook_allowed_hosts": "hooks.corp",
    "agents_dir": "other-agents",
    "log_dir": "/var/log/other",
    "log_level": "ERROR",
    "log_format": "text",
    "redis_ca_file": CA_FILE,
    "redis_sentinel_password": "p/w#3",
    "limiter_redis_url": "rediss://limits.test/2",
    "backup_recipient": "age1-another",
    "backup_identity_file": "/run/secrets/backup.key",
}
"""Values that no setting has by default, where they are no numbers or switches."""
OTHER_PARTS = {
    "DATABASE_HOST": "db.test",
    "DATABASE_PORT": "5433",
    "DATABASE_NAME": "name",
    "DATABASE_USER": "role",
    "DATABASE_PASSWORD": "p/w#1",
    "DATABASE_SSLMODE": "verify-full",
    "DATABASE_SSLROOTCERT": CA_FILE,
    "REDIS_HOST": "redis.test",
    "REDIS_PORT": "6380",
    "REDIS_USER": "user",
    "REDIS_PASSWORD": "p/w#2",
    "REDIS_DB": "3",
}


@pytest.fixture(scope="module")
def tools() -> Tools:
    found = Tools(ROOT)
    try:
        found.python("docker-compose")
    except Unavailable as reason:
        pytest.skip(str(reason))
    return found


@pytest.fixture(scope="module")
def document(tools: Tools) -> Any:
    return rendered(tools, filled_template())


def test_it_is_valid(tools: Tools) -> None:
    check.check(tools)


BREAKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "published": (
        lambda s: s["postgres"].update(ports=[{"target": 5432, "published": "5432"}]),
        "postgres: publishes a port",
    ),
    "latest": (lambda s: s["grafana"].update(image="grafana/grafana:latest"), "not pinned"),
    "untagged": (lambda s: s["nginx"].update(image="nginx"), "has no tag"),
    "unlimited": (lambda s: s["worker"].pop("deploy"), "worker: has no memory limit"),
    "elsewhere": (lambda s: s["flower"].update(networks={"default": None}), "flower: is not on"),
    "address": (
        lambda s: s["gateway-1"]["networks"][NETWORK].update(ipv4_address="172.30.252.130"),
        "gateway-1: its address 172.30.252.130 may be given to another",
    ),
    "missing": (
        lambda s: s["nginx"]["volumes"][0].update(source=str(ROOT / "no-such.conf")),
        "mounts no-such.conf",
    ),
    "unchecked": (
        lambda s: s["redis-broker"].pop("healthcheck"),
        "waits for the health of redis-broker, which has no health check",
    ),
}


@pytest.mark.parametrize("kind", BREAKS)
def test_what_breaks_a_rule_is_found(document: Any, kind: str) -> None:
    broken = copy.deepcopy(document)
    change, words = BREAKS[kind]
    change(broken["services"])
    assert any(words in fault for fault in faults(broken, ROOT))


@pytest.mark.parametrize("name", ["SECRET_KEY", "POSTGRES_PASSWORD"])
def test_nothing_starts_without_a_secret(tools: Tools, name: str) -> None:
    with pytest.raises(Invalid, match=f"set {name} in .env"):
        rendered(tools, filled_template(**{name: ""}))


def other_value(name: str) -> str:
    """A good value that is not the default."""
    if name in OTHERS:
        return OTHERS[name]
    field = Settings.model_fields[name]
    if field.annotation is bool:
        return str(not field.default).lower()
    least = next((getattr(m, "ge", getattr(m, "gt", None)) for m in field.metadata), None)
    assert least is not None, f"OTHERS needs a good value for {name} that is not its default"
    value = least + 7
    return str(int(value) if value != field.default else int(value) + 1)


def env_of(values: dict[str, str]) -> str:
    return "\n".join(f"{name}='{value}'" for name, value in values.items())


def compose_values() -> dict[str, str]:
    return {name: f"marked-{name.lower()}" for name in COMPOSE} | {
        "FLOWER_BASIC_AUTH": "marked:flower",
        "POSTGRES_PROFILE": "16gb",
        "NETWORK_PREFIX": "172.30.9",
    }


def test_every_setting_reaches_the_programs_that_read_it(tools: Tools) -> None:
    """The whole of Settings, by the programs' own loading of what compose gives them."""
    names = [
        name
        for name in Settings.model_fields
        if name not in ("database_url", "redis_url", "allow_weak_settings") and name not in FIXED
    ]
    values = {**{name.upper(): other_value(name) for name in names}, **OTHER_PARTS}
    wanted = load_settings(values)
    plain = load_settings({**OTHER_PARTS, "SECRET_KEY": OTHERS["secret_key"], "REDIS_TLS": "true"})
    same = {name for name in names if getattr(wanted, name) == getattr(plain, name)}
    assert same == {"secret_key", "redis_tls"}, "values that would pass unnoticed"
    services = rendered(tools, env_of({**values, **compose_values()}))["services"]
    lacking = {WORKER: ONLY_BACKUPS, "backup": ONLY_WORKERS}
    for program in (WORKER, "backup", *PROGRAMS):
        found = load_settings(variables(services[program]))
        apart = {n for n in names if getattr(found, n) != getattr(wanted, n)}
        assert apart == lacking.get(program, ONLY_WORKERS | ONLY_BACKUPS), program


def test_backups_go_where_the_env_file_says(tools: Tools) -> None:
    services = rendered(tools, filled_template(BACKUP_DIR="/var/backups/agent-factory/other"))
    [volume] = [v for v in services["services"]["backup"]["volumes"] if v["target"] == "/backups"]
    assert volume["source"] == "/var/backups/agent-factory/other"
    assert variables(services["services"]["backup"])["BACKUP_DIR"] == "/backups"


def test_servers_of_ones_own_are_named_by_their_urls_and_none_is_started(tools: Tools) -> None:
    urls = {"DATABASE_URL": "postgresql://u@a,b/x", "REDIS_URL": "rediss://cache.test/5"}
    services = rendered(tools, filled_template(**urls), files=(FILE, OWN_SERVERS))["services"]
    assert set(services) & {"postgres", "redis-broker", "redis-cache"} == set()
    for program in (WORKER, *PROGRAMS):
        found = load_settings(variables(services[program]))
        assert (found.database_url, found.redis_url) == tuple(urls.values())


def test_what_compose_reads_itself_reaches_a_service_or_the_file(tools: Tools) -> None:
    values = compose_values()
    found = str(rendered(tools, filled_template(**values)))
    secret = "SLACK_WEBHOOK_URL"
    lost = {name for name, value in values.items() if value not in found and name != secret}
    assert lost == set()
    assert f"'environment': '{secret}'" in found


def test_what_is_not_set_is_left_to_the_program(document: Any) -> None:
    """An empty WEB_CONCURRENCY would end gunicorn."""
    environment = variables(document["services"]["gateway-1"])
    assert environment["WEB_CONCURRENCY"] == "4"
    unset = {name for name, value in environment.items() if value == ""}
    assert unset == set()


def test_secrets_of_providers_go_to_workers_alone(tools: Tools) -> None:
    text = filled_template(OPENAI_API_KEY="key-of-openai")
    services = rendered(tools, text)["services"]
    assert [n for n, one in services.items() if "key-of-openai" in str(one)] == [WORKER]
