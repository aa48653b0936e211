"""How many messages a worker takes, and that a broken connection makes it take none twice."""

from __future__ import annotations

from collections import Counter

from factory.domain.slots import capacity, reserve
from tests.integration.pool.conftest import RunningWorker, StartWorker, eventually


def test_a_worker_takes_no_more_messages_than_it_has_slots(start_worker: StartWorker) -> None:
    with start_worker("gemini.high", 4) as worker:
        with worker.stopped():
            for _ in range(12):
                worker.send("nap", 1.0)
        eventually(lambda: len(worker.journal("finished")) == 12)
        assert most_at_once(worker, "started", "finished") == capacity(4)


def test_intake_counts_the_jobs_of_a_message_and_each_job_frees_its_slot(
    start_worker: StartWorker,
) -> None:
    with start_worker("gemini.bulk", 8) as worker:
        with worker.stopped():
            worker.send("batch", [600.0] + [1.0] * 7)
            for _ in range(7):
                worker.send("batch", [1.0])
        # Full: nothing is taken until the short jobs of the first message have ended; its long one
        # then keeps a single slot.
        eventually(lambda: len(worker.journal("job finished")) == 14)
        assert most_at_once(worker, "job started", "job finished") == capacity(8)
        # A job frees its slot after its last line of the journal.
        eventually(lambda: worker.inspect("stats")["pool"]["jobs"] == 1)


def test_an_urgent_lane_is_served_before_a_patient_one(start_worker: StartWorker) -> None:
    with start_worker("ollama.bulk,ollama.high", 1) as worker:
        first = [worker.app.send_task("nap", [0.5], queue="ollama.bulk").id for _ in range(3)]
        eventually(lambda: len(worker.journal("started")) == capacity(1) == len(first))
        with worker.stopped():
            bulk = [worker.app.send_task("nap", [0], queue="ollama.bulk").id for _ in range(3)]
            high = [worker.app.send_task("nap", [0], queue="ollama.high").id for _ in range(3)]
        eventually(lambda: len(worker.journal("finished")) == 9)
        assert {line["id"] for line in worker.journal("started")[3:6]} == set(high)
        assert {line["id"] for line in worker.journal("started")[6:]} == set(bulk)


def test_a_patient_lane_has_its_share_beside_an_urgent_one_that_is_never_empty(
    start_worker: StartWorker,
) -> None:
    with start_worker("openai.high,openai.low", 2) as worker:
        # Otherwise the urgent ones would begin alone.
        with worker.stopped():
            for _ in range(200):
                worker.app.send_task("nap", [0.05], queue="openai.high")
            low = [worker.app.send_task("nap", [0.05], queue="openai.low").id for _ in range(20)]
        eventually(lambda: len(worker.journal("started")) >= 100)
        early = [line["id"] for line in worker.journal("started")[:100]]
        # Two of ten, by weight; all of them once it is their turn, as messages come in handfuls.
        assert 10 <= sum(id in low for id in early) <= 20


def test_a_group_that_hangs_leaves_each_other_group_its_reserve(start_worker: StartWorker) -> None:
    with start_worker("openai.normal,anthropic.low,webhook.normal", 40) as worker:
        for _ in range(200):
            worker.app.send_task("tidy", queue="openai.normal")
        eventually(lambda: len(worker.journal("started")) == capacity(40))
        others = {
            worker.app.send_task("nap", [0.5], queue=queue).id
            for queue in ("anthropic.low", "webhook.normal")
            for _ in range(reserve(40))
        }
        eventually(lambda: others <= {line["id"] for line in worker.journal("finished")})
        assert len(worker.journal("started")) == capacity(40) + len(others)


def test_a_group_that_is_full_goes_on_as_soon_as_a_slot_is_free(start_worker: StartWorker) -> None:
    """Its lanes are not among those that BRPOP waits for: here it waits so long that the messages would take hours."""
    with start_worker("openai.normal,anthropic.normal", 2, "patient") as worker:
        count = 40 * capacity(2)
        with worker.stopped():
            for _ in range(count):
                worker.app.send_task("nap", [0.02], queue="openai.normal")
        eventually(lambda: len(worker.journal("finished")) == count)


def test_two_groups_that_hang_leave_a_third_its_reserve(start_worker: StartWorker) -> None:
    with start_worker("openai.bulk,gemini.high,local.normal", 6) as worker:
        for queue in ("openai.bulk", "gemini.high"):
            for _ in range(20):
                worker.app.send_task("tidy", queue=queue)
        eventually(lambda: len(worker.journal("started")) == 6 + 2 * reserve(6))
        late = worker.app.send_task("nap", [0], queue="local.normal").id
        eventually(lambda: worker.journal("finished", late))


def test_a_dropped_connection_runs_no_task_twice(start_worker: StartWorker) -> None:
    with start_worker("anthropic.high", 100) as worker:
        before = [worker.send("nap", 1.5) for _ in range(20)]
        eventually(lambda: len(worker.journal("started")) == 20)
        worker.drop_connections()
        after = [worker.send("nap", 0) for _ in range(5)]
        eventually(lambda: len(worker.journal("finished")) >= 25)
        eventually(lambda: "Connection to broker lost" in worker.log())
        assert Counter(line["id"] for line in worker.journal("started")) == Counter(before + after)


def test_a_lane_goes_on_after_redis_has_forgotten_its_binding(start_worker: StartWorker) -> None:
    with start_worker("ollama.normal", 1) as worker:
        worker.send("nap", 0)
        eventually(lambda: len(worker.journal("finished")) == 1)
        with worker.app.connection_for_read() as connection:
            assert connection.default_channel.client.delete("_kombu.binding.ollama.normal")
        worker.send("nap", 0)
        eventually(lambda: len(worker.journal("finished")) == 2)


def test_a_fetch_of_many_messages_takes_no_more_than_there_is_room_for(
    start_worker: StartWorker,
) -> None:
    with start_worker("anthropic.normal", 50) as worker:
        first = worker.send("nap", 0.5)
        eventually(lambda: worker.journal("started", first))
        for _ in range(100):
            worker.send("nap", 0.2)
        eventually(lambda: len(worker.journal("finished")) == 101)
        assert most_at_once(worker, "started", "finished") <= capacity(50)


def most_at_once(worker: RunningWorker, start: str, end: str) -> int:
    moves = [(line["at"], 1) for line in worker.journal(start)]
    moves += [(line["at"], -1) for line in worker.journal(end)]
    most = running = 0
    for _, move in sorted(moves):
        running += move
        most = max(most, running)
    return most
