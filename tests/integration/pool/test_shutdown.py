"""How a worker of the pool ends."""

from __future__ import annotations

import signal

from tests.integration.pool.conftest import StartWorker, eventually


def test_a_warm_shutdown_finishes_what_runs_and_takes_nothing_new(
    start_worker: StartWorker,
) -> None:
    with start_worker("openai.normal", 10) as worker:
        running = worker.send("nap", 1)
        eventually(lambda: worker.journal("started", running))
        worker.signal(signal.SIGTERM)
        eventually(lambda: "Warm shutdown" in worker.log())
        worker.signal(signal.SIGTERM)  # a second one changes nothing
        # What comes in the middle of the handler may still be taken.
        eventually(lambda: not worker.hears_commands())
        late = worker.send("nap", 0)
        assert worker.ended() == 0
        assert worker.journal("finished", running)
        assert not worker.journal("started", late)
        assert worker.queued() == 1
        (closed,) = worker.journal("service closed")
        assert closed["at"] > worker.journal("finished", running)[0]["at"]


def test_a_cold_shutdown_cancels_what_runs(start_worker: StartWorker) -> None:
    with start_worker("openai.low", 10) as worker:
        task = worker.send("tidy")
        eventually(lambda: worker.journal("started", task))
        worker.signal(signal.SIGQUIT)
        worker.ended()
        assert worker.journal("cancelled", task)
        assert worker.journal("service closed")


def test_a_warm_shutdown_turns_cold_on_sigquit(start_worker: StartWorker) -> None:
    with start_worker("openai.low", 10) as worker:
        task = worker.send("tidy")
        eventually(lambda: worker.journal("started", task))
        worker.signal(signal.SIGTERM)
        eventually(lambda: "Warm shutdown" in worker.log())
        worker.signal(signal.SIGQUIT)
        worker.ended()
        assert worker.journal("cancelled", task)


def test_a_warm_shutdown_that_has_a_limit_turns_cold_then(start_worker: StartWorker) -> None:
    with start_worker("openai.low", 10, "drains") as worker:
        endless, short = worker.send("tidy"), worker.send("nap", 0.1)
        eventually(lambda: worker.journal("started", endless) and worker.journal("started", short))
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0
        assert worker.journal("cancelled", endless)
        assert worker.journal("finished", short)
        assert worker.journal("service closed")


def test_a_coroutine_that_refuses_cancellation_does_not_keep_the_process(
    start_worker: StartWorker,
) -> None:
    with start_worker("openai.bulk", 10) as worker:
        task = worker.send("stubborn", time_limit=0.1)
        eventually(lambda: worker.journal("started", task))
        eventually(lambda: "Hard time limit" in worker.log())
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0


def test_a_worker_whose_service_does_not_open_takes_nothing_and_says_why(
    start_worker: StartWorker,
) -> None:
    with start_worker("openai.bulk", 10, "broken") as worker:
        assert worker.ended() != 0
        assert "no database" in worker.log()
        assert not worker.journal("ready")
