"""Clients that wait without a thread: their connections are taken from gunicorn and answered later.

A gthread keeps its thread until the response is written, so 1,000 waiting clients would need 1,000
threads. Here the request ends at once for gunicorn, with a socket that leads nowhere, and one thread
answers all who wait on their real ones. Other servers do not show the socket: see `api.waiting`.
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
from factory.errors import FactoryError, NotFound, Unavailable
from factory.pipeline.accept.wait import MANY, POLL_MANY_S, POLL_S
from factory.store import jobs
from factory.store.database import Database
from factory.store.details import JobDetail, get_details

MOST_GUESTS = 2000
"""Clients that one process lets wait; each costs a file descriptor and about 10 KB."""
AT_ONCE = 100
"""Jobs that are read together for those who are to be answered."""
STOP_S = 30.0
"""How long the end waits until everybody is answered."""
GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR

log = logging.getLogger(__name__)


class Visitor(Protocol):
    """The request as it is left to the lounge; `api.traffic` makes it."""

    def reply(self, outcome: JobDetail | FactoryError) -> bytes:
        """The whole HTTP response; it is counted and logged."""

    def gone(self) -> None:
        """The client went away."""


@dataclass(frozen=True, slots=True, eq=False)
class Guest:
    """A client that waits for a job."""

    project_id: UUID
    job_id: UUID
    until: float
    """Monotonic time at which it is answered at the latest."""
    visitor: Visitor
    line: socket.socket


class Parked(Response):
    """What Flask gets instead of an answer: serving it hands the connection to the lounge."""

    def __init__(self, take: Callable[[socket.socket], None]) -> None:
        super().__init__()
        self._take = take

    def __call__(self, environ: dict[str, Any], start_response: object) -> Iterable[bytes]:
        """Ends the request for gunicorn: StopIteration has it close the connection without a word."""
        self._take(_taken_from(environ["gunicorn.socket"]))
        raise StopIteration


def _taken_from(given: socket.socket) -> socket.socket:
    """The connection; the server's own descriptor leads nowhere now, so closing it does no harm.

    A copy alone is not enough: gunicorn shuts the connection down, which reaches every copy.
    """
    line = given.dup()
    nowhere, end = socket.socketpair()
    end.close()
    os.dup2(nowhere.fileno(), given.fileno(), inheritable=False)
    nowhere.close()
    return line


def can_leave(environ: Mapping[str, Any]) -> bool:
    """Whether the connection of this request can be taken: plain HTTP/1 under gunicorn's threads."""
    line = environ.get("gunicorn.socket")
    return (
        isinstance(line, socket.socket)
        and not isinstance(line, ssl.SSLSocket)
        and environ.get("HTTP_VERSION") != "2"
        and bool(environ.get("wsgi.multithread"))
    )


class Lounge:
    """The guests of one process, and the thread that answers them. It starts with the first guest."""

    def __init__(self, database: Database, sender: Sender) -> None:
        self._database = database
        self._sender = sender
        self.most = MOST_GUESTS
        self._lock = threading.Lock()
        self._guests: dict[int, Guest] = {}
        self._lines = select.poll()
        self._changed = threading.Event()
        self._closing = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="lounge", daemon=True)
        self._started = threading.Lock()

    @property
    def open(self) -> bool:
        """Whether one more can wait here."""
        return not self._closing and len(self._guests) < self.most

    @property
    def guests(self) -> int:
        """How many wait."""
        return len(self._guests)

    def park(self, project_id: UUID, job_id: UUID, wait_s: float, visitor: Visitor) -> Parked:
        """The response with which the client goes on to wait here, for `wait_s` seconds at most."""
        until = time.monotonic() + wait_s
        return Parked(lambda line: self._seat(Guest(project_id, job_id, until, visitor, line)))

    def _seat(self, guest: Guest) -> None:
        guest.line.setblocking(False)
        with self._lock:
            was_empty = not self._guests
            self._guests[guest.line.fileno()] = guest
            self._lines.register(guest.line.fileno(), GONE)
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
        while not self._stopped or self._guests:
            self._changed.wait(self._pause_s())
            self._changed.clear()
            try:
                self._look()
            except Unavailable as error:
                log.warning("guests go on waiting: %s", error)
            except Exception:
                # A bug that one guest brings up must not strand the others.
                log.exception("the lounge failed and goes on")

    def _pause_s(self) -> float | None:
        if not self._guests:
            return None
        return POLL_S if len(self._guests) < MANY else POLL_MANY_S

    def _look(self) -> None:
        """Sees off who has gone, whose job has ended and whose time is over."""
        for fileno, _ in self._lines.poll(0):
            self._release(self._guests[fileno], None)
        now = time.monotonic()
        due = [guest for guest in self._all() if self._closing or guest.until <= now]
        waiting = {guest.job_id for guest in self._all()} - {guest.job_id for guest in due}
        try:
            ended = self._ended(waiting)
        finally:
            self._answer(due)
        self._answer([guest for guest in self._all() if guest.job_id in ended])

    def _all(self) -> list[Guest]:
        with self._lock:
            return list(self._guests.values())

    def _ended(self, waiting: set[UUID]) -> set[UUID]:
        if not waiting:
            return set()
        with self._database.autocommit() as tx:
            return jobs.ended(tx, list(waiting))

    def _answer(self, guests: Sequence[Guest]) -> None:
        for start in range(0, len(guests), AT_ONCE):
            part = guests[start : start + AT_ONCE]
            for guest, outcome in zip(part, self._outcomes(part), strict=True):
                self._release(guest, outcome)

    def _outcomes(self, guests: Sequence[Guest]) -> Sequence[JobDetail | FactoryError]:
        try:
            with self._database.autocommit() as tx:
                found = get_details(tx, [(guest.project_id, guest.job_id) for guest in guests])
        except Unavailable as error:
            return [error] * len(guests)
        return [view or NotFound("there is no such job", param="id") for view in found]

    def _release(self, guest: Guest, outcome: JobDetail | FactoryError | None) -> None:
        """Ends the guest's stay: with an answer, or without where the client has gone."""
        with self._lock:
            self._lines.unregister(guest.line)
            del self._guests[guest.line.fileno()]
        answer = b""
        try:
            if outcome is None:
                guest.visitor.gone()
            else:
                answer = guest.visitor.reply(outcome)
        finally:
            self._send(guest.line, answer)

    def _send(self, line: socket.socket, answer: bytes) -> None:
        """Sends without waiting; what the socket's buffer does not hold, the sender keeps."""
        sent = send_now(line, answer)
        if sent is None or sent == len(answer):
            _end(line)
        else:
            self._sender.send(line, answer[sent:], lambda _: _end(line))


def _end(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_WR)
    line.close()
