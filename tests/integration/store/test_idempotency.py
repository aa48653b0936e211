"""Idempotency keys: the first answer stands, whoever comes second and when."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from factory.errors import IdempotencyInFlight
from factory.services import Services
from factory.store import idempotency
from factory.store.idempotency import Taken
from tests.integration.store.families import until
from tests.integration.store.samples import OTHER_PROJECT, PROJECT, tell, waits_for_locks


def _take(
    services: Services, request_hash: str, answer: Any, project: Any = PROJECT
) -> Taken | None:
    with services.database.transaction() as tx:
        return idempotency.take(tx, project, "key", request_hash, job_id=None, answer=answer)


def test_the_first_use_binds_the_key_and_the_second_reads_its_answer(services: Services) -> None:
    assert _take(services, "hash", {"id": 1}) is None
    assert _take(services, "hash", {"id": 2}) == Taken("hash", {"id": 1})
    assert _take(services, "other", {"id": 3}) == Taken("hash", {"id": 1})


def test_projects_share_no_keys(services: Services) -> None:
    assert _take(services, "hash", {"id": 1}) is None
    assert _take(services, "hash", {"id": 2}, OTHER_PROJECT) is None


def test_a_use_that_was_rolled_back_leaves_the_key_free(services: Services) -> None:
    with services.database.transaction() as tx:
        idempotency.take(tx, PROJECT, "key", "hash", job_id=None, answer=1)
        tx.rollback()
    assert _take(services, "hash", {"id": 2}) is None


def test_a_repetition_during_the_first_is_told_to_come_again(services: Services) -> None:
    with services.database.transaction() as tx:
        idempotency.take(tx, PROJECT, "key", "hash", job_id=None, answer=1)
        with pytest.raises(IdempotencyInFlight):
            _take(services, "hash", {"id": 2})


def test_a_repetition_that_waits_for_the_first_reads_its_answer(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "LOCK_TIMEOUT", "SET LOCAL lock_timeout = '60s'")
    taken: list[Taken | None] = []
    second = threading.Thread(target=lambda: taken.append(_take(services, "hash", 2)))
    with services.database.transaction() as tx:
        idempotency.take(tx, PROJECT, "key", "hash", job_id=None, answer=1)
        second.start()
        until(lambda: waits_for_locks(services))
    second.join()
    assert taken == [Taken("hash", 1)]


def test_keys_are_kept_longer_than_a_day(services: Services) -> None:
    _take(services, "hash", 1)
    for hours, forgotten in ((47, 0), (49, 1)):
        tell(
            services,
            "UPDATE idempotency_keys SET created_at = now() - make_interval(hours => %(h)s)",
            h=hours,
        )
        with services.database.transaction() as tx:
            assert idempotency.forget_old(tx, limit=10) == forgotten
