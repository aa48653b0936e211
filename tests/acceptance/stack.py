"""The platform as its users have it: `factory up` in a process, seen over HTTP, the CLI and /proc."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import httpx

from factory.embedded.home import Home
from factory.simulator.journal import Phase, read_entries

FACTORY = str(Path(sys.executable).with_name("factory"))
STARTS_S = 180.0
STOPS_S = 120.0
ENDS_S = 90.0
LONGEST_HELD_S = 20
FOREIGN = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "FACTORY_HOME",
    "FACTORY_URL",
    "FACTORY_API_KEY",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "GOOGLE_API_KEY",
)
"""Variables that would have a command find something else than what the test started."""

Job = dict[str, Any]
T = TypeVar("T")


def eventually(look: Callable[[], T], within_s: float = ENDS_S) -> T:
    """The first truthy answer; fails with the last one when the time is over."""
    deadline = time.monotonic() + within_s
    while not (answer := look()):
        assert time.monotonic() < deadline, f"still {answer!r} after {within_s:g} s"
        time.sleep(0.05)
    return answer


def environment(home: Path, **variables: str) -> dict[str, str]:
    """This process's, with nothing in it that names another installation."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return {**kept, "FACTORY_HOME": str(home), **variables}


@dataclass(frozen=True)
class Process:
    """A process of an installation, as /proc shows it."""

    pid: int
    parent: int
    command: str

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.pid, number)


