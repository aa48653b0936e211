"""API keys: `af_<prefix>_<secret>`, of which only a keyed hash is stored."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from factory.domain.job import new_id
from factory.store.database import Tx, as_json, rows, run
from factory.store.key_hashes import Secrets, fingerprint, secrets_of

SHAPE = re.compile(r"af_([0-9a-f]{12})_[0-9a-f]{48}")


def prefix_of(key: str) -> str | None:
    """The public part of `af_<prefix>_<secret>`, or None if it is no key of that form."""
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
INSERT INTO api_keys
       (id, project_id, name, prefix, secret_hash, secret_hashes, scopes, expires_at)
VALUES (%(id)s, %(project_id)s, %(name)s, %(prefix)s, %(secret_hash)s, %(secret_hashes)s, %(scopes)s,
        %(expires_at)s)
"""


def create(
    tx: Tx,
    secret_key: str,
    project_id: UUID,
    name: str,
    scopes: list[str],
    *,
    expires_at: datetime | None = None,
    previous: Sequence[str] = (),
) -> str:
    """Makes a key and gives it in full, for the only time. `previous`: secrets that are being replaced."""
    known = secrets_of(secret_key, previous)
    prefix, secret = secrets.token_hex(6), secrets.token_hex(24)
    key = f"af_{prefix}_{secret}"
    params = {
        "id": str(new_id()),
        "project_id": str(project_id),
        "name": name,
        "prefix": prefix,
        "secret_hash": known.oldest_hash(key),
        "secret_hashes": as_json(known.hashes(key)),
        "scopes": scopes,
        "expires_at": expires_at,
    }
    run(tx, INSERT, params)
    return key


COLUMNS = "id, project_id, name, prefix, scopes, created_at, expires_at, revoked_at"
FIND = f"""
SELECT {COLUMNS}, secret_hash, secret_hashes,
       extract(epoch FROM expires_at - clock_timestamp())::float8 AS expires_in_s
  FROM api_keys
 WHERE prefix = ANY(%(prefixes)s) AND revoked_at IS NULL
   AND (expires_at IS NULL OR expires_at > clock_timestamp())
"""


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A key that may be used now, and for how much longer; None if it does not expire."""

    view: KeyView
    expires_in_s: float | None
    outdated: bool = False
    """Whether its hash under the current secret is missing, so that `rehash` must add it."""


def verify_all(
    tx: Tx, secret_key: str, keys: Sequence[str], previous: Sequence[str] = ()
) -> list[LiveKey | None]:
    """The live key of each text, or None. `previous`: secrets that are being replaced."""
    known = secrets_of(secret_key, previous)
    prefixes = [prefix_of(key) for key in keys]
    wanted = sorted({prefix for prefix in prefixes if prefix})
    found = {row.prefix: row for row in rows(tx, FIND, {"prefixes": wanted})} if wanted else {}
    return [
        _live(found.get(prefix), key, known) for prefix, key in zip(prefixes, keys, strict=True)
    ]


def _live(row: Any, key: str, known: Secrets) -> LiveKey | None:
    if row is None or not known.know(key, row.secret_hash, row.secret_hashes):
        return None
    outdated = bool(known.previous) and fingerprint(known.current) not in row.secret_hashes
    return LiveKey(_view(row), row.expires_in_s, outdated)


def verify(tx: Tx, secret_key: str, key: str, previous: Sequence[str] = ()) -> KeyView | None:
    """The live key that this text is, or None."""
    (found,) = verify_all(tx, secret_key, [key], previous)
    return found.view if found else None


REHASH = """
UPDATE api_keys SET secret_hash = %(secret_hash)s, secret_hashes = %(secret_hashes)s
 WHERE prefix = %(prefix)s AND secret_hashes -> %(mark)s IS NULL
"""


def rehash(tx: Tx, secret_key: str, key: str, previous: Sequence[str]) -> bool:
    """Adds a verified key's hash under the current secret; False if it is there already. Earlier hashes stay, for
    programs that have not been restarted yet.
    """
    known = secrets_of(secret_key, previous)
    params = {
        "prefix": prefix_of(key),
        "mark": fingerprint(secret_key),
        "secret_hash": known.oldest_hash(key),
        "secret_hashes": as_json(known.hashes(key)),
    }
    return run(tx, REHASH, params) == 1


OUTDATED = """
SELECT prefix FROM api_keys
 WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
   AND secret_hashes -> %(mark)s IS NULL
   AND (%(all)s OR secret_hashes <> '{}')
 ORDER BY id
"""


def outdated(tx: Tx, secret_key: str, previous: Sequence[str] = ()) -> list[str]:
    """Prefixes of live keys without a hash under the current secret: they depend on an earlier one.

    Without `previous`, rows that do not say which secret they were hashed with are left out.
    """
    known = secrets_of(secret_key, previous)
    params = {"mark": fingerprint(secret_key), "all": bool(known.previous)}
    return [row.prefix for row in rows(tx, OUTDATED, params)]


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
