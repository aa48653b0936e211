"""The intent of a job's first call: it stands in the job's own row, written by the claim itself.

Nearly every job makes one call and succeeds, so its intent is in `llm_calls` only when something else happens: the call
ends and its job does not (`move_to_journal`), or the lease is taken away (the trigger of migration 0014, which holds for
programs of before too). `successes` takes it from the row to the archive.

An intent is open exactly while its token is that of the lease. What a row says of an earlier lease means nothing, since
programs of before claim jobs without these columns. A job that was started before has its intent in `llm_calls`: so no
call is in both, however often its claim is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from factory.domain.job import Kind
from factory.store.database import Tx, array, run
from factory.store.prepared import prepared_rows

FIRST_STEP = "answer"
"""The step whose call stands in a row: a completion's only one."""
INTENT = "id, job_id, project_id, step_key, attempt, provider, model, started_at"


def is_open(job: str) -> str:
    """Whether the row `job` holds an open intent."""
    return f"{job}.intent_token = {job}.lease_token"


def model_of(job: str) -> str:
    """The model's name without its provider's, as calls have it."""
    return f"substr({job}.model, length({job}.provider) + 2)"


def intent_of(job: str) -> str:
    """The columns INTENT of what the row `job` holds: its call begins with its claim."""
    return (
        f"{job}.intent_id, {job}.id, {job}.project_id, '{FIRST_STEP}', {job}.attempt,"
        f" {job}.provider, {model_of(job)}, {job}.started_at"
    )


# Which intent a claim puts in the row of its job. The parameters are two arrays of the same length.
OWN = "(CAST(%(call_ids)s AS uuid[]))[array_position(CAST(%(ids)s AS uuid[]), id)]"
CLAIMED = f"""
CASE WHEN kind = '{Kind.COMPLETION}'
      AND (started_at IS NULL OR (intent_token = lease_token AND intent_id = {OWN}))
     THEN {OWN} END"""


WITHDRAW = (
    "UPDATE jobs SET intent_id = NULL, intent_token = NULL WHERE id = ANY(CAST(%(ids)s AS uuid[]))"
)


def withdraw(tx: Tx, job_ids: Sequence[UUID]) -> None:
    """The jobs that this transaction has claimed do not begin with the call that their rows hold."""
    run(tx, WITHDRAW, {"ids": array(job_ids)})


# Under READ COMMITTED a statement that waited for a row does not see what was inserted meanwhile. So the end of a call
# is the next statement, for calls that were here and for those that the trigger has written.
TO_JOURNAL = f"""
WITH held AS MATERIALIZED (
    SELECT j.* FROM jobs j
     WHERE j.id = ANY(CAST(%(ids)s AS uuid[])) AND j.intent_id = ANY(CAST(%(call_ids)s AS uuid[]))
       AND {is_open("j")}
     ORDER BY j.id FOR UPDATE
), emptied AS (
    UPDATE jobs j SET intent_id = NULL, intent_token = NULL FROM held h WHERE j.id = h.id
)
INSERT INTO llm_calls ({INTENT}) SELECT {intent_of("h")} FROM held h
ON CONFLICT (id) DO NOTHING
RETURNING id
"""


def move_to_journal(tx: Tx, job_ids: Sequence[UUID], call_ids: Sequence[UUID]) -> None:
    """Writes those of the calls that stand in rows of jobs into `llm_calls`, open as they are."""
    params = {"ids": array(job_ids), "call_ids": array(call_ids)}
    prepared_rows(tx, "move_intents", TO_JOURNAL, params)
