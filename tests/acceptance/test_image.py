"""Installed, not checked out: the wheel in a bare environment, elsewhere, by `up`, by Procfile, by compose."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deploy.validate.servers import free_port
from factory.cli.providers import HOSTED, simulated_environment
from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.valkey import EmbeddedValkey
from factory.simulator import SimulatorConfig, running_simulator
from tests.acceptance.accounts import ordinary_user
from tests.acceptance.image import ROOT, Image, build_image, exec_form
from tests.acceptance.stack import STOPS_S, eventually, running_stack
from tests.integration.reliability.freeze import children_of

pytestmark = pytest.mark.timeout(600)
STARTS_S = 120.0
MODEL = "openai/gpt-4o-mini"
SECRET = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """In a directory that any user may enter: neither pytest's nor the repository's."""
    with tempfile.TemporaryDirectory(prefix="image-") as directory:
        Path(directory).chmod(0o755)
        yield build_image(Path(directory))


def test_every_file_of_the_packages_is_installed(image: Image) -> None:
    installed = next((image.venv / "lib").glob("python*")) / "site-packages"
    packages = ("factory", "workers", "api", "migrations")
    for package in packages:
        wanted = {path for path in (ROOT / package).rglob("*") if path.is_file()}
        relative = {path.relative_to(ROOT) for path in wanted if path.suffix != ".pyc"}
        assert [path for path in sorted(relative) if not (installed / path).is_file()] == []


@pytest.mark.parametrize("account", ["own", "ordinary"])
def test_up_migrate_doctor_and_a_job_from_another_directory(
    image: Image, account: str, tmp_path: Path
) -> None:
    factory: tuple[str, ...] = (image.program("factory"),)
    if account == "ordinary":
        user = ordinary_user(Path(image.program("python")), tmp_path)
        if user is None:
            pytest.skip("only root can become another user")
        factory = (*user, *factory)
    with running_stack(tmp_path, "--no-flower", factory=factory) as stack:
        migrated = stack.cli_json("db", "migrate")
        assert migrated == {"revision": stack.cli_json("db", "status")["newest"], "agents": []}
        assert [one for one in stack.cli_json("doctor")["checks"] if one["status"] == "fail"] == []
        assert stack.cli("submit", "Why?", "-m", MODEL, "--wait").returncode == 0
        assert "No new upgrade operations" in _alembic(image, stack.home, "check")


def _alembic(image: Image, home: Path, command: str) -> str:
    """Alembic's own command where the image has its working directory."""
    return subprocess.run(
        [image.program("alembic"), command],
        cwd=image.app,
        env={**_bare_environment(image), "FACTORY_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def _bare_environment(image: Image) -> dict[str, str]:
    """As in a container: the image's programs, and nothing of this process's but its locale."""
    path = f"{image.venv / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    return {"PATH": path, "LANG": "C.UTF-8", "HOME": "/nonexistent", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Ground:
    """Servers of one test, and the variables that name them."""

    image: Image
    postgres: EmbeddedPostgres
    variables: Mapping[str, str]
    ports: tuple[int, int, int]
    """Free ones: the gateway's, the exporter's, Flower's."""

    def run(self, *command: str) -> str:
        return subprocess.run(
            command,
            cwd=self.image.app,
            env=self.variables,
            capture_output=True,
            text=True,
            check=True,
            timeout=STARTS_S,
        ).stdout.strip()

    def start(self, *command: str, log: str = "", **variables: str) -> subprocess.Popen[bytes]:
        """In a session of its own; what it says goes to `log`, or where the tests' own words go."""
        with (self._logs / log if log else Path(os.devnull)).open("a") as out:
            return subprocess.Popen(
                command,
                cwd=self.image.app,
                env={**self.variables, **variables},
                stdin=subprocess.DEVNULL,
                stderr=out if log else None,
                start_new_session=True,
            )

    def log(self, name: str) -> str:
        return (self._logs / name).read_text()

    @property
    def _logs(self) -> Path:
        return self.postgres.directory.parent

    def answer_of_an_agent(self) -> str:
        """What a job that names the agent in the image's directory ends as, by HTTP from outside."""
        with httpx.Client(base_url=f"http://127.0.0.1:{self.ports[0]}", timeout=60) as http:
            eventually(lambda: _status(http, "/ready") == 200, STARTS_S)
            key = self.run(self.image.program("factory"), "keys", "create", "first")
            http.headers["Authorization"] = f"Bearer {key}"
            job = {"agent": "summarizer", "input": "A long text."}
            accepted = http.post("/api/jobs", json=job)
            assert accepted.status_code == 202, accepted.text
            address = f"/api/jobs/{accepted.json()['id']}"
            ended = eventually(lambda: j if (j := http.get(address).json())["finished_at"] else {})
            return str(ended["state"])


def _status(http: httpx.Client, path: str) -> int:
    try:
        return http.get(path).status_code
    except httpx.TransportError:
        return 0


@pytest.fixture
def ground(image: Image, tmp_path: Path) -> Iterator[Ground]:
    postgres, valkey = EmbeddedPostgres(tmp_path / "postgres"), EmbeddedValkey(tmp_path / "valkey")
    with ExitStack() as stack:
        stack.callback(postgres.stop)
        stack.callback(valkey.stop)
        simulator = stack.enter_context(
            running_simulator(SimulatorConfig(log=tmp_path / "calls.log"))
        )
        variables = {
            **_bare_environment(image),
            "DATABASE_URL": postgres.start(),
            "REDIS_URL": valkey.start(),
            "SECRET_KEY": SECRET,
            "FLOWER_BASIC_AUTH": "test:test",
            **simulated_environment(HOSTED, simulator.url),
        }
        yield Ground(image, postgres, variables, (free_port(), free_port(), free_port()))


@contextmanager
def _running(
    *processes: subprocess.Popen[bytes],
    end: Callable[[subprocess.Popen[bytes]], None] = subprocess.Popen.terminate,
) -> Iterator[None]:
    """Ends them as their manager would, and nobody may have ended before."""
    try:
        yield
        assert [process.args for process in processes if process.poll() is not None] == []
    finally:
        for process in processes:
            end(process)
        for process in processes:
            try:
                process.wait(STOPS_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _press_ctrl_c(process: subprocess.Popen[bytes]) -> None:
    """As a terminal does: whoever is in the foreground gets it."""
    os.killpg(process.pid, signal.SIGINT)


def test_honcho_starts_the_procfile_and_goes_on_until_ctrl_c(ground: Ground) -> None:
    """Schema, agents and programs by one command, on an empty database. The first line gets PORT itself."""
    app, (web, metrics, flower) = ground.image.app, ground.ports
    (app / "deploy").mkdir(exist_ok=True)
    for name in ("Procfile", "deploy/release.sh"):
        text = (ROOT / name).read_text()
        (app / name).write_text(text.replace("--port=5555", f"--port={flower}"))
    honcho = ground.start(
        str(Path(sys.executable).with_name("honcho")),
        "start",
        *("--app-root", str(app)),
        PORT=str(web),
        METRICS_PORT=str(metrics),
    )
    with _running(honcho, end=_press_ctrl_c):
        assert ground.answer_of_an_agent() == "succeeded"
        programs = list(_below(honcho.pid))
        lines = len((ROOT / "Procfile").read_text().splitlines())
        assert len(programs) > lines
    eventually(lambda: not [one for one in programs if Path("/proc", str(one)).exists()])


def _below(pid: int) -> Iterator[int]:
    """What the process has started, and they in turn."""
    for child in children_of(pid):
        yield child
        yield from _below(child)


def test_a_release_phase_ends(ground: Ground) -> None:
    """Where no manager of processes has started it, as on Heroku."""
    line = re.search("^release: (.*)$", (ROOT / "Procfile").read_text(), re.MULTILINE)
    assert line
    script = str(ROOT / line[1].removeprefix("sh "))
    assert ground.run("sh", script).endswith("agents: classifier, summarizer")


def test_the_images_own_command_serves_and_its_health_check_tells(ground: Ground) -> None:
    ground.run(ground.image.program("factory"), "db", "migrate")
    healthy = _resolved(ground, exec_form("HEALTHCHECK"))
    assert subprocess.run(healthy, env=ground.variables, check=False).returncode != 0
    gateway = ground.start(*_resolved(ground, exec_form("CMD")), WORKER_COUNT="4")
    with _running(gateway):
        run = partial(subprocess.run, healthy, env=ground.variables, check=False)
        eventually(lambda: run().returncode == 0, STARTS_S)
        # The first of them serves before the last is there.
        eventually(lambda: len(children_of(gateway.pid)) == 4, STARTS_S)


def test_up_order_of_compose_holds_from_nothing(ground: Ground) -> None:
    """The commands as compose starts them: each when what it depends on is healthy, or has ended well."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    ours = {name: one for name, one in services.items() if "build" in one and "profiles" not in one}
    ground.postgres.stop()
    migrate = ground.start(*_resolved(ground, ours["migrate"]["command"]), log="migrate.log")
    eventually(lambda: "waits for the database" in ground.log("migrate.log"), STARTS_S)
    ground.postgres.start()
    assert migrate.wait(STARTS_S) == 0
    with ExitStack() as stack:
        for name in _order(ours)[1:]:
            service = ours[name]
            alive = str(ground.postgres.directory.with_name(f"{name}.alive"))
            started, check = (
                [word.replace("/tmp/alive", alive) for word in words]
                for words in (service["command"], service["healthcheck"]["test"])
            )
            run = partial(subprocess.run, _asked(ground, check), env=ground.variables, check=False)
            assert run().returncode != 0, f"{name} is healthy before it has started"
            process = ground.start(*_resolved(ground, started))
            stack.enter_context(_running(process))
            eventually(lambda run=run: run().returncode == 0, STARTS_S)  # type: ignore[misc]
        assert ground.answer_of_an_agent() == "succeeded"


def _asked(ground: Ground, check: list[str]) -> list[str]:
    """A health check as a container runs it."""
    kind, *words = check
    if kind == "CMD-SHELL":
        return ["sh", "-c", words[0].replace("$$", "$")]
    return _resolved(ground, words)


def _order(services: Mapping[str, Any]) -> list[str]:
    """Each behind what it depends on. Two gateways would want the same port here."""
    graph = {
        name: {other for other in service["depends_on"] if other in services}
        for name, service in services.items()
        if name != "gateway-2"
    }
    return list(TopologicalSorter(graph).static_order())


def _resolved(ground: Ground, command: list[str]) -> list[str]:
    """The program found as in the container, on ports that are free here."""
    free = dict(zip(("8000", "9090", "5555"), map(str, ground.ports), strict=True))
    # In one pass: a free port may hold the digits of a usual one.
    text = re.sub("|".join(free), lambda usual: free[usual[0]], "\0".join(command))
    program, *arguments = text.split("\0")
    return [ground.image.program(program), *arguments]
