"""Parked connections: clients that wait without a thread, taken from gunicorn and answered later.

A gthread keeps its thread until the response is written, so 1,000 waiting clients would need 1,000
threads. Here gunicorn's request ends at once, with a closed socket in place of the client's, and one thread
answers all parked connections. Other servers do not show the socket: see `api.waiting`.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from flask import Response

from api.sender import Sender, send_now
from factory.domain.principal import Principal, together
from factory.errors import FactoryError, NotFound, Unavailable
from factory.pipeline.accept.wait import MANY, POLL_MANY_S, POLL_S
from factory.store import jobs
from factory.store.database import Database
from factory.store.details import JobDetail, get_details

MOST_PARKED = 2000
"""Connections that one process parks; each costs a file descriptor and about 10 KB."""
AT_ONCE = 100
"""Jobs that are read together for those that are to be answered."""
STOP_S = 30.0
"""How long the end waits until all are answered."""
GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR

log = logging.getLogger(__name__)


class ParkedRequest(Protocol):
    """The request of a parked connection; `api.traffic` makes it."""

    def reply(self, outcome: JobDetail | FactoryError) -> bytes:
        """The whole HTTP response; it is counted and logged."""

    def gone(self) -> None:
        """The client went away."""


@dataclass(frozen=True, slots=True, eq=False)
class ParkedConnection:
    """A client that waits for a job."""

    who: Principal
    job_id: UUID
    until: float
    """Monotonic time at which it is answered at the latest."""
    request: ParkedRequest
    sock: socket.socket


class ParkedResponse(Response):
    """What Flask gets instead of an answer: serving it parks the connection."""

    def __init__(self, take: Callable[[socket.socket], None]) -> None:
        super().__init__()
        self._take = take

    def __call__(self, environ: dict[str, Any], start_response: object) -> Iterable[bytes]:
        """Ends the request for gunicorn: StopIteration has it close the connection without a word."""
        self._take(_taken_from(environ["gunicorn.socket"]))
        raise StopIteration


def _taken_from(given: socket.socket) -> socket.socket:
    """The connection; the server's own descriptor is replaced, so closing it does no harm.

    A copy alone is not enough: gunicorn shuts the connection down, which reaches every copy.
    """
    taken = given.dup()
    unconnected, end = socket.socketpair()
    end.close()
    os.dup2(unconnected.fileno(), given.fileno(), inheritable=False)
    unconnected.close()
    return taken


def can_park(environ: Mapping[str, Any]) -> bool:
    """Whether the connection of this request can be taken: plain HTTP/1 under gunicorn's threads."""
    sock = environ.get("gunicorn.socket")
    return (
        isinstance(sock, socket.socket)
        and not isinstance(sock, ssl.SSLSocket)
        and environ.get("HTTP_VERSION") != "2"
        and bool(environ.get("wsgi.multithread"))
    )


class ParkedConnections:
    """All parked connections of one process, and the thread that answers them. It starts with the first one."""

    def __init__(self, database: Database, sender: Sender) -> None:
        self._database = database
        self._sender = sender
        self.most = MOST_PARKED
        self._lock = threading.Lock()
        self._parked: dict[int, ParkedConnection] = {}
        self._poll = select.poll()
        self._changed = threading.Event()
        self._closing = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="parked", daemon=True)
        self._started = threading.Lock()

    @property
    def open(self) -> bool:
        """Whether one more can be parked."""
        return not self._closing and len(self._parked) < self.most

    @property
    def count(self) -> int:
        """How many are parked."""
        return len(self._parked)

    def park(
        self, who: Principal, job_id: UUID, wait_s: float, request: ParkedRequest
    ) -> ParkedResponse:
        """The response that parks the connection, for `wait_s` seconds at most."""
        until = time.monotonic() + wait_s
        return ParkedResponse(
            lambda sock: self._add(ParkedConnection(who, job_id, until, request, sock))
        )

    def _add(self, one: ParkedConnection) -> None:
        one.sock.setblocking(False)
        with self._lock:
            was_empty = not self._parked
            self._parked[one.sock.fileno()] = one
            self._poll.register(one.sock.fileno(), GONE)
        if not self._thread.is_alive() and self._started.acquire(blocking=False):
            self._thread.start()
        if was_empty or self._closing:
            self._changed.set()

    def close(self) -> None:
        """From now on everybody is answered with the job as it stands."""
        self._closing = True
        self._changed.set()

    def stop(self) -> None:
        """Answers who is left, and ends the thread."""
        self._closing = self._stopped = True
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stopped or self._parked:
            self._changed.wait(self._pause_s())
            self._changed.clear()
            try:
                self._look()
            except Unavailable as error:
                log.warning("parked connections go on waiting: %s", error)
            # A bug that one connection brings up must not leave the others without an answer.
            except Exception:
                log.exception("answering parked connections failed, and goes on")

    def _pause_s(self) -> float | None:
        if not self._parked:
            return None
        return POLL_S if len(self._parked) < MANY else POLL_MANY_S

    def _look(self) -> None:
        """Releases those whose client has gone, whose job has ended or whose time is over."""
        for fileno, _ in self._poll.poll(0):
            self._release(self._parked[fileno], None)
        now = time.monotonic()
        due = [one for one in self._all() if self._closing or one.until <= now]
        answered = {one.job_id for one in due}
        waiting = [one for one in self._all() if one.job_id not in answered]
        try:
            ended = self._ended(waiting)
        finally:
            self._answer(due)
        self._answer([one for one in self._all() if one.job_id in ended])

    def _all(self) -> list[ParkedConnection]:
        with self._lock:
            return list(self._parked.values())

    def _ended(self, waiting: Sequence[ParkedConnection]) -> set[UUID]:
        if not waiting:
            return set()
        with self._database.autocommit(together([one.who for one in waiting])) as tx:
            return jobs.ended(tx, list({one.job_id for one in waiting}))

    def _answer(self, connections: Sequence[ParkedConnection]) -> None:
        for start in range(0, len(connections), AT_ONCE):
            part = connections[start : start + AT_ONCE]
            for one, outcome in zip(part, self._outcomes(part), strict=True):
                self._release(one, outcome)

    def _outcomes(
        self, connections: Sequence[ParkedConnection]
    ) -> Sequence[JobDetail | FactoryError]:
        try:
            with self._database.autocommit(together([one.who for one in connections])) as tx:
                found = get_details(tx, [(one.who.project_id, one.job_id) for one in connections])
        except Unavailable as error:
            return [error] * len(connections)
        return [view or NotFound("there is no such job", param="id") for view in found]

    def _release(self, one: ParkedConnection, outcome: JobDetail | FactoryError | None) -> None:
        """Answers the client and forgets the connection; `outcome` None: the client has gone."""
        with self._lock:
            self._poll.unregister(one.sock)
            del self._parked[one.sock.fileno()]
        answer = b""
        try:
            if outcome is None:
                one.request.gone()
            else:
                answer = one.request.reply(outcome)
        finally:
            self._send(one.sock, answer)

    def _send(self, sock: socket.socket, answer: bytes) -> None:
        """Sends without waiting; the sender keeps what the socket's buffer does not hold."""
        sent = send_now(sock, answer)
        if sent is None or sent == len(answer):
            _end(sock)
        else:
            self._sender.send(sock, answer[sent:], lambda _: _end(sock))


def _end(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
    sock.close()
