"""What a running worker of the pool does with its tasks, seen from outside."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.pool.conftest import RunningWorker, StartWorker, eventually
from workers.watchdog import EXIT_CODE

LONG_S = 200.0
Events = list[dict[str, Any]]


@pytest.fixture(scope="module")
def worker(start_worker: StartWorker) -> Iterator[RunningWorker]:
    with start_worker("openai.high", 500, "events") as running:
        yield running


class Listener:
    """Reads worker events, as Flower does."""

    def __init__(self, seen: Events, connection: Any) -> None:
        self._seen = seen
        self._connection = connection

    def of(self, task_id: str, *types: str) -> dict[str, Any] | None:
        """The first event of these types about the task, if it has arrived."""
        with contextlib.suppress(TimeoutError):
            self._connection.drain_events(timeout=0.05)
        found = (event for event in self._seen if event.get("uuid") == task_id)
        return next((event for event in found if event["type"] in types), None)


@pytest.fixture
def events(worker: RunningWorker) -> Iterator[Listener]:
    seen: Events = []
    with worker.app.connection_for_read() as connection:
        receiver = worker.app.events.Receiver(connection, handlers={"*": seen.append})
        with receiver.consumer_context() as (own_connection, _channel, _consumers):
            listener = Listener(seen, own_connection)
            listener.of("nothing yet")  # subscribes
            yield listener


def test_two_hundred_naps_run_at_the_same_time(worker: RunningWorker) -> None:
    sent = {worker.send("nap", 2.0) for _ in range(200)}
    eventually(lambda: sent <= {line["id"] for line in worker.journal("finished")})
    of_these = [line for line in worker.journal("finished") if line["id"] in sent]
    began = min(line["at"] for line in worker.journal("started") if line["id"] in sent)
    assert (
        max(line["at"] for line in of_these) - began < 60
    )  # ten at a time: 40, one after the other: 400
    assert len(of_these) == 200


def test_a_soft_limit_is_raised_inside_the_coroutine_which_may_tidy_up(
    worker: RunningWorker, events: Listener
) -> None:
    task = worker.send("tidy", soft_time_limit=0.2, time_limit=120)
    failed = eventually(lambda: events.of(task, "task-failed", "task-succeeded"))
    assert "SoftTimeLimitExceeded" in failed["exception"]
    assert worker.journal("tidied", task)


def test_a_hard_limit_cancels_the_coroutine_and_reports_a_failure(
    worker: RunningWorker, events: Listener
) -> None:
    task = worker.send("tidy", time_limit=0.2)
    failed = eventually(lambda: events.of(task, "task-failed", "task-succeeded"))
    assert "TimeLimitExceeded: TimeLimitExceeded(0.2" in failed["traceback"]
    eventually(lambda: worker.journal("cancelled", task))


def test_revoking_a_running_task_cancels_it(worker: RunningWorker, events: Listener) -> None:
    task = worker.send("tidy")
    eventually(lambda: worker.journal("started", task))
    worker.app.control.revoke(task, terminate=True)
    eventually(lambda: worker.journal("cancelled", task))
    assert eventually(lambda: events.of(task, "task-revoked"))["terminated"]


@pytest.mark.parametrize("error", ["ValueError", "CancelledError", "SystemExit"])
def test_whatever_a_task_raises_is_its_own_failure(
    worker: RunningWorker, events: Listener, error: str
) -> None:
    task = worker.send("fail", error)
    assert eventually(lambda: events.of(task, "task-failed"))["exception"]
    after = worker.send("nap", 0)
    assert eventually(lambda: events.of(after, "task-succeeded"))


def test_an_event_tells_no_secret(worker: RunningWorker, events: Listener) -> None:
    task = worker.send("fail", "ValueError", "x-api-key: marked-key-0123456789")
    failed = eventually(lambda: events.of(task, "task-failed"))
    assert "ValueError" in failed["exception"]
    assert "marked-key" not in str(failed)
    assert "[redacted]" in failed["traceback"]


def test_an_event_tells_the_true_runtime(worker: RunningWorker, events: Listener) -> None:
    task = worker.send("nap", 0.3)
    assert eventually(lambda: events.of(task, "task-received"))["args"] == "(0.3,)"
    succeeded = eventually(lambda: events.of(task, "task-succeeded"))
    assert 0.3 <= succeeded["runtime"] < 60
    assert succeeded["result"] == "'rested'"


def test_inspect_lists_what_runs_and_what_the_pool_holds(worker: RunningWorker) -> None:
    task = worker.send("tidy")
    eventually(lambda: worker.journal("started", task))
    (active,) = [entry for entry in worker.inspect("active") if entry["id"] == task]
    assert (active["name"], active["args"]) == ("tidy", [])
    assert time.time() - active["time_start"] < 60
    pool = worker.inspect("stats")["pool"]
    assert pool["max-concurrency"] == 500
    assert pool["jobs"] >= pool["messages"] >= 1
    worker.app.control.revoke(task, terminate=True)
    eventually(lambda: worker.journal("cancelled", task))


def test_code_that_blocks_the_loop_is_named_in_the_log(worker: RunningWorker) -> None:
    worker.send("block", 3.0)  # many periods of the watch: a busy machine delays its probes
    eventually(
        lambda: "the loop is blocked" in worker.log() and "time.sleep(seconds)" in worker.log()
    )
    eventually(lambda: "the loop was blocked for" in worker.log())


def test_a_worker_whose_loop_stands_still_ends(start_worker: StartWorker) -> None:
    with start_worker("gemini.low", 10, "impatient") as worker:
        worker.send("block", 600.0)
        assert worker.ended(LONG_S) == EXIT_CODE
        assert "the loop stands still for 2 s: restarting" in worker.log()


@pytest.mark.timeout(300)
def test_a_worker_whose_interpreter_is_held_is_ended_by_the_kernel(
    start_worker: StartWorker,
) -> None:
    """No thread of Python runs meanwhile, so none can end it."""
    with start_worker("ollama.low", 10, "hasty") as worker:
        worker.send("hold_interpreter")
        assert worker.ended(LONG_S) == -signal.SIGPROF


def test_a_worker_that_was_stopped_did_not_stand_still(start_worker: StartWorker) -> None:
    with start_worker("anthropic.low", 10, "impatient") as worker:
        worker.signal(signal.SIGSTOP)
        time.sleep(6.0)  # three times what its loop may stand still
        worker.signal(signal.SIGCONT)
        nap = worker.send("nap", 3.0)
        eventually(lambda: worker.journal("finished", nap))


def test_messages_that_have_ended_are_gone_without_a_collection(worker: RunningWorker) -> None:
    """Thousands a second come and go: what waits for the collector is memory that a worker never gives back."""
    before = len(worker.journal("finished"))
    for _ in range(200):
        worker.send("nap", 0.01)
    eventually(lambda: len(worker.journal("finished")) == before + 200)
    # Messages are released on another thread than the one that runs and counts.
    eventually(lambda: worker.inspect("stats")["pool"]["messages"] == 0)
    census = worker.send("census")
    (counted,) = eventually(lambda: worker.journal("counted", census))
    assert counted["requests"] < 20
