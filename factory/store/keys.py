"""API keys: `af_<prefix>_<secret>`, of which only a keyed hash is stored."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from factory.domain.job import new_id
from factory.store.database import Tx, rows, run


def secret_hash(secret_key: str, key: str) -> str:
    """HMAC-SHA256 of the whole key: a stolen table is worthless without the installation's secret."""
    return hmac.new(secret_key.encode(), key.encode(), hashlib.sha256).hexdigest()


SHAPE = re.compile(r"af_([0-9a-f]{12})_[0-9a-f]{48}")


def prefix_of(key: str) -> str | None:
    """The public part of `af_<prefix>_<secret>`, or None when `create` cannot have made it."""
    found = SHAPE.fullmatch(key)
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key as its owner sees it, without the secret."""

    id: UUID
    project_id: UUID
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


INSERT = """
INSERT INTO api_keys (id, project_id, name, prefix, secret_hash, scopes, expires_at)
VALUES (%(id)s, %(project_id)s, %(name)s, %(prefix)s, %(secret_hash)s, %(scopes)s, %(expires_at)s)
"""


def create(
    tx: Tx,
    secret_key: str,
    project_id: UUID,
    name: str,
    scopes: list[str],
    *,
    expires_at: datetime | None = None,
) -> str:
    """Makes a key and gives it in full, for the only time."""
    prefix, secret = secrets.token_hex(6), secrets.token_hex(24)
    key = f"af_{prefix}_{secret}"
    params = {
        "id": str(new_id()),
        "project_id": str(project_id),
        "name": name,
        "prefix": prefix,
        "secret_hash": secret_hash(secret_key, key),
        "scopes": scopes,
        "expires_at": expires_at,
    }
    run(tx, INSERT, params)
    return key


COLUMNS = "id, project_id, name, prefix, scopes, created_at, expires_at, revoked_at"
FIND = f"""
SELECT {COLUMNS}, secret_hash,
       extract(epoch FROM expires_at - clock_timestamp())::float8 AS expires_in_s
  FROM api_keys
 WHERE prefix = ANY(%(prefixes)s) AND revoked_at IS NULL
   AND (expires_at IS NULL OR expires_at > clock_timestamp())
"""


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A key that may be used now, and for how much longer; None where it does not expire."""

    view: KeyView
    expires_in_s: float | None


def verify_all(tx: Tx, secret_key: str, keys: Sequence[str]) -> list[LiveKey | None]:
    """For each of these texts the live key that it is, or None."""
    prefixes = [prefix_of(key) for key in keys]
    wanted = sorted({prefix for prefix in prefixes if prefix})
    found = {row.prefix: row for row in rows(tx, FIND, {"prefixes": wanted})} if wanted else {}
    return [
        _live(found.get(prefix), secret_hash(secret_key, key))
        for prefix, key in zip(prefixes, keys, strict=True)
    ]


def _live(row: Any, given_hash: str) -> LiveKey | None:
    if row is None or not hmac.compare_digest(row.secret_hash, given_hash):
        return None
    return LiveKey(_view(row), row.expires_in_s)


def verify(tx: Tx, secret_key: str, key: str) -> KeyView | None:
    """The live key that this text is, or None."""
    (found,) = verify_all(tx, secret_key, [key])
    return found.view if found else None


def listed(tx: Tx, project_id: UUID) -> list[KeyView]:
    """All keys of a project, newest first."""
    statement = f"SELECT {COLUMNS} FROM api_keys WHERE project_id = %(id)s ORDER BY id DESC"
    return [_view(row) for row in rows(tx, statement, {"id": str(project_id)})]


def _view(row: Any) -> KeyView:
    return KeyView(**{name: row._mapping[name] for name in COLUMNS.split(", ")})


REVOKE = """
UPDATE api_keys SET revoked_at = now()
 WHERE project_id = %(project_id)s AND prefix = %(prefix)s AND revoked_at IS NULL
"""


def revoke(tx: Tx, project_id: UUID, prefix: str) -> bool:
    """Ends a key; False when the project has no live key with that prefix."""
    return run(tx, REVOKE, {"project_id": str(project_id), "prefix": prefix}) == 1
