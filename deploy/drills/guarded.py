"""A Postgres that asks for passwords, with roles that come and go."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from deploy.drills.archived import DATABASE
from deploy.drills.stage import Stage, persist
from factory.store import servers

HBA = "local all postgres trust\nlocal all all scram-sha-256\n"
OWNER = f"CREATE ROLE factory NOLOGIN; ALTER DATABASE {DATABASE} OWNER TO factory"
SHUT_OUT = "ALTER ROLE {role} NOLOGIN; SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{role}'"


@dataclass(frozen=True, slots=True)
class GuardedServer:
    """Its database belongs to the role `factory`, as which nobody connects."""

    admin_url: str

    @property
    def own_url(self) -> str:
        """Of the database, for whoever may connect without a password."""
        return servers.with_database(self.admin_url, DATABASE)

    def let_in(self, role: str) -> str:
        """A new role that acts as the owner; its URL."""
        word = secrets.token_urlsafe(12)
        servers.tell(
            self.admin_url,
            f"CREATE ROLE {role} LOGIN PASSWORD '{word}' IN ROLE factory;"
            f"ALTER ROLE {role} SET role = factory",
        )
        parts = servers.connection_parts(self.own_url)
        return servers.url_of(**{**parts, "user": role, "password": word})

    def shut_out(self, role: str) -> None:
        """It cannot connect any more, and what it has open ends."""
        persist(lambda: servers.tell(self.admin_url, SHUT_OUT.format(role=role)))


@contextmanager
def guarded_server(stage: Stage) -> Iterator[GuardedServer]:
    """One without tables."""
    hba = stage.directory / "pg_hba.conf"
    hba.write_text(HBA)
    with stage.database(settings={"hba_file": str(hba)}) as admin_url:
        servers.create_database(admin_url, DATABASE)
        servers.tell(admin_url, OWNER)
        guarded = GuardedServer(admin_url)
        servers.tell(guarded.own_url, "CREATE EXTENSION vector")
        yield guarded
