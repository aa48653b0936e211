"""A signal may come at any moment of the main thread, also where that holds a lock."""

from __future__ import annotations

import ast
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from factory.signal_calls import STOP_SIGNALS, SignalCalls, on_stop

ROOT = Path(__file__).parents[2]
HARMLESS = {
    ("factory/signal_calls.py", "lambda *_: calls.post(call)"),
    # The put of a SimpleQueue may be interrupted by itself.
    ("factory/embedded/supervisor.py", "lambda number, _frame: queue.put(number)"),
    ("api/gunicorn.py", "leave"),  # posts to SignalCalls
    ("factory/cli/interrupt.py", "interrupt"),  # raises
}
"""Handlers that take no lock."""
RESTORED = {"signal.SIG_IGN", "signal.SIG_DFL", "signal.default_int_handler", "handler"}


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    earlier = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in earlier.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_is_heard_while_the_main_thread_holds_the_lock_of_what_it_waits_for(
    number: signal.Signals,
) -> None:
    stopping = threading.Event()
    on_stop(stopping.set)
    with stopping._cond:  # as `wait` does for a moment
        signal.raise_signal(number)
    assert stopping.wait(60)


def test_calls_are_made_in_their_order_on_another_thread() -> None:
    made: list[tuple[int, int | None]] = []
    calls, done = SignalCalls(), threading.Event()
    for number in range(3):
        calls.post(lambda n=number: made.append((n, threading.get_ident())))
    calls.post(done.set)
    assert done.wait(60)
    assert [number for number, _ in made] == [0, 1, 2]
    assert threading.get_ident() not in {thread for _, thread in made}


def test_no_handler_of_a_program_takes_a_lock() -> None:
    """A new one must be looked at, and then stands in HARMLESS."""
    found = {
        (str(path.relative_to(ROOT)), ast.unparse(call.args[1]))
        for package in ("factory", "workers", "api", "migrations")
        for path in (ROOT / package).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "signal.signal"
    }
    assert {one for one in found if one[1] not in RESTORED} == HARMLESS
