"""An installation's servers, schema and first key: what must be there before any program starts."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from factory.agents.files import register_agents
from factory.cli.banner import FLOWER_PASSWORD_FILE
from factory.cli.keys import DEFAULT_PROJECT
from factory.config import Settings, load_settings
from factory.domain.access import Scope
from factory.domain.principal import PLATFORM
from factory.embedded.home import Home
from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.restarter import ServerRestarter
from factory.embedded.valkey import EmbeddedValkey
from factory.llm.catalog import load_catalog
from factory.services import connect
from factory.store import keys, leases, projects
from factory.store.database import Tx
from factory.store.migrate import upgrade

KEY_FILE = "api_key"
KEY_NAME = "bootstrap"
KEY_SCOPES = [Scope.JOBS.value, Scope.ADMIN.value]


@dataclass(frozen=True, slots=True)
class Installation:
    """A home directory that this process owns, whose servers run and whose schema is up to date."""

    home: Home
    settings: Settings
    project_id: UUID
    """Of the default project."""
    api_key: str
    flower_password: str
    embedded: bool
    """Whether it runs the embedded Postgres; then everything runs on this machine."""
    earlier_workers: frozenset[str]
    """Ids of workers that were known before; after a kill they still look alive for a whole lease."""

    @property
    def api_key_path(self) -> Path:
        """Where other commands read the key."""
        return self.home.directory / KEY_FILE


@contextmanager
def running_installation(home: Home, environ: Mapping[str, str]) -> Iterator[Installation]:
    """Starts the servers that the environment does not name, migrates, and makes the first key.

    Everything is stopped and the home released at the end. Raises Conflict if the home is in use.
    """
    with ExitStack() as stack:
        home.claim()
        stack.callback(home.release)
        missing = _missing(home, environ, stack)
        settings = load_settings({**environ, **missing})
        upgrade(settings.database_url)
        yield _bootstrap(home, settings, embedded="DATABASE_URL" in missing)


def _missing(home: Home, environ: Mapping[str, str], stack: ExitStack) -> dict[str, str]:
    """The servers and secrets that the environment does not name, from the home directory."""
    missing: dict[str, str] = {}
    servers: list[EmbeddedPostgres | EmbeddedValkey] = []
    if not environ.get("DATABASE_URL"):
        postgres = EmbeddedPostgres(home.postgres_directory)
        missing["DATABASE_URL"] = postgres.start()
        stack.callback(postgres.stop)
        servers.append(postgres)
    if not environ.get("REDIS_URL"):
        valkey = EmbeddedValkey(home.valkey_directory)
        missing["REDIS_URL"] = valkey.start()
        stack.callback(valkey.stop)
        servers.append(valkey)
    if not environ.get("SECRET_KEY"):
        missing["SECRET_KEY"] = home.secret_key()
    restarter = ServerRestarter(servers)
    restarter.start()
    stack.callback(restarter.stop)
    return missing


def _bootstrap(home: Home, settings: Settings, *, embedded: bool) -> Installation:
    """The default project, the agents in files, and the key that this machine's commands use."""
    services = connect(settings, "up")
    try:
        catalog = load_catalog(settings.extra_models)
        with services.database.transaction(PLATFORM) as tx:
            register_agents(tx, catalog, Path(settings.agents_dir))
            project_id = projects.ensure(tx, DEFAULT_PROJECT).id
            key = _first_key(tx, home, settings, project_id)
            earlier = leases.workers(tx, settings.lease_s)
        home.write(KEY_FILE, key)
    finally:
        services.close()
    return Installation(
        home,
        settings,
        project_id,
        key,
        _flower_password(home),
        embedded,
        frozenset(str(worker.id) for worker in earlier),
    )


def _first_key(tx: Tx, home: Home, settings: Settings, project_id: UUID) -> str:
    """The key in the home while it is good; another database or SECRET_KEY makes it void."""
    path = home.directory / KEY_FILE
    kept = path.read_text() if path.exists() else ""
    secret_key, previous = settings.secret_key, settings.previous_secrets
    if keys.verify(tx, secret_key, kept, previous):
        return kept
    return keys.create(tx, secret_key, project_id, KEY_NAME, KEY_SCOPES, previous=previous)


def _flower_password(home: Home) -> str:
    path = home.directory / FLOWER_PASSWORD_FILE
    if not path.exists():
        home.write(path.name, secrets.token_urlsafe(18))
    return path.read_text()
