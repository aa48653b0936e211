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


def has_vector(tx: Tx) -> bool:
    """Whether pgvector is installed, or could be."""
    return bool(rows(tx, "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"))


def is_pooled(tx: Tx) -> bool:
    """Whether a pooler is in between: then another backend process answers than the one that was connected to."""
    driver: Any = tx.connection.dbapi_connection
    answers: int = rows(tx, "SELECT pg_backend_pid() AS pid")[0].pid
    return bool(answers != driver.info.backend_pid)
