"""How connections are served: gunicorn's threads, which see whole requests only.

gthread hands a connection to a thread, which then waits for the client's bytes: as many unfinished
requests as there are threads block it. Here one loop receives, and a thread gets a request once all of it
has arrived; `api.sender` keeps what a client does not read of its answer. So a slow client holds no thread.
"""

from __future__ import annotations

import errno
import logging
import socket
import time
from contextlib import suppress
from functools import partial
from io import BytesIO
from typing import Any

from flask import Response
from gunicorn.http.body import ChunkedReader
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from gunicorn.http.wsgi import create
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from api.body import WHOLE_BODY
from api.connection import ClientSocket, Connection, Phase
from api.framing import Received
from api.gateway import Gateway, gateway_of
from api.plain import PlainRequest, PlainResponse, plain_request
from api.refusals import (
    BodyTooLarge,
    HeadTooLarge,
    is_refusal,
    problem_of,
    too_slow,
)
from api.sender import SLOWEST_BYTES_PER_S
from api.threads import Round, Threads
from api.traffic import as_http
from api.watch import Watch

RECEIVE_BYTES = 256 * 1024
SWEEP_S = 0.5
LINGER_S = 5.0
"""How long an answered connection stays for a client that still sends, such as a body that is too large."""
LINGER_BYTES = 32 * 1024 * 1024
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NOBODY = (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

log = logging.getLogger(__name__)


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A process of the gateway. `nr_conns` counts the connections that it has, as gthread does."""

    def init_process(self) -> None:
        """Opens what the loop needs, and runs it."""
        self._next_sweep = 0.0
        super().init_process()

    def get_thread_pool(self) -> Threads[Connection]:
        """The threads of the process; gthread ends them."""
        return Threads(self.cfg.threads, self._serve)

    def run(self) -> None:
        """The loop, until the process is asked to end."""
        self._watch = Watch(self.poller)
        self._round = Round[Connection](self.tpool.put)
        super().run()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """One round."""
        super().wait_for_and_dispatch_events(timeout)
        self._round.end()

    @property
    def _here(self) -> Gateway:
        return gateway_of(self.wsgi)

    # On the loop: connections are accepted and received from.

    def accept(self, listener: Any) -> None:
        """Takes a new connection; where there is no room for it, the least important one is closed."""
        try:
            given, client = listener.accept()
        except OSError as error:
            if error.errno in NO_ROOM:
                if not self._make_room():
                    time.sleep(0.01)  # all are busy; the next one that ends makes room
            elif error.errno not in NOBODY:
                raise
            return
        self.nr_conns += 1
        while self.nr_conns >= self.worker_connections and self._make_room():
            pass
        conn = Connection(ClientSocket(given), client, listener.getsockname())
        self._begin(conn, Phase.FRESH, self.cfg.keepalive)

    def _make_room(self) -> bool:
        least = self._watch.least()
        if least:
            self._drop(least)
        return least is not None

    def _begin(self, conn: Connection, phase: Phase, timeout_s: float) -> None:
        self._watch.begin(conn, phase, timeout_s, partial(self._receive, conn))

    def _drop(self, conn: Connection) -> None:
        self._watch.end(conn)
        self.nr_conns -= 1
        with suppress(OSError):
            conn.sock.close()

    def _receive(self, conn: Connection, _: object) -> None:
        self._round.go_on()
        try:
            data = conn.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._drop(conn)
            return
        if conn.phase is Phase.LINGER:
            conn.discarded += len(data)
            if not data or conn.discarded > LINGER_BYTES:
                self._drop(conn)
            return
        conn.incoming.feed(data)
        self._go_on(conn, ended=not data)

    def _go_on(self, conn: Connection, *, ended: bool = False) -> None:
        """Hands the next request to a thread, or waits for more of it."""
        conn.received = conn.incoming.take()
        if ended and not conn.received and len(conn.incoming):
            conn.received = conn.incoming.rest()
        if conn.received:
            self._watch.end(conn)
            conn.started = False
            conn.sock.received_s = time.perf_counter()
            self._round.add(conn)
        elif ended:
            self._drop(conn)
        elif len(conn.incoming):
            self._await_more(conn)

    def _await_more(self, conn: Connection) -> None:
        settings = self._here.services.settings
        self._watch.count(conn)
        if conn.incoming.in_body:
            if conn.phase is not Phase.BODY:
                longest_s = conn.incoming.announced_bytes / SLOWEST_BYTES_PER_S
                self._watch.enter(conn, Phase.BODY, settings.body_timeout_s + longest_s)
            if conn.incoming.asks_to_continue():
                self._push(conn, CONTINUE)
        elif not conn.started:
            phase = Phase.HEAD if conn.requests else Phase.FRESH
            self._watch.enter(conn, phase, settings.header_timeout_s)
        conn.started = True
        while large := self._watch.too_much():
            self._cut(large)

    def murder_keepalived(self, force: bool = False) -> None:
        """Ends the connections whose time is over; all, if forced. Called in each round of the loop."""
        now = time.monotonic()
        if now < self._next_sweep and not force:
            return
        self._next_sweep = now + SWEEP_S
        if not self.alive:  # a thread may have given one back since the end began
            self._watch.cap(now + STOP_KEEPALIVE_LINGER)
        for conn in self._watch.all() if force else self._watch.overdue():
            if conn.started and conn.phase is not Phase.LINGER and not force:
                self._cut(conn)
            else:
                self._drop(conn)

    def murder_pending(self) -> None:
        """Does nothing: gthread's pending connections do not exist here."""

    def _cap_keepalive(self, deadline: float) -> None:
        self._watch.cap(deadline)

    def _cut(self, conn: Connection) -> None:
        """Tells a client that it was too slow."""
        self._watch.end(conn)
        self._push(conn, self._rendered(too_slow()))
        self._linger(conn)

    def _push(self, conn: Connection, data: bytes) -> None:
        with suppress(OSError):
            conn.sock.push(data)

    def _rendered(self, answer: Response) -> bytes:
        self._here.meter.count("other", "unmatched", answer.status_code)
        return as_http(answer)

    # On a thread: one whole request is answered.

    def handle(self, conn: Connection) -> bool:
        """Answers what was received; whether the connection can go on."""
        received, conn.received = conn.received, None
        assert received
        conn.requests += 1
        request = None
        try:
            request = self._parse(conn, received)
            goes_on = self.handle_request(request, conn) and received.whole
            conn.sock.push()
            return goes_on
        except StopIteration:
            return False  # it was taken over, see `api.parked`
        except BrokenPipeError:
            return False
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the client gets an answer
            self.handle_error(request, conn.sock, conn.client, error)
            return False

    def _parse(self, conn: Connection, received: Received) -> Any:
        """The request as gunicorn reads it, with all of its body at hand."""
        if received.head_too_large:
            raise HeadTooLarge
        if received.too_large:
            raise BodyTooLarge
        if plain := plain_request(self.cfg, conn.client, received):
            return plain
        request = Request(
            self.cfg, IterUnreader((received.head + received.body,)), conn.client, conn.requests
        )
        if isinstance(request.body.reader, ChunkedReader):
            request.body = BytesIO(request.body.read())
        else:
            request.body = BytesIO(received.body)
        # Asked and answered when the head came.
        request._expected_100_continue = False
        if not received.whole:
            request.force_close()
        return request

    def handle_request(self, req: Any, conn: Connection) -> bool:
        """Answers a parsed request; whether the connection can go on."""
        if not isinstance(req, PlainRequest) or self.cfg.max_requests:
            return bool(super().handle_request(req, conn))
        given = (req, conn.sock, conn.client, conn.server, self.cfg)
        answer, environ = create(*given, response_class=PlainResponse)
        environ["wsgi.multithread"] = True
        environ[WHOLE_BODY] = req.whole_body
        if not self.alive or not self.cfg.keepalive:
            answer.force_close()
        parts = self.wsgi(environ, answer.start_response)
        try:
            for part in parts:
                answer.write(part)
            answer.close()
        finally:
            if hasattr(parts, "close"):
                parts.close()
        return not answer.should_close()

    def handle_error(self, req: Any, client: ClientSocket, addr: Any, exc: Exception) -> None:
        """Answers a request that failed outside of the application with a problem."""
        if is_refusal(exc):
            log.info("refused: %s", type(exc).__name__)
        else:
            log.error("a request failed outside of the application", exc_info=exc)
        with suppress(OSError):
            client.push(self._rendered(problem_of(exc)))

    def _serve(self, conn: Connection) -> None:
        goes_on = self.handle(conn)
        if conn.sock.rest:
            self._here.sender.send(
                conn.sock,
                conn.sock.take_rest(),
                lambda sent: self.method_queue.defer(self._answered, conn, goes_on and sent),
            )
        elif goes_on and self.alive and not len(conn.incoming):
            # The loop need not be woken: it has nothing to do until the client sends.
            self._begin(conn, Phase.IDLE, self.cfg.keepalive)
        else:
            self.method_queue.defer(self._answered, conn, goes_on)

    # On the loop again: the connection goes on or ends.

    def _answered(self, conn: Connection, goes_on: bool) -> None:
        if not goes_on:
            self._linger(conn)
            return
        self._begin(conn, Phase.IDLE, self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER)
        if len(conn.incoming):
            self._go_on(conn)

    def _linger(self, conn: Connection) -> None:
        """Closes in order: a client that still sends would lose the answer by a reset (RFC 9112, 9.6)."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            self._begin(conn, Phase.LINGER, LINGER_S)
        except OSError:
            self._drop(conn)
