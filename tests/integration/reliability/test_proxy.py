"""The proxy breaks connections as it says; a fault that does not happen proves nothing."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.reliability.proxy import Direction, Loss, Proxy, running_proxy
from tests.integration.reliability.rig import eventually

SHORT_S = 0.2
ANSWERS_S = 60.0


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(1000):
            heard.append(data)
            self.request.sendall(data)


heard: list[bytes] = []


@pytest.fixture(params=["tcp", "unix"])
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Proxy]:
    heard.clear()
    path = tmp_path / "echo"
    server: socketserver.BaseServer
    if request.param == "tcp":
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo)
        upstream = server.server_address
    else:
        server = socketserver.ThreadingUnixStreamServer(str(path), Echo)
        upstream = path
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    with running_proxy(upstream) as proxy:
        yield proxy
    server.shutdown()
    server.server_close()


def _client(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=ANSWERS_S)


def _says(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return client.recv(1000)


def test_bytes_pass(proxy: Proxy) -> None:
    with _client(proxy) as client:
        assert _says(client, b"hello") == b"hello"


def test_refused_connections_are_refused_until_it_heals(proxy: Proxy) -> None:
    with _client(proxy) as client:
        assert _says(client, b"hello") == b"hello"
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        _client(proxy)
    proxy.heal()
    with _client(proxy) as client:
        assert _says(client, b"again") == b"again"


def test_a_reset_hits_what_stands_and_not_what_comes(proxy: Proxy) -> None:
    with _client(proxy) as client:
        _says(client, b"hello")
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with _client(proxy) as client:
        assert _says(client, b"again") == b"again"


def test_rejected_connections_stand_and_are_reset(proxy: Proxy) -> None:
    proxy.reject()
    with pytest.raises(ConnectionResetError), _client(proxy) as client:
        client.recv(1)


@pytest.mark.parametrize("direction", Direction)
def test_a_black_hole_gives_back_what_it_held(proxy: Proxy, direction: Direction) -> None:
    with _client(proxy) as client:
        _says(client, b"hello")
        proxy.swallow(frozenset({direction}))
        client.settimeout(SHORT_S)
        with pytest.raises(TimeoutError):
            _says(client, b"lost?")
        if direction is Direction.DOWN:
            eventually(lambda: heard[1:] == [b"lost?"])
        assert heard[1:] == ([b"lost?"] if direction is Direction.DOWN else [])
        proxy.heal()
        client.settimeout(ANSWERS_S)
        assert client.recv(1000) == b"lost?"


def test_a_black_hole_accepts_connections_and_answers_none(proxy: Proxy) -> None:
    proxy.swallow()
    with _client(proxy) as client:
        client.settimeout(SHORT_S)
        with pytest.raises(TimeoutError):
            _says(client, b"hello")


def test_a_stranded_connection_stays_so_and_new_ones_are_served(proxy: Proxy) -> None:
    with _client(proxy) as client:
        _says(client, b"hello")
        proxy.strand()
        proxy.heal()
        client.settimeout(SHORT_S)
        with pytest.raises(TimeoutError):
            _says(client, b"lost")
    with _client(proxy) as client:
        assert _says(client, b"again") == b"again"


def test_a_half_close_ends_what_the_server_says(proxy: Proxy) -> None:
    with _client(proxy) as client:
        _says(client, b"hello")
        proxy.half_close()
        assert client.recv(1) == b""


def test_a_half_closed_client_may_still_talk_whatever_the_server_answers(proxy: Proxy) -> None:
    with _client(proxy) as client:
        _says(client, b"hello")
        proxy.half_close()
        for word in (b"are", b"you", b"there"):
            client.sendall(word)
            eventually(lambda said=word: said in heard)


def test_a_delay_holds_each_piece(proxy: Proxy) -> None:
    with _client(proxy) as client:
        proxy.delay(SHORT_S)
        started = time.monotonic()
        assert _says(client, b"hello") == b"hello"
        assert time.monotonic() - started >= 2 * SHORT_S, "one piece to the server, one back"


@pytest.mark.parametrize("loss", [Loss.ANSWER, Loss.QUESTION])
def test_a_cut_loses_the_answer_or_the_question_once(proxy: Proxy, loss: Loss) -> None:
    proxy.cut_at(b"COMMIT", loss)
    with _client(proxy) as client:
        _says(client, b"BEGIN")
        with pytest.raises(ConnectionResetError):
            _says(client, b"COMMIT")
    assert heard[1:] == ([b"COMMIT"] if loss is Loss.ANSWER else [])
    assert proxy.cuts == 1
    with _client(proxy) as client:
        assert _says(client, b"COMMIT") == b"COMMIT"


def test_a_cut_waits_for_what_comes_before(proxy: Proxy) -> None:
    proxy.cut_at(b"COMMIT", Loss.SILENCE, after=b"INSERT")
    with _client(proxy) as client:
        assert _says(client, b"COMMIT") == b"COMMIT"
        _says(client, b"INSERT")
        client.settimeout(SHORT_S)
        with pytest.raises(TimeoutError):
            _says(client, b"COMMIT")
    eventually(lambda: heard == [b"COMMIT", b"INSERT", b"COMMIT"])
