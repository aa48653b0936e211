"""Both clients of Redis, ours and the broker's, verify who answers; so do they behind Sentinels."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from flower.utils.broker import Broker
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from factory.config import Settings
from factory.domain.job import new_id
from factory.errors import Unavailable
from factory.pipeline.dispatch.publish import Message
from factory.services import connect_redis
from tests.integration.reliability.rig import eventually
from tests.integration.reliability.sentinels import MASTER_NAME, Node, start_sentinel, start_server
from tests.integration.settings.certificates import Authority, make_authority
from tests.integration.settings.tls_front import running_front
from workers.app import create_app
from workers.messages import Publisher

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl makes the certificates"
)

LANE = "openai.high"
PATIENT_MS = 60_000
"""A Sentinel takes nobody for dead who answers late."""
Front = Callable[[Authority, str], int]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("ca"), "ours")


@pytest.fixture(scope="module")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("ca"), "other_authority")


@pytest.fixture
def front(redis_url: str) -> Iterator[Front]:
    """Starts a front before the tests' server; gives its port."""
    with ExitStack() as stack:

        def start(by: Authority, host: str) -> int:
            path = unquote(urlsplit(redis_url).path)
            return stack.enter_context(running_front(path, *by.issue(host)))

        yield start
    with Redis.from_url(redis_url) as client:
        client.delete(LANE)


def settings_of(url: str, ca: Authority | None, **more: object) -> Settings:
    return Settings(
        database_url="postgresql://nowhere",
        redis_url=url,
        redis_ca_file=str(ca.certificate) if ca else None,
        secret_key="test-secret-key-of-32-characters!",
        **more,
    )


def ping(settings: Settings) -> None:
    """By our client."""
    with connect_redis(settings.redis_url, settings.redis_tls_options) as client:
        client.ping()


def publish(settings: Settings) -> None:
    """By the broker's, as the dispatcher does."""
    publisher = Publisher(create_app(settings.redis_url, settings.redis_tls_options))
    publisher.send(LANE, [Message([new_id()])])


def refused_by_both(settings: Settings, words: str) -> None:
    with pytest.raises(RedisConnectionError, match=words):
        ping(settings)
    with pytest.raises(Unavailable, match=words):
        publish(settings)


def test_both_clients_talk_to_a_server_of_a_known_authority(
    front: Front, authority: Authority
) -> None:
    settings = settings_of(f"rediss://127.0.0.1:{front(authority, '127.0.0.1')}/0", authority)
    ping(settings)
    publish(settings)


@pytest.mark.parametrize("known", ["none", "another"])
def test_both_refuse_a_server_of_an_unknown_authority(
    front: Front, authority: Authority, other_authority: Authority, known: str
) -> None:
    url = f"rediss://127.0.0.1:{front(authority, '127.0.0.1')}/0"
    refused_by_both(
        settings_of(url, other_authority if known == "another" else None),
        "self.signed|verify failed",
    )


def test_both_refuse_a_server_of_another_name(front: Front, authority: Authority) -> None:
    url = f"rediss://127.0.0.1:{front(authority, 'other.internal')}/0"
    refused_by_both(settings_of(url, authority), "mismatch|not valid for")


def test_both_do_without_verification_where_the_url_says_so(
    front: Front, authority: Authority
) -> None:
    port = front(authority, "other.internal")
    settings = settings_of(f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=none", None)
    ping(settings)
    publish(settings)


def test_flower_verifies_as_well(
    front: Front, authority: Authority, other_authority: Authority
) -> None:
    url = f"rediss://127.0.0.1:{front(authority, '127.0.0.1')}/0"
    assert asyncio.run(flower_ping(settings_of(url, authority)))
    with pytest.raises(RedisConnectionError, match="verify failed"):
        asyncio.run(flower_ping(settings_of(url, other_authority)))


async def flower_ping(settings: Settings) -> bool:
    """By the client that Flower makes of the app's settings."""
    conf = create_app(settings.redis_url, settings.redis_tls_options).conf
    broker = Broker(
        conf.broker_url,
        broker_options=conf.broker_transport_options,
        broker_use_ssl=conf.broker_use_ssl,
    )
    try:
        return bool(await broker.redis.ping())
    finally:
        await broker.redis.aclose()


@pytest.fixture
def sentinel_url(tmp_path: Path, authority: Authority) -> Iterator[str]:
    """A master and a Sentinel, both behind TLS."""
    nodes: list[Node] = []
    certificate = authority.issue("127.0.0.1")
    with ExitStack() as stack:
        nodes.append(start_server(tmp_path, ()))
        master = stack.enter_context(running_front(("127.0.0.1", nodes[0].port), *certificate))
        nodes.append(start_sentinel(tmp_path, master, PATIENT_MS))
        eventually(lambda: _knows_a_master(nodes[1]))
        port = stack.enter_context(running_front(("127.0.0.1", nodes[1].port), *certificate))
        yield f"sentinel://127.0.0.1:{port}/0?master_name={MASTER_NAME}"
        for node in reversed(nodes):
            node.process.kill()


def _knows_a_master(sentinel: Node) -> bool:
    try:
        with sentinel.client() as client:
            return MASTER_NAME in client.sentinel_masters()
    except RedisError:
        return False


def test_both_verify_sentinels_and_the_master_that_they_name(
    sentinel_url: str, authority: Authority, other_authority: Authority
) -> None:
    settings = settings_of(sentinel_url, authority, redis_tls=True)
    ping(settings)
    publish(settings)
    wrong = settings_of(sentinel_url, other_authority, redis_tls=True)
    with pytest.raises(RedisConnectionError):
        ping(wrong)
    with pytest.raises(Unavailable):
        publish(wrong)
