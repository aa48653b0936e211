"""/health and /ready, with each part down."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from apiflask import APIFlask
from sqlalchemy import event

from api import create_app
from api.gateway import gateway_of
from api.readiness import FRESH_S, PATIENCE_S, Question
from factory.config import Settings
from factory.llm.catalog import Catalog
from factory.services import Services, connect
from factory.store.database import run

from .conftest import JOB, Caller, assert_problem, make_key

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
def app_without_postgres(services: Services, catalog: Catalog) -> Iterator[APIFlask]:
    settings = services.settings.model_dump() | {"database_url": NOWHERE}
    cut_off = connect(Settings(**settings), "test")
    made = create_app(cut_off, catalog)
    yield made
    gateway_of(made).close()
    cut_off.close()


@pytest.fixture
def app_without_redis(services: Services, catalog: Catalog) -> Iterator[APIFlask]:
    settings = services.settings.model_dump() | {"redis_url": "redis://127.0.0.1:1/0"}
    elsewhere = connect(Settings(**settings), "test")
    made = create_app(replace(services, redis=elsewhere.redis), catalog)
    yield made
    gateway_of(made).close()
    elsewhere.close()


def test_all_parts_are_ready(app: APIFlask) -> None:
    answer = app.test_client().get("/ready")

    assert answer.status_code == 200
    assert answer.get_json() == {
        "status": "ready",
        "postgres": {"ok": True, "required": True, "detail": None},
        "redis": {"ok": True, "required": False, "detail": None},
        "schema": {"ok": True, "required": True, "detail": None},
    }


def test_without_postgres_the_process_is_healthy_and_not_ready(
    app_without_postgres: APIFlask,
) -> None:
    client = app_without_postgres.test_client()

    assert client.get("/health").status_code == 200
    answer = client.get("/ready")
    assert answer.status_code == 503
    assert answer.get_json()["postgres"]["ok"] is False
    assert answer.get_json()["redis"]["ok"] is True
    assert "nobody" not in answer.text


def test_without_postgres_a_call_is_503_and_tells_no_host(app_without_postgres: APIFlask) -> None:
    answer = app_without_postgres.test_client().post(
        "/api/jobs", json=JOB, headers={"Authorization": f"Bearer af_000000000000_{'0' * 48}"}
    )

    assert_problem(answer, 503, None, "try again")
    assert answer.headers["Retry-After"] == "1"
    assert "127.0.0.1" not in answer.text


def test_without_redis_jobs_are_accepted(app_without_redis: APIFlask, services: Services) -> None:
    caller = Caller(app_without_redis.test_client(), *make_key(services, "one", "jobs"))

    assert caller.post("/api/jobs", JOB).status_code == 202
    answer = caller.get("/ready")
    assert answer.status_code == 200
    assert answer.get_json()["redis"]["ok"] is False


@pytest.mark.parametrize(
    ("statement", "status"),
    [
        ("UPDATE alembic_version SET version_num = '0000'", 503),
        ("DELETE FROM alembic_version", 503),
        ("DROP TABLE alembic_version", 503),
        ("UPDATE alembic_version SET version_num = '9999'", 200),
    ],
)
def test_an_older_schema_is_not_ready_and_a_newer_one_is(
    app: APIFlask, services: Services, statement: str, status: int
) -> None:
    with services.database.transaction() as tx:
        run(tx, statement)
    answer = app.test_client().get("/ready")

    assert answer.status_code == status
    assert answer.get_json()["schema"]["ok"] is (status == 200)
    assert answer.get_json()["postgres"]["ok"] is True


def test_a_database_that_fails_in_mid_call_leaves_nothing(
    caller: Caller, services: Services
) -> None:
    with services.database.transaction() as tx:
        run(tx, "ALTER TABLE idempotency_keys RENAME TO elsewhere")
    answer = caller.post("/api/jobs", JOB, Idempotency_Key="k")
    assert_problem(answer, 500)

    with services.database.transaction() as tx:
        run(tx, "ALTER TABLE elsewhere RENAME TO idempotency_keys")
    assert caller.get("/api/jobs").get_json()["data"] == []


def test_many_who_ask_at_once_cost_one_connection(app: APIFlask, services: Services) -> None:
    taken: list[object] = []
    event.listen(services.database.engine, "checkout", lambda *given: taken.append(given))
    with ThreadPoolExecutor(20) as threads:
        started = time.monotonic()
        answers = threads.map(lambda _: app.test_client().get("/ready").status_code, range(60))
        assert set(answers) == {200}

    assert len(taken) <= 1 + (time.monotonic() - started) / FRESH_S


def test_a_question_that_hangs_holds_one_thread_and_late_callers_not_at_all() -> None:
    threads: list[str] = []
    release = threading.Event()

    def hang() -> bool:
        threads.append(threading.current_thread().name)
        return release.wait(60)

    question = Question(hang)
    assert question.ask().heard() == (False, None)
    started = time.monotonic()
    assert [question.ask().heard() for _ in range(100)] == [(False, None)] * 100
    assert time.monotonic() - started < 20 * PATIENCE_S  # who would wait: a hundred times
    assert len(threads) == 1
    release.set()
