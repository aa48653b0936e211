"""Answers that clients read slowly, or not at all."""

import socket
import threading
from collections.abc import Iterator

import pytest

from api import sender
from api.sender import Sender

PATIENCE_S = 60.0
TEXT = b"prime " * 500_000


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(PATIENCE_S)
    with ours, theirs:
        yield ours, theirs


def test_a_slow_reader_gets_all_of_it(line: tuple[socket.socket, socket.socket]) -> None:
    ended, told = threading.Event(), list[bool]()
    made = Sender(PATIENCE_S)
    made.send(line[0], TEXT, lambda sent: (told.append(sent), ended.set())[1])
    read = b""
    while len(read) < len(TEXT):
        read += line[1].recv(65536)

    assert ended.wait(PATIENCE_S)
    assert (read, told) == (TEXT, [True])
    made.stop()


def test_who_does_not_read_is_given_up(
    line: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "SLOWEST_BYTES_PER_S", 10**9)
    ended, told = threading.Event(), list[bool]()
    made = Sender(0.1)
    made.send(line[0], TEXT, lambda sent: (told.append(sent), ended.set())[1])

    assert ended.wait(PATIENCE_S)
    assert told == [False]
    made.stop()


def test_answers_that_nobody_reads_hold_so_much_memory_and_no_more(
    line: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "MOST_UNSENT_BYTES", len(TEXT) * 3 // 2)
    given_up, ended, told = threading.Event(), threading.Event(), list[tuple[str, bool]]()
    made = Sender(600)
    idle, client = socket.socketpair()
    idle.setblocking(False)
    with idle, client:
        made.send(idle, TEXT, lambda sent: (told.append(("idle", sent)), given_up.set())[1])
        made.send(line[0], TEXT, lambda sent: (told.append(("reader", sent)), ended.set())[1])

        assert given_up.wait(PATIENCE_S)
        read = 0
        while read < len(TEXT):
            read += len(line[1].recv(65536))
        assert ended.wait(PATIENCE_S)
    assert told == [("idle", False), ("reader", True)]
    made.stop()


def test_who_has_gone_is_given_up_at_once(line: tuple[socket.socket, socket.socket]) -> None:
    ended, told = threading.Event(), list[bool]()
    made = Sender(600)
    line[1].close()
    made.send(line[0], TEXT, lambda sent: (told.append(sent), ended.set())[1])

    assert ended.wait(PATIENCE_S)
    assert told == [False]
    made.stop()
