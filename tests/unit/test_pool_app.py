"""The app's settings and a worker's command line."""

from __future__ import annotations

import pytest

from factory.domain.lanes import all_lanes
from workers.app import create_app


@pytest.mark.parametrize(
    ("given", "url", "master"),
    [
        ("redis://:p@h:6379/0", "redis://:p@h:6379/0", None),
        ("rediss://h:6380/1", "rediss://h:6380/1", None),
        ("unix:///run/r.sock?db=2", "redis+socket:///run/r.sock?virtual_host=2", None),
        ("redis+socket:///run/r.sock", "redis+socket:///run/r.sock", None),
        (
            "sentinel://a:26379;sentinel://b:26379",
            "sentinel://a:26379;sentinel://b:26379",
            "mymaster",
        ),
        ("sentinel://a:26379?master_name=prod", "sentinel://a:26379", "prod"),
    ],
)
def test_every_way_to_name_the_broker_is_understood(
    given: str, url: str, master: str | None
) -> None:
    conf = create_app(given).conf
    assert conf.broker_url == url
    assert conf.broker_transport_options.get("master_name") == master


def test_a_lane_is_a_direct_queue_with_its_own_name_as_key() -> None:
    queues = create_app("redis://").conf.task_queues
    assert tuple(queue.name for queue in queues) == all_lanes()
    assert all(queue.routing_key == queue.exchange.name == queue.name for queue in queues)
    assert {queue.exchange.type for queue in queues} == {"direct"}


def test_messages_are_acknowledged_early_and_leave_no_result() -> None:
    conf = create_app("redis://").conf
    assert (conf.task_acks_late, conf.task_ignore_result, conf.result_backend) == (
        False,
        True,
        None,
    )
    assert (conf.worker_disable_prefetch, conf.broker_connection_max_retries) == (True, None)
    assert conf.accept_content == ["json"]


def test_a_task_tells_how_many_slots_a_message_takes() -> None:
    app = create_app("redis://")

    @app.task(name="batch", weigh=staticmethod(len))
    async def batch(job_ids: list[str]) -> None: ...

    assert app.tasks["batch"].weigh(["a", "b"]) == 2
