"""The Postgres server's version and abilities."""

from __future__ import annotations

from typing import Any

from factory.store.database import Tx, rows


def major_version(tx: Tx) -> int:
    """Such as 15."""
    return (
        int(rows(tx, "SELECT current_setting('server_version_num')::int AS number")[0].number)
        // 10_000
    )


def vector_version(tx: Tx) -> str | None:
    """Pgvector's version, as installed or as it would be; None where it is not to be had."""
    found = rows(
        tx,
        "SELECT coalesce(installed_version, default_version) AS version"
        " FROM pg_available_extensions WHERE name = 'vector'",
    )
    return str(found[0].version) if found else None


def is_pooled(tx: Tx) -> bool:
    """Whether a pooler is in between: then another backend process answers than the one that was connected to."""
    driver: Any = tx.connection.dbapi_connection
    answers: int = rows(tx, "SELECT pg_backend_pid() AS pid")[0].pid
    return bool(answers != driver.info.backend_pid)
