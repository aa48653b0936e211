"""The template of `.env`: every setting, then what compose itself reads, a line of comment on each.

`python -m factory.config.reference` writes it to `.env.production`; `factory init-env` writes one with secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from factory.config.environment import PARTS
from factory.config.reference import allowed, descriptions, sections, unit
from factory.config.settings import Settings
from factory.providers import PROVIDERS

FILE = Path(".env.production")
MARK = "[compose]"
"""The note in the comment of a variable that no program of the platform reads."""
SECRET = "<make one: openssl rand -hex 32>"  # noqa: S105 - a placeholder
WORDS: Mapping[str, str] = MappingProxyType({"s": "seconds"})
NOTHING: Mapping[str, str] = MappingProxyType({})

PRODUCTION: Mapping[str, str] = MappingProxyType(
    {
        "DATABASE_HOST": "postgres",
        "DATABASE_NAME": "agent_factory_prod",
        "DATABASE_USER": "prod_user",
        "DATABASE_PASSWORD": SECRET,
        "REDIS_HOST": "redis-broker",
        "REDIS_PASSWORD": SECRET,
        "SECRET_KEY": SECRET,
        "JWT_SECRET_KEY": SECRET,
        **{one.key.setting: "<your key, or nothing>" for one in PROVIDERS if one.usual and one.key},
        "API_BASE_URL": "https://api.yourdomain.com",
        "TRUSTED_PROXIES": "1",
        "LOG_LEVEL": "INFO",
        "WORKER_COUNT": "4",
        "DATABASE_POOL_SIZE": "10",
        "ENABLE_METRICS": "true",
    }
)
"""Variables that are set in the template; the others are commented out with their default."""
EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "DATABASE_URL": "postgresql://prod_user:<password>@db.yourdomain.com:5432/agent_factory_prod",
        "REDIS_URL": "redis://:<password>@redis.yourdomain.com:6379/0",
    }
)
COMPOSE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "SERVER_NAME": (
            "api.yourdomain.com",
            "The name that nginx answers for; the certificate's.",
        ),
        "SSL_CERT_PATH": (
            "/etc/letsencrypt/live/api.yourdomain.com/fullchain.pem",
            "The certificate with its chain, below /etc/letsencrypt: docs/operations/tls.md.",
        ),
        "SSL_KEY_PATH": (
            "/etc/letsencrypt/live/api.yourdomain.com/privkey.pem",
            "The certificate's key, below /etc/letsencrypt.",
        ),
        "POSTGRES_PASSWORD": (SECRET, "Of Postgres' superuser, which sets up and does not run."),
        "POSTGRES_PROFILE": (
            "8gb",
            "The memory that Postgres may take: 8gb, 16gb or 32gb, as deploy/postgres has them.",
        ),
        "FLOWER_BASIC_AUTH": (
            f"admin:{SECRET}",
            "Who may see Flower, as user:password; no colon or comma in it.",
        ),
        "GRAFANA_PASSWORD": (SECRET, "Of Grafana's user admin; profile monitoring."),
        "POSTGRES_EXPORTER_PASSWORD": (
            SECRET,
            "Of the role that sees Postgres' statistics; profile monitoring.",
        ),
        "SLACK_WEBHOOK_URL": (
            "<your Slack webhook, or nothing>",
            "Where Alertmanager writes; profile monitoring.",
        ),
        "NETWORK_PREFIX": (
            "172.30.252",
            "The containers' network, within 172.16.0.0/12, which pg_hba.conf lets in.",
        ),
        "VERSION": ("dev", "The image's tag."),
    }
)
"""The variables that compose reads: the value in the template, and what it is for."""
OPTIONAL = ("NETWORK_PREFIX", "VERSION")
"""Those of COMPOSE that have a default in the compose file."""
GUIDE: Mapping[str, str] = MappingProxyType(
    {
        "GRAFANA_API_KEY": "not needed: Grafana reads its dashboards from files.",
        "API_CORS_ORIGINS": "no page of another origin may call the API yet: open.",
        "SENTRY_DSN": "errors go to the log, as JSON; Sentry is open.",
        "ENABLE_QUERY_CACHE": "answers are not cached yet: open.",
        "CACHE_TTL_MEDIUM": "answers are not cached yet: open.",
    }
)
"""Names of the deployment guide that are not settings here, and what to use instead."""
HEAD = """\
# AI Agent Factory in production: cp .env.production .env, fill it in, then: factory doctor --env .env
# `factory init-env` writes one whose secrets are made already, and says what is left.
# A # before a name: the default, which holds without the line. Empty is not set. Any secret may stand in a
# file instead, as NAME_FILE=/run/secrets/name. {mark}: what docker compose reads for other programs than ours.
# Made by python -m factory.config.reference.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """`NAME=value` with its comment; `active` ones count, the others have a # before them."""

    name: str
    value: str
    comment: str
    active: bool

    def __str__(self) -> str:
        return f"# {self.comment}\n{'' if self.active else '#'}{self.name}={self.value}"


def template(values: Mapping[str, str] = NOTHING) -> str:
    """The file's text, with `values` in the place of what it holds."""
    blocks = [HEAD.format(mark=MARK)]
    for title, entries in groups(values).items():
        blocks.append("\n".join([f"# --- {title} ---", *map(str, entries)]) + "\n")
    names = [f"# {name}: {reason}" for name, reason in GUIDE.items()]
    blocks.append("\n".join(["# --- Names of the guide that are not settings ---", *names]) + "\n")
    return "\n".join(blocks)


def groups(values: Mapping[str, str] = NOTHING) -> dict[str, list[Entry]]:
    """All entries by their group."""
    found = {}
    for title, names in sections().items():
        entries = [entry for name in names for entry in _with_parts(name)]
        found[title] = [_filled(entry, values) for entry in entries]
    compose = (
        Entry(name, value, f"{MARK} {what}", name not in OPTIONAL)
        for name, (value, what) in COMPOSE.items()
    )
    found["Read by docker compose alone"] = [_filled(entry, values) for entry in compose]
    return found


def _filled(entry: Entry, values: Mapping[str, str]) -> Entry:
    value = values.get(entry.name)
    return entry if value is None else Entry(entry.name, value, entry.comment, True)


def _with_parts(field: str) -> Iterator[Entry]:
    """The setting, and after a server's URL the parts that may replace it."""
    yield _setting(field)
    for server, parts in PARTS.items():
        if field == f"{server}_URL".lower():
            for name, what in parts.items():
                yield Entry(name, PRODUCTION.get(name, ""), _plain(what), name in PRODUCTION)


def _setting(field: str) -> Entry:
    name = field.upper()
    what = _plain(descriptions().get(field, ""))
    of = f" In {WORDS.get(unit(field), unit(field))}." if unit(field) else ""
    default = EXAMPLES.get(name, _text(Settings.model_fields[field].get_default()))
    comment = f"{what}{of}{allowed(field)}"
    return Entry(name, PRODUCTION.get(name, default), comment, name in PRODUCTION)


def _plain(text: str) -> str:
    return text.replace("`", "").replace(" Or the parts, see below.", " Or the parts below.")


def _text(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:.10g}"
    return str(default or "")
