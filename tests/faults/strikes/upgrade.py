"""The release before, rolled to this one under load, as a deploy does it: the schema first, then program by program.

The old release runs with its own code and requirements, out of this repository's history. Its supervisor
starts each program that ended again; from a mark on, it starts this release's.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg2

from factory.cli.ports import Ports
from factory.store.archive import EVERY_JOB
from tests.acceptance.image import ROOT, compile_programs, install, make_venv
from tests.acceptance.stack import eventually, run_factory
from tests.faults.client import Accepted
from tests.faults.scene import LONG_S, Found, Scene
from tests.faults.strikes import past, programs
from tests.faults.strikes.asking import asking
from tests.faults.strikes.extra_program import extra_program
from tests.faults.strikes.receivers import Receiver, deliveries, serving, settled

BASE = ROOT / "tests" / "upgrade" / "BASE"
"""The commit of the release before."""
QUEUED, SLOTS = 1_000, 50
"""Jobs that wait when it begins, and what each of the two workers runs."""
FULL = 2 * SLOTS * 7 // 8
"""What runs at least, as jobs end and others take their slots."""
LATENCY_S = 2.0
MIXED = 50
"""Jobs that end between two replacements, while old and new programs run beside each other."""
DRAIN_S = 3.0
"""How long a load balancer lets a gateway finish that it sends nothing more to."""
DELIVERED_S = 180.0
GATEWAY_PORT = 28_000
# Not those of the past.
ENDED = f"SELECT count(*) FROM {EVERY_JOB} j WHERE finished_at > now() - interval '50 min'"
MIGRATED_S, FILLED_S = 300.0, 400.0
LOOK_S = 0.5
"""Between two looks at millions of rows."""
# The next try of a delivery may be hours away; here that time has passed.
DUE = """
UPDATE jobs SET run_at = now() WHERE kind = 'webhook' AND state = 'queued' AND run_at > now()
"""
CARELESS = "ALTER TABLE jobs ADD COLUMN next_note text NOT NULL DEFAULT 'none yet'"
STRICT = "ALTER TABLE jobs ALTER COLUMN next_note DROP DEFAULT"
MENDED = "ALTER TABLE jobs ALTER COLUMN next_note SET DEFAULT 'none yet'"
PROGRAMS = ("workers.dispatcher", "workers.worker", "workers.exporter", "gunicorn")


def impossible() -> str:
    """Why the release before cannot be had."""
    ask = ("git", "-C", str(ROOT), "cat-file", "-e", f"{_base()}^{{commit}}")
    try:
        known = subprocess.run(ask, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return "git is not installed"
    return "" if known else f"this clone is without commit {_base()[:7]}: git fetch --unshallow"


def _base() -> str:
    return BASE.read_text().strip()


@contextmanager
def release_before(directory: Path) -> Iterator[Sequence[str]]:
    """Its code and an environment with its requirements; gives the command that is its `factory`."""
    code, venv, python = directory / "before", _venv(directory), directory / "python"
    archive = subprocess.run(
        ("git", "-C", str(ROOT), "archive", _base()), stdout=subprocess.PIPE, check=True
    )
    code.mkdir(parents=True, exist_ok=True)
    subprocess.run(("tar", "-x", "-C", code), input=archive.stdout, check=True)
    make_venv(venv)
    install(["--require-hashes", "-r", "requirements.txt"], code, venv)
    compile_programs(venv, code)
    python.write_text(_chooser(_mark(directory), venv))
    python.chmod(0o755)
    main = (
        f"import sys; sys.executable = {str(python)!r}; from factory.cli.main import main; main()"
    )
    variables = (f"PYTHONPATH={code}", f"WORKER_SLOTS={SLOTS}")
    yield ("env", *variables, str(venv / "bin" / "python"), "-c", main)


def _chooser(mark: Path, venv: Path) -> str:
    """The Python that programs are started by: with the release before, or, once the mark is there, with this one."""
    return (
        "#!/bin/sh\n"
        f'if [ -e {mark} ]; then unset PYTHONPATH; exec {sys.executable} "$@"; fi\n'
        f'exec {venv / "bin" / "python"} "$@"\n'
    )


def _venv(directory: Path) -> Path:
    return directory / "venv"


def _mark(directory: Path) -> Path:
    return directory / "this-release"


@contextmanager
def loaded(scene: Scene) -> Iterator[None]:
    """A thousand jobs wait and a hundred run; one of two receivers is down all the while. The past is there already."""
    began = time.monotonic()
    past.write(scene)
    scene.notes.append(f"{scene.past_jobs:,} jobs of the past in {time.monotonic() - began:.0f} s")
    scene.receivers = {"well": Receiver(204), "down": Receiver(204, down_s=float("inf"))}
    with serving(scene):
        bodies = (_body(scene, number) for number in range(QUEUED + 2 * SLOTS))
        ids = scene.stack.submit_lines(bodies)["ids"]
        at = datetime.now(UTC)
        scene.beforehand += [Accepted(one, at, LATENCY_S, "openai/gpt-4o-mini") for one in ids]
        eventually(lambda: _running(scene) >= FULL, LONG_S)
        yield


def _body(scene: Scene, number: int) -> dict[str, object]:
    return {
        "model": "openai/gpt-4o-mini",
        "input": f"{{{{simulate latency_ms={LATENCY_S * 1000:.0f}}}}} Why?",
        "webhook": {"url": scene.hooks[number % len(scene.hooks)]},
    }


def _running(scene: Scene) -> int:
    return sum(one["running"] for one in scene.stack.workers())


def migrate(scene: Scene) -> None:
    """By this release's own command, while all of the old one runs."""
    began = time.monotonic()
    done = run_factory(scene.stack.home, "db", "migrate", within_s=MIGRATED_S)
    assert done.returncode == 0, done.stderr
    scene.notes.append(f"migrated in {time.monotonic() - began:.1f} s")