def processes_of(home: Path) -> list[Process]:
    """Every process that was started for the home: its environment or its command names it."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            environ, command = (
                (directory / name).read_bytes().replace(b"\0", b" ").decode(errors="replace")
                for name in ("environ", "cmdline")
            )
            stat = (directory / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if str(home) in environ + command and stat[0] != "Z":
            found.append(Process(int(directory.name), int(stat[1]), command))
    return found


class Stack:
    """A running installation. `http` carries its key, `factory` is the command that started it."""

    def __init__(
        self,
        home: Path,
        process: subprocess.Popen[bytes],
        banner: Mapping[str, Any],
        factory: Sequence[str] = (FACTORY,),
        options: Sequence[str] = (),
        variables: Mapping[str, str] = MappingProxyType({}),
    ):
        self.home = home
        self.factory = factory
        self._options, self._variables = options, variables
        self._take(process, banner)

    def _take(self, process: subprocess.Popen[bytes], banner: Mapping[str, Any]) -> None:
        self.process = process
        self.url: str = banner["api_url"]
        self.key: str = banner["api_key"]
        self.metrics_url: str = banner["metrics_url"]
        # The release before has none: its exporter counts requests.
        self.gateway_metrics_url: str = banner.get("gateway_metrics_url") or ""
        self.flower: Mapping[str, str] | None = banner["flower"]
        self.http = self.client()

    def start_again(self) -> None:
        """After its end, however it came: the first start must do. Its address may be another one."""
        self.process.wait(STOPS_S)
        self.http.close()
        process = start_up(self.home, *self._options, factory=self.factory, **self._variables)
        try:
            self._take(process, _banner(self.home, process))
        except BaseException:
            process.kill()
            process.wait()
            raise

    def client(self, retries: int = 0) -> httpx.Client:
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=60,
            transport=httpx.HTTPTransport(retries=retries),
        )

    def submit(self, text: str = "Why is the sky blue?", **body: Any) -> Job:
        """An accepted job: of a chat model of OpenAI, unless the body names something else."""
        answer = self.http.post(
            "/api/jobs", json={"model": "openai/gpt-4o-mini", "input": text, **body}
        )
        assert answer.status_code == 202, answer.text
        job: Job = answer.json()
        return job

    def submit_lines(self, bodies: Iterable[Mapping[str, Any] | str]) -> dict[str, Any]:
        """The answer to a bulk of these jobs; a text is a line as it is."""
        lines = "\n".join(body if isinstance(body, str) else json.dumps(body) for body in bodies)
        headers = {"Content-Type": "application/x-ndjson"}
        answer = self.http.post("/api/jobs/bulk", content=lines, headers=headers)
        assert answer.status_code == 202, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def job(self, job_id: str) -> Job:
        answer = self.http.get(f"/api/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        job: Job = answer.json()
        return job

    def in_state(self, job_id: str, state: str, within_s: float = ENDS_S) -> Job:
        def look() -> Job | None:
            job = self.job(job_id)
            return job if job["state"] == state else None

        return eventually(look, within_s)

    def ended(self, job_id: str, within_s: float = ENDS_S) -> Job:
        """The job once it has ended in any way."""
        return eventually(lambda: j if (j := self.job(job_id))["finished_at"] else None, within_s)

    def run(self, text: str = "Why is the sky blue?", **body: Any) -> Job:
        """A job from its submission to its end."""
        return self.ended(self.submit(text, **body)["id"])

    def all_ended(self, job_ids: Iterable[str], within_s: float = ENDS_S) -> list[Job]:
        deadline = time.monotonic() + within_s
        return [self.ended(job_id, max(1.0, deadline - time.monotonic())) for job_id in job_ids]

    def calls(self, job_id: str) -> int:
        """How often a provider was called for the job, by the provider's own log."""
        return self.calls_by_job()[job_id]

    def calls_by_job(self) -> Counter[str | None]:
        entries = read_entries(self.home / "simulator.jsonl")
        return Counter(one.job for one in entries if one.phase is Phase.RECEIVED)

    def workers(self) -> list[dict[str, Any]]:
        """The workers of the gateway's list that are processes; a lease outlives its worker."""
        pids = {one.pid for one in self.programs("workers.worker")}
        listed = self.http.get("/api/workers").json()["data"]
        return [worker for worker in listed if worker["pid"] in pids]

    def programs(self, module: str) -> list[Process]:
        """The processes that run a module, such as `workers.dispatcher`."""
        return [one for one in processes_of(self.home) if f"-m {module} " in one.command]

    def gateway_workers(self) -> list[Process]:
        processes = self.programs("gunicorn")
        masters = {one.pid for one in processes}
        return [one for one in processes if one.parent in masters]

    def cli(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return run_factory(self.home, *arguments, text=text, factory=self.factory)

    def cli_json(self, *arguments: str, text: str = "") -> Any:
        done = self.cli(*arguments, "--json", text=text)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def log(self) -> str:
        return (self.home.parent / "up.log").read_text()


def run_factory(
    home: Path,
    *arguments: str,
    text: str = "",
    factory: Sequence[str] = (FACTORY,),
    within_s: float = 60,
) -> subprocess.CompletedProcess[str]:
    """A command of `factory` to its end."""
    return subprocess.run(
        [*factory, *arguments],
        cwd=home.parent,
        env=environment(home),
        input=text,
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )


@contextmanager
def running_stack(
    directory: Path, *options: str, factory: Sequence[str] = (FACTORY,), **variables: str
) -> Iterator[Stack]:
    """`factory up` in the directory, ready; ended by SIGTERM, unless a test has killed it."""
    home = directory / "home"
    process = start_up(home, *options, factory=factory, **variables)
    stack = None
    try:
        stack = Stack(home, process, _banner(home, process), factory, options, variables)
        yield stack
        stack.http.close()
    finally:
        process = stack.process if stack else process
        if process.poll() is None:
            process.terminate()
        process.wait(STOPS_S)
    # A test that kills it has looked at what was left.
    assert process.returncode in (0, -signal.SIGKILL), stack.log()[-3000:]
    # Who got SIGKILL is gone when the kernel has taken it down.
    eventually(lambda: not processes_of(home))


def start_up(
    home: Path, *options: str, factory: Sequence[str] = (FACTORY,), **variables: str
) -> subprocess.Popen[bytes]:
    """`factory up --simulate` in a process group of its own; it speaks to files beside the home."""
    with (home.parent / "up.json").open("w") as out, (home.parent / "up.log").open("a") as log:
        return subprocess.Popen(
            [*factory, "up", "--simulate", "--json", *options],
            cwd=home.parent,
            env=environment(home, **{"WEBHOOK_ALLOW_LOOPBACK": "true", **variables}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
            start_new_session=True,
        )


def _banner(home: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What `up` prints once the home is published."""

    def published() -> bool:
        assert process.poll() is None, (home.parent / "up.log").read_text()[-3000:]
        return home.exists() and Home(home).running_state() is not None

    eventually(published, STARTS_S)
    line = eventually(lambda: (home.parent / "up.json").read_text().strip())
    banner: dict[str, Any] = json.loads(line)
    return banner
