from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from kombu import Connection

from factory.embedded.valkey import EmbeddedValkey, celery_url
from factory.errors import Conflict
from tests.integration.embedded.processes import processes_in, until

Owner = Callable[[str, Path], "subprocess.Popen[str]"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path / "valkey")
    yield server
    server.stop()
    assert not processes_in(server.directory)


def test_data_survive_a_restart_at_the_same_address(server: EmbeddedValkey) -> None:
    url = server.start()
    with redis.from_url(url) as client:
        client.set("kept", 42)
    server.stop()
    assert server.start() == url
    with redis.from_url(url) as client:
        assert client.get("kept") == b"42"


def test_it_keeps_every_message(server: EmbeddedValkey) -> None:
    with redis.from_url(server.start()) as client:
        settings = client.config_get("maxmemory-policy", "appendonly", "appendfsync")
    expected = {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "everysec"}
    assert settings == expected


def test_celery_takes_the_mapped_url(server: EmbeddedValkey) -> None:
    with Connection(celery_url(server.start())) as connection:
        queue = connection.SimpleQueue("lane")
        queue.put("hint")
        assert queue.get(timeout=60).payload == "hint"
        queue.close()


def test_a_directory_has_one_owner(server: EmbeddedValkey) -> None:
    server.start()
    with pytest.raises(Conflict) as refusal:
        EmbeddedValkey(server.directory).start()
    assert refusal.value.code == "directory_in_use"


def test_a_killed_owner_leaves_no_server_and_the_next_start_works(
    server: EmbeddedValkey, own: Owner
) -> None:
    url = server.start()
    with redis.from_url(url) as client:
        client.set("kept", 42)
    server.stop()
    own("valkey", server.directory).kill()
    until(lambda: not processes_in(server.directory))
    assert server.start() == url
    with redis.from_url(url) as client:
        assert client.get("kept") == b"42"


def test_a_directory_may_lie_deep(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / ("d" * 100) / "with space")
    try:
        with redis.from_url(server.start()) as client:
            assert client.ping()
    finally:
        server.stop()


def _cut(data: Path) -> None:
    """The last write did not come to its end."""
    file = next(data.glob("*.incr.aof"))
    file.write_bytes(file.read_bytes()[:-7])


def _zeroed(data: Path) -> None:
    """Its length was written and its content was not."""
    file = next(data.glob("*.incr.aof"))
    file.write_bytes(file.read_bytes()[:-7] + bytes(4096))


def _emptied(data: Path) -> None:
    next(data.glob("*.manifest")).write_bytes(b"")


@pytest.mark.parametrize("tear", [_cut, _zeroed, _emptied])
def test_it_starts_with_what_a_power_loss_has_torn(
    server: EmbeddedValkey, tear: Callable[[Path], None]
) -> None:
    with redis.from_url(server.start()) as client:
        client.set("kept", 42)
    server.stop()
    tear(server.directory / "appendonlydir")
    with redis.from_url(server.start()) as client:
        client.set("new", 1)
    server.stop()
    with redis.from_url(server.start()) as client:
        assert client.get("new") == b"1"
