"""The model and the chunker in their processes: shared in turns, killed and replaced, gone with their parent."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from factory.domain.lanes import Priority
from factory.errors import WorkLost, WorkTooLong
from factory.knowledge.chunk import split
from factory.knowledge.embed import LocalEmbedder
from factory.knowledge.local import LocalModel
from factory.knowledge.schedule import Owner
from tests.integration.pipeline.bench import until

BULK = Owner(UUID(int=1), Priority.BULK)
QUERY = Owner(UUID(int=2), Priority.HIGH, is_query=True)
LONG = "The lease of a job is renewed by its worker. " * 25


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def local(runner: asyncio.Runner) -> Iterator[LocalModel]:
    async def make() -> LocalModel:
        return LocalModel()

    made = runner.run(make())
    yield made
    runner.run(made.close())


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_vectors_are_those_of_the_model_itself(runner: asyncio.Runner, local: LocalModel) -> None:
    texts = [f"Text number {n}." for n in range(20)]
    vectors, tokens = runner.run(local.embed(texts, BULK))
    here = LocalEmbedder.load()
    assert [list(vector) for vector in vectors] == [
        pytest.approx(vector, abs=1e-7) for vector in here.embed(texts)
    ]
    assert tokens == sum(here.count_tokens(text) for text in texts)


def test_chunks_are_those_of_the_chunker_itself(runner: asyncio.Runner, local: LocalModel) -> None:
    texts = ["One sentence.", LONG * 60, " \n", "A\r\nB\tC" * 400, ""]
    count = LocalEmbedder.load().count_tokens
    assert runner.run(local.split(texts, BULK)) == [split(text, count) for text in texts]
    assert runner.run(local.split([" ", ""], BULK)) == [[], []]


def test_nothing_is_started_before_it_is_needed(runner: asyncio.Runner, local: LocalModel) -> None:
    assert local.pids == []
    runner.run(local.split(["A text."], BULK))
    [chunker] = local.pids
    mapped = Path(f"/proc/{chunker}/maps").read_text()
    assert "tokenizers" in mapped
    assert "onnxruntime" not in mapped


def test_a_query_waits_for_one_piece_and_not_for_the_jobs(
    runner: asyncio.Runner, local: LocalModel
) -> None:
    async def work() -> list[bool]:
        bulk = [asyncio.ensure_future(local.embed([LONG] * 150, BULK)) for _ in range(3)]
        await until(lambda: local.pids)
        for _ in range(3):
            await local.embed(["a query"], QUERY)
        done = [job.done() for job in bulk]
        for job in bulk:
            job.cancel()
        return done

    assert runner.run(work()) == [False] * 3


def test_texts_for_others_are_cut_while_the_model_computes(
    runner: asyncio.Runner, local: LocalModel
) -> None:
    async def work() -> bool:
        embedding = asyncio.ensure_future(local.embed([LONG] * 300, BULK))
        await until(lambda: local.pids)
        await local.split([LONG * 10], BULK)
        done = embedding.done()
        embedding.cancel()
        return done

    assert runner.run(work()) is False


def test_a_job_that_is_cancelled_ends_at_once_and_burns_no_more_time(
    runner: asyncio.Runner, local: LocalModel
) -> None:
    def cpu_s(pid: int) -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def work() -> float:
        await local.embed(["warm"], BULK)
        [pid] = local.pids
        doomed = asyncio.ensure_future(local.embed([LONG] * 500, BULK))
        started = cpu_s(pid)
        await until(lambda: cpu_s(pid) > started + 0.05)
        doomed.cancel()
        asked_at = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await doomed
        assert time.monotonic() - asked_at < 20
        # The next answers come after the piece that was under way, and nothing else.
        for _ in range(40):
            await local.embed(["next"], BULK)
        assert local.pids == [pid]
        return cpu_s(pid) - started

    # 500 such texts take 20 s and more; 40 pieces of them, in turn with what comes next, take 5 s and more.
    assert runner.run(work()) < 3


def test_a_model_that_is_killed_costs_its_job_an_attempt_and_is_replaced(
    runner: asyncio.Runner, local: LocalModel
) -> None:
    async def work() -> list[float]:
        await local.embed(["warm"], BULK)
        [pid] = local.pids
        hit = asyncio.ensure_future(local.embed([LONG] * 50, BULK))
        await asyncio.sleep(0)
        other = asyncio.ensure_future(local.embed(["another's"], Owner(UUID(int=3), Priority.LOW)))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkLost):
            await hit
        vectors, _ = await other
        assert local.pids != [pid]
        return list(vectors[0])

    assert math.hypot(*runner.run(work())) == pytest.approx(1, abs=1e-5)


def test_a_model_that_hangs_is_killed_and_replaced(
    runner: asyncio.Runner, local: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        await local.embed(["warm"], BULK)
        [pid] = local.pids
        os.kill(pid, signal.SIGSTOP)
        monkeypatch.setattr("factory.knowledge.local.PIECE_S", 0.2)
        with pytest.raises(WorkTooLong):
            await local.embed(["stuck"], BULK)
        monkeypatch.undo()
        await local.embed(["next"], BULK)
        assert not is_alive(pid)

    runner.run(work())


def test_both_processes_die_with_their_parent() -> None:
    code = (
        "import asyncio, sys\n"
        "from tests.integration.knowledge.test_local import BULK, LocalModel\n"
        "async def work():\n"
        "    local = LocalModel()\n"
        "    await local.split(['A text.'], BULK)\n"
        "    await local.embed(['A text.'], BULK)\n"
        "    print(*local.pids, flush=True)\n"
        "    await local.embed(['A long text. ' * 100] * 1000, BULK)\n"
        "asyncio.run(work())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()
    asyncio.run(until(lambda: not any(map(is_alive, pids))))


def test_the_caller_pays_nothing_for_the_model() -> None:
    code = (
        "import sys, factory.knowledge.local\n"
        "print({'numpy', 'onnxruntime', 'tokenizers', 'semchunk'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"