def migrate_carelessly(scene: Scene) -> None:
    """And a column that the programs of before do not know is demanded of them."""
    migrate(scene)
    for statement in (CARELESS, STRICT):
        _tell(scene, statement)


def roll(scene: Scene, migration: Callable[[Scene], None] = migrate) -> None:
    """Every program is replaced by its successor, the gateways behind a load balancer: the client is sent to another.

    Meanwhile jobs are posted and read, and the rows of the past are told whose they are.
    """
    with asking(scene) as requests, ThreadPoolExecutor(1) as hand:
        scene.struck()
        migration(scene)
        filled_s = hand.submit(_filled_s, scene)
        _replace_all(scene)
        if migration is migrate_carelessly:
            _tell(scene, MENDED)
        scene.notes.append(f"owners filled in by {filled_s.result():.0f} s later")
    scene.notes.append(requests.told())
    assert not requests.failed, f"requests failed: {dict(requests.failed)}"


def _filled_s(scene: Scene) -> float:
    """How long the migration is over when no row of the past lacks its owner any more."""
    began = time.monotonic()
    while past.lacks_owners(scene):
        assert time.monotonic() - began < FILLED_S, "rows still do not say whose they are"
        time.sleep(LOOK_S)
    return time.monotonic() - began


def _replace_all(scene: Scene) -> None:
    _mark(scene.stack.home.parent).touch()
    for module in ("workers.dispatcher", "workers.worker", "workers.exporter"):
        for pid in programs.masters(scene, module):
            _await_more_ends(scene)
            scene.struck()
            programs.replace(scene, module, pid)
            eventually(lambda: len(scene.stack.workers()) == 2, LONG_S)
    _await_more_ends(scene)
    _replace_gateway(scene)


def _await_more_ends(scene: Scene) -> None:
    first = _ended(scene)
    eventually(lambda: _ended(scene) >= min(first + MIXED, len(scene.beforehand)), LONG_S)


def _ended(scene: Scene) -> int:
    rows = scene.ask(ENDED)
    return int(rows[0][0]) if rows else 0


def _replace_gateway(scene: Scene) -> None:
    (old,) = programs.masters(scene, "gunicorn")
    before = scene.stack.url
    with _gateway_beside(scene) as scene.stack.url:
        time.sleep(DRAIN_S)
        scene.struck()
        programs.replace(scene, "gunicorn", old)
        eventually(lambda: _ready(before), LONG_S)
        scene.stack.url = before
        time.sleep(DRAIN_S)


@contextmanager
def _gateway_beside(scene: Scene) -> Iterator[str]:
    with closing(Ports("127.0.0.1")) as ports:
        port = ports.take_from(GATEWAY_PORT)
        options = (
            "-c",
            "python:api.gunicorn",
            "--bind",
            f"127.0.0.1:{port}",
            "api.wsgi:application",
        )
        with extra_program(scene, "gunicorn", *options, WEBHOOK_ALLOW_LOOPBACK="true"):
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: _ready(url), LONG_S)
            yield url


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False


def verify(scene: Scene, accepted: Sequence[Accepted]) -> Found:
    """Each event arrived, under one id, also those that the release before had queued; nothing of it runs."""
    scene.receivers["down"].come_up()
    wanted = {one.job_id for one in accepted}
    deadline = time.monotonic() + DELIVERED_S
    while wanted - settled(scene) and time.monotonic() < deadline:
        _tell(scene, DUE)
        time.sleep(1.0)
    ids = defaultdict(set)
    for delivery in deliveries(scene):
        ids[delivery.job_id].add(delivery.webhook_id)
    return Found(
        lost=len(wanted - settled(scene)) + past.missing(scene),
        double=sum(len(found) - 1 for found in ids.values()),
        complaints=tuple(_left(scene)),
    )


def _left(scene: Scene) -> Iterator[str]:
    before = str(_venv(scene.stack.home.parent))
    for module in PROGRAMS:
        for one in scene.stack.programs(module):
            if one.command.startswith(before):
                yield f"{module} is still the release before"


def _tell(scene: Scene, statement: str) -> None:
    connection = psycopg2.connect(scene.state().database_url)
    with closing(connection), connection, connection.cursor() as cursor:
        cursor.execute(statement)
