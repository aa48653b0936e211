"""`factory up` and `factory demo` as processes: alone, twice, killed, as an ordinary user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.accounts import AS_NOBODY, can, give_to_nobody
from tests.acceptance.stack import (
    FACTORY,
    Stack,
    environment,
    eventually,
    processes_of,
    run_factory,
    running_stack,
)

DEMO_S = 240


def test_a_second_up_shows_the_running_one_and_leaves_it_alone(platform: Stack) -> None:
    before = started_by(platform)
    assert platform.cli_json("up")["api_url"] == platform.url
    assert started_by(platform) == before


def started_by(platform: Stack) -> set[int]:
    """Its programs and servers. What they start in turn may come and go."""
    supervisor = platform.process.pid
    return {one.pid for one in processes_of(platform.home) if one.parent == supervisor}


def test_a_killed_installation_leaves_no_process_and_loses_no_job(tmp_path: Path) -> None:
    with running_stack(tmp_path, "--no-flower") as killed:
        job = killed.run()
        os.killpg(killed.process.pid, signal.SIGKILL)
        eventually(lambda: not processes_of(killed.home))
    assert run_factory(killed.home, "jobs", "list").returncode == 5
    with running_stack(tmp_path, "--no-flower") as again:
        assert again.key == killed.key
        assert again.job(job["id"]) == job
        assert again.run()["state"] == "succeeded"


@dataclass(frozen=True)
class Demo:
    """A `factory demo` that has ended, in a directory of its own."""

    directory: Path
    output: str
    exit_code: int

    def check(self) -> None:
        assert (self.exit_code, self.output.splitlines()[-1]) == (0, "demo: ok 207 jobs")
        assert list(self.directory.iterdir()) == []
        eventually(lambda: not processes_of(self.directory))


def may_run_as_nobody() -> bool:
    return can(AS_NOBODY, Path(sys.executable))


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> list[Demo]:
    """Two at once: the caller's own, and an ordinary user's where there is one to become."""
    accounts = ((), AS_NOBODY if may_run_as_nobody() else ())
    directories = [tmp_path_factory.mktemp("demo") for _ in accounts]
    processes = [_start(*pair) for pair in zip(accounts, directories, strict=True)]
    try:
        outputs = [process.communicate(timeout=DEMO_S)[0] for process in processes]
    finally:
        for process in processes:
            process.terminate()
            process.wait()
    return [
        Demo(directory, output, process.returncode)
        for directory, output, process in zip(directories, outputs, processes, strict=True)
    ]


def _start(account: tuple[str, ...], directory: Path) -> subprocess.Popen[str]:
    if account:
        give_to_nobody(directory)
    return subprocess.Popen(
        [*account, FACTORY, "demo"],
        cwd=directory,
        env=environment(directory / "home", TMPDIR=str(directory), HOME=str(directory)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_demos_at_once_are_both_well(demos: list[Demo]) -> None:
    for demo in demos:
        demo.check()


@pytest.mark.skipif(
    not may_run_as_nobody(), reason="nobody cannot read the interpreter, or this is not root"
)
def test_an_ordinary_user_can_run_the_demo(demos: list[Demo]) -> None:
    demos[1].check()
