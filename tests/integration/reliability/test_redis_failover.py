"""Redis behind Sentinels: the master dies with one of them in the middle of the work."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from factory.config import Settings
from factory.errors import Misconfigured
from factory.services import connect_redis
from factory.simulator import HostedSimulator
from tests.integration.reliability.rig import SECRET_KEY, running_rig
from tests.integration.reliability.sentinels import running_group

RESUMES_S = 90.0
"""Alone on the machine it is 7 s; Sentinels that get no CPU elect late."""
LONGEST_LINE = 600
JOBS = 150
SLOTS = 10
"""Few enough that the master dies with hints on its lanes."""


def test_work_goes_on_after_the_masters_death(
    tmp_path: Path, database_url: str, simulator: HostedSimulator
) -> None:
    with (
        running_group(tmp_path / "redis") as group,
        running_rig(tmp_path, database_url, group.url, simulator) as rig,
    ):
        rig.start_crew(slots=SLOTS)
        first = rig.submit(JOBS)
        while len(rig.ended(first)) < JOBS // 5:
            time.sleep(0.02)
        master = group.master()
        master.process.kill()
        group.sentinels[0].process.kill()
        second = rig.submit(1)
        rig.all_ended(second, RESUMES_S)
        ended = rig.all_ended(first + second)
        assert {(job.state, job.attempt) for job in ended} == {("succeeded", 1)}
        assert rig.called_once(first + second)
        assert group.master().port != master.port
        log = rig.log("workers.worker") + rig.log("workers.dispatcher")
        assert "Traceback" not in log
        assert max(map(len, log.splitlines())) < LONGEST_LINE


@pytest.mark.parametrize("url", ["sentinel://", "sentinel://a:1;sentinel://:2"])
def test_a_sentinel_without_a_host_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        connect_redis(url)
    assert caught.value.param == "REDIS_URL"


def test_settings_take_several_sentinels() -> None:
    url = "sentinel://a:26379;sentinel://b:26379?master_name=jobs"
    settings = Settings(database_url="postgresql://x", redis_url=url, secret_key=SECRET_KEY)
    pool = connect_redis(settings.redis_url).connection_pool
    assert pool.service_name == "jobs"
    assert len(pool.sentinel_manager.sentinels) == 2
