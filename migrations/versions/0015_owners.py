"""Every row of a customer says whose it is: `project_id` in the four tables that lacked it.

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

import time

from alembic import op
from sqlalchemy.exc import OperationalError

revision = "0015"
down_revision = "0014"

LOCK_S, PAUSE_S, PATIENCE_S = 0.2, 0.5, 600.0
"""A table is locked for a moment. Whoever asks for it meanwhile waits as long as this asks at most; then all go on, and
it is tried again."""

# Programs of before join these two with `jobs` and say `project_id` without saying of which: a second column of that
# name would break their statements. So the tables have new names, and views under the old ones show what was there
# before. An update, insert or delete of such a view is one of its table.
RENAMED = {
    "job_payloads": (
        "job_requests",
        "job_id, input, params, fallbacks, metadata, webhook_url, traceparent",
        ("pk_job_payloads", "ix_job_payloads_metadata"),
    ),
    "job_results": (
        "job_outcomes",
        "job_id, output, error, input_tokens, output_tokens, cached_tokens, cost_micros, unknown_calls",
        ("pk_job_results",),
    ),
}
VIEW = "CREATE VIEW {old} AS SELECT {columns} FROM {new}"
EXTENDED = ("job_steps", "job_contents")


def upgrade() -> None:
    """Programs of before leave the column null; dispatchers fill it in. Each table is one transaction."""
    with op.get_context().autocommit_block():
        for old, (new, columns, indexes) in RENAMED.items():
            if not _exists(new):
                _patiently(
                    f"ALTER TABLE {old} ADD COLUMN project_id uuid",
                    f"ALTER TABLE {old} RENAME TO {new}",
                    *(f"ALTER INDEX {one} RENAME TO {one.replace(old, new)}" for one in indexes),
                    VIEW.format(old=old, new=new, columns=columns),
                )
        for table in EXTENDED:
            _patiently(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS project_id uuid")


def downgrade() -> None:
    for old, (new, _, indexes) in RENAMED.items():
        op.execute(f"DROP VIEW {old}")
        op.execute(f"ALTER TABLE {new} RENAME TO {old}")
        for one in indexes:
            op.execute(f"ALTER INDEX {one.replace(old, new)} RENAME TO {one}")
        op.drop_column(old, "project_id")
    for table in EXTENDED:
        op.drop_column(table, "project_id")


def _exists(table: str) -> bool:
    return bool(op.get_bind().exec_driver_sql(f"SELECT to_regclass('{table}')").scalar())


def _patiently(*statements: str) -> None:
    """All in one transaction, as they travel as one text."""
    text = "; ".join((f"SET LOCAL lock_timeout = '{LOCK_S:g}s'", *statements))
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            op.get_bind().exec_driver_sql(text)
            return
        except OperationalError as error:
            if not _was_locked(error) or time.monotonic() > give_up_at:
                raise
        time.sleep(PAUSE_S)


def _was_locked(error: OperationalError) -> bool:
    return getattr(error.orig, "pgcode", None) == "55P03"
