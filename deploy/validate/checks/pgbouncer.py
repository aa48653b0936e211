"""PgBouncer starts with its ini, and tells what it has read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg2

from deploy.validate.servers import free_port, listens, room, running, with_places
from deploy.validate.tools import Invalid, Tools
from factory.embedded.account import unprivileged_account

WANTED = {
    "pool_mode": "transaction",
    "auth_type": "scram-sha-256",
    "max_client_conn": "2000",
    "default_pool_size": "60",
    "max_db_connections": "70",
    "query_wait_timeout": "10",
}
ADMIN, PASSWORD = "pgbouncer", "of-the-pooler"


def check(tools: Tools) -> None:
    """Raises Invalid, Unavailable."""
    program = Path(tools.debian("pgbouncer"))
    check_ini(program, tools.root / "deploy" / "pgbouncer" / "pgbouncer.ini")


def check_ini(program: Path, ini: Path) -> None:
    """Boots it. Raises Invalid."""
    port = free_port()
    with room() as directory:
        users = directory / "userlist.txt"
        users.write_text(f'"{ADMIN}" "{PASSWORD}"\n')
        places = {
            "listen_addr = *": "listen_addr = 127.0.0.1",
            "listen_port = 6432": f"listen_port = {port}",
            "/etc/pgbouncer/userlist.txt": str(users),
        }
        here = directory / "pgbouncer.ini"
        here.write_text(with_places(ini.read_text(), places))
        account = unprivileged_account(program, directory.parent)
        with running([program, here], directory, lambda: listens(port), account):
            found = ask(port, "SHOW CONFIG", ADMIN, PASSWORD)
    values = {row["key"]: row["value"] for row in found}
    wrong = {name: values.get(name) for name in WANTED if values.get(name) != WANTED[name]}
    if wrong:
        raise Invalid(f"{ini.name}: {wrong}")


def ask(port: int, command: str, user: str, password: str) -> list[dict[str, Any]]:
    """The rows of a command of the console, by column."""
    connection = psycopg2.connect(
        host="127.0.0.1", port=port, user=user, password=password, dbname="pgbouncer"
    )
    try:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(command)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    finally:
        connection.close()
