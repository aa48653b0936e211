from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from factory.embedded.program import Program
from factory.embedded.supervisor import Supervisor
from factory.errors import Unavailable
from tests.integration.embedded.conftest import ROOT
from tests.integration.embedded.processes import alive, until

SUPERVISE = Path(__file__).with_name("supervise.py")
Supervise = Callable[..., "subprocess.Popen[str]"]
STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.1; done"


def sh(name: str, script: str, **options: object) -> Program:
    return Program(name, ("/bin/sh", "-c", script), **options)  # type: ignore[arg-type]


@pytest.fixture
def started() -> Iterator[Callable[..., tuple[Supervisor, io.StringIO]]]:
    """Start a supervisor in this process; stopped at the end of the test."""
    running: list[Supervisor] = []

    def start(*programs: Program) -> tuple[Supervisor, io.StringIO]:
        out = io.StringIO()
        supervisor = Supervisor(programs, out)
        running.append(supervisor)
        supervisor.start()
        return supervisor, out

    yield start
    for supervisor in running:
        supervisor.stop()


@pytest.fixture
def supervise() -> Iterator[Supervise]:
    """Start a supervisor in a process of its own, from NAME=SCRIPT arguments."""
    running: list[subprocess.Popen[str]] = []

    def start(*programs: str, stop_grace_s: float = 5.0) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, SUPERVISE, str(stop_grace_s), *programs],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate(timeout=60)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """The first line that holds `text`."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    raise AssertionError(f"ended without {text!r}")


def pid_in(path: Path) -> int:
    until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def test_lines_come_behind_their_programs_name(started) -> None:
    _, out = started(sh("api", "echo hello; echo oops >&2; sleep 60"))
    until(lambda: "oops" in out.getvalue())
    assert out.getvalue() == "api     | hello\napi     | oops\n"


def test_env_comes_on_top_of_the_environment(started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "a")
    _, out = started(sh("api", "echo $OURS $THEIRS; sleep 60", env={"THEIRS": "b"}))
    until(lambda: "| a b\n" in out.getvalue())


def test_a_program_that_ends_starts_again_after_a_second(started) -> None:
    supervisor, out = started(sh("api", "exit 3"))
    until(lambda: supervisor.states()[0].starts == 2)
    assert supervisor.states()[0].last_exit == 3
    assert "api ended with 3; starts again in 1 s" in out.getvalue()
    until(lambda: "starts again in 2 s" in out.getvalue())


def test_a_killed_program_starts_again(started) -> None:
    supervisor, out = started(sh("api", "exec sleep 60"))
    until(lambda: supervisor.states()[0].pid)
    pid = supervisor.states()[0].pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: supervisor.states()[0].pid not in (None, pid))
    assert "api ended by signal 9 (Killed)" in out.getvalue()


def test_a_program_that_does_not_exist_is_tried_again(started) -> None:
    supervisor, out = started(Program("api", ("/no/such/program",)))
    until(lambda: supervisor.states()[0].starts == 2)
    assert "cannot start: [Errno 2]" in out.getvalue()


def test_no_program_waits_until_another_is_ready(started, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    started(
        sh("first", "exec sleep 60", ready=mark.exists),
        sh("second", f"touch {mark}; exec sleep 60"),
    )


def test_the_start_is_over_when_all_are_ready(started, tmp_path: Path) -> None:
    marks = [tmp_path / "slow", tmp_path / "quick"]
    slow = sh("slow", f"sleep 0.2; touch {marks[0]}; exec sleep 60", ready=marks[0].exists)
    quick = sh("quick", f"touch {marks[1]}; exec sleep 60", ready=marks[1].exists)
    started(slow, quick)
    assert all(mark.exists() for mark in marks)


def test_a_program_that_never_gets_ready_stops_the_start() -> None:
    never = sh("api", "exec sleep 60", ready=lambda: False, ready_s=0.1)
    supervisor = Supervisor([never], io.StringIO())
    with pytest.raises(Unavailable, match="api was not ready"):
        supervisor.start()
    assert supervisor.states()[0].pid is None


def test_programs_stop_in_reverse_order_and_replicas_together(started) -> None:
    script = "trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.05; done"
    names = ("db", "worker.1", "worker.2", "api")
    supervisor, out = started(*(sh(name, script) for name in names))
    until(lambda: out.getvalue().count("| up") == len(names))
    supervisor.stop()
    farewells = [line.split()[0] for line in out.getvalue().splitlines() if "bye" in line]
    assert farewells[0] == "api"
    assert set(farewells[1:3]) == {"worker.1", "worker.2"}
    assert farewells[3] == "db"


def test_a_program_that_ignores_sigterm_is_killed_after_its_grace(started) -> None:
    supervisor, out = started(sh("api", STUBBORN, stop_grace_s=0.3))
    until(lambda: "| up" in out.getvalue())
    began = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - began >= 0.3
    assert supervisor.states()[0].last_exit == -signal.SIGKILL


def test_grandchildren_end_with_their_program(started, tmp_path: Path) -> None:
    grandchild = tmp_path / "pid"
    supervisor, _ = started(sh("api", f"sleep 60 & echo $! >{grandchild}; wait"))
    pid = pid_in(grandchild)
    os.kill(supervisor.states()[0].pid, signal.SIGKILL)
    until(lambda: not alive(pid))


def test_programs_outlive_the_thread_that_started_them(tmp_path: Path) -> None:
    supervisor = Supervisor([sh("api", "exec sleep 60")], io.StringIO())
    with ThreadPoolExecutor(1) as pool:
        pool.submit(supervisor.start).result()
    until(lambda: supervisor.states()[0].pid)
    supervisor.stop()
    assert supervisor.states()[0].last_exit == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything(supervise: Supervise, number: signal.Signals) -> None:
    process = supervise("api=trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.05; done")
    read_until(process, "| up")
    process.send_signal(number)
    assert read_until(process, "bye")
    assert process.wait(60) == 0


def test_a_second_signal_kills_what_still_stops(supervise: Supervise) -> None:
    process = supervise(f"api={STUBBORN}", "web=echo up; exec sleep 60", stop_grace_s=100)
    read_until(process, "| up")
    read_until(process, "| up")
    process.send_signal(signal.SIGINT)
    read_until(process, "web stopped")
    process.send_signal(signal.SIGINT)
    read_until(process, "api stopped")
    assert process.wait(60) == 0


def test_a_stop_from_another_thread_ends_the_run() -> None:
    supervisor = Supervisor([sh("api", "exec sleep 60")], io.StringIO())
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(_stop_once_started, supervisor)
        supervisor.run()
        stopping.result()
    assert supervisor.states()[0].pid is None


def _stop_once_started(supervisor: Supervisor) -> None:
    until(lambda: supervisor.states() and supervisor.states()[0].pid)
    supervisor.stop()


def test_a_run_whose_start_fails_raises() -> None:
    never = sh("api", "exec sleep 60", ready=lambda: False, ready_s=0.1)
    with pytest.raises(Unavailable, match="api was not ready"):
        Supervisor([never], io.StringIO()).run()


def test_a_signal_ends_a_start_that_still_waits() -> None:
    def interrupt() -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return False

    supervisor = Supervisor([sh("api", "exec sleep 60", ready=interrupt)], io.StringIO())
    supervisor.run()
    assert supervisor.states()[0].pid is None


def test_a_killed_supervisor_leaves_nothing_behind(supervise: Supervise, tmp_path: Path) -> None:
    pid_files = [tmp_path / name for name in ("program", "grandchild")]
    stubborn_grandchild = (
        f"sh -c 'trap \"\" TERM; echo $$ >{pid_files[1]}; while :; do sleep 0.1; done'"
    )
    process = supervise(f"api=echo $$ >{pid_files[0]}; {stubborn_grandchild} & wait")
    pids = [pid_in(path) for path in pid_files]
    process.kill()
    until(lambda: not any(map(alive, pids)))


AS_SOON_AS_IT_STARTS = """
import os, signal, sys, time
from pathlib import Path
from factory.embedded.child import Account, spawn
from factory.embedded.watchdog import Watchdog
watch = Watchdog().watch()
spawn(["sh", "-c", sys.argv[1]], death_signal=signal.SIGKILL, account=Account(enter=watch.enter))
while not Path(sys.argv[2]).exists():
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_child_is_watched_before_whoever_started_it_says_so(tmp_path: Path) -> None:
    pid_file = tmp_path / "grandchild"
    grandchild = f"sh -c 'echo $$ >{pid_file}.new; mv {pid_file}.new {pid_file}; while :; do sleep 0.1; done'"
    command = [sys.executable, "-c", AS_SOON_AS_IT_STARTS, f"{grandchild} & wait", str(pid_file)]
    subprocess.run(
        command, check=False, timeout=60, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until(lambda: not alive(pid_in(pid_file)))
