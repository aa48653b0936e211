"""A platform under load with its whole monitoring: Prometheus and the exporters of Debian, no container."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg2
import yaml

from deploy.validate.tools import Tools
from factory.cli.ports import Ports
from factory.embedded.home import Home
from tests.acceptance.stack import Stack, eventually, running_stack
from tests.integration.settings.certificates import make_authority

ROOT = Path(__file__).resolve().parents[4]
MONITORING = ROOT / "deploy/monitoring"
SCRAPE = "1s"
RATE_INTERVAL = "30s"
READY_S = 180.0
FIRST_PORT = 23_100


@dataclass(frozen=True, slots=True)
class Places:
    """Ports on loopback."""

    prometheus: int
    node: int
    postgres: int
    redis: int
    blackbox: int
    https: int


class Prometheus:
    """The server's API."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/api/v1", timeout=30, trust_env=False)

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series of an expression now; Grafana's interval is the rig's."""
        return self._get("/query", query=with_interval(expr))

    def series(
        self, expr: str, start_s: float, end_s: float, step_s: float
    ) -> list[dict[str, Any]]:
        """The same over time."""
        times = {"start": start_s, "end": end_s, "step": step_s}
        return self._get("/query_range", query=with_interval(expr), **times)

    def value(self, expr: str) -> float:
        """The sum of what the expression gives now."""
        return sum(float(one["value"][1]) for one in self.query(expr))

    def names(self, job: str) -> set[str]:
        """The metrics of a job's targets."""
        answer = self._http.get("/label/__name__/values", params={"match[]": f'{{job="{job}"}}'})
        return set(answer.json()["data"])

    def targets(self) -> dict[str, str]:
        """Job → health."""
        answer = self._http.get("/targets").raise_for_status()
        active = answer.json()["data"]["activeTargets"]
        return {one["labels"]["job"]: one["health"] for one in active}

    def _get(self, path: str, **params: Any) -> list[dict[str, Any]]:
        answer = self._http.get(path, params=params)
        body = answer.json()
        assert body["status"] == "success", body
        found: list[dict[str, Any]] = body["data"]["result"]
        return found


def with_interval(expr: str) -> str:
    return expr.replace("$__rate_interval", RATE_INTERVAL)


@dataclass(frozen=True, slots=True)
class Rig:
    """A running platform and what watches it."""

    platform: Stack
    prometheus: Prometheus


@contextmanager
def running_rig(directory: Path) -> Iterator[Rig]:
    """Everything up and scraped. Raises Unavailable where a program cannot be had."""
    tools = Tools(ROOT)
    programs = {
        "prometheus": tools.debian("prometheus"),
        "node": tools.debian("prometheus-node-exporter"),
        "redis": tools.debian("prometheus-redis-exporter"),
        "postgres": tools.debian("prometheus-postgres-exporter"),
        "blackbox": tools.debian("prometheus-blackbox-exporter"),
    }
    with ExitStack() as stack:
        free = stack.enter_context(closing(Ports("127.0.0.1")))
        ports = Places(*(free.take_from(FIRST_PORT) for _ in fields(Places)))
        options = ("--workers", "2", "--no-flower")
        platform = stack.enter_context(running_stack(directory, *options, LEASE_S="3"))
        stack.enter_context(_https(directory, ports.https))
        for command, environment in _exporters(programs, platform, directory, ports):
            stack.enter_context(_program(command, directory, environment))
        stack.enter_context(_program(_prometheus(programs, platform, directory, ports), directory))
        prometheus = Prometheus(f"http://127.0.0.1:{ports.prometheus}")
        eventually(lambda: _all_up(prometheus), READY_S)
        yield Rig(platform, prometheus)


def _all_up(prometheus: Prometheus) -> bool:
    try:
        found = prometheus.targets()
    except httpx.HTTPError:
        return False  # it starts
    return len(found) >= 7 and set(found.values()) == {"up"}


@contextmanager
def _program(
    command: Sequence[str], directory: Path, environment: dict[str, str] | None = None
) -> Iterator[None]:
    with (directory / f"{Path(command[0]).name}.log").open("w") as log:
        process = subprocess.Popen(
            command, env=environment or {}, cwd=directory, stdout=log, stderr=log
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(READY_S)


def _exporters(
    programs: dict[str, str], platform: Stack, directory: Path, ports: Places
) -> Iterator[tuple[list[str], dict[str, str]]]:
    state = Home(platform.home).running_state()
    assert state
    yield ([programs["node"], f"--web.listen-address=127.0.0.1:{ports.node}"], {})
    redis = urlsplit(state.redis_url)
    yield (
        [
            programs["redis"],
            f"-web.listen-address=127.0.0.1:{ports.redis}",
            f"-redis.addr=unix://{redis.path}" if redis.scheme == "unix" else state.redis_url,
        ],
        {},
    )
    _add_statements(state.database_url)
    queries = MONITORING / "postgres-exporter/queries.yml"
    yield (
        [
            programs["postgres"],
            f"--web.listen-address=127.0.0.1:{ports.postgres}",
            f"--extend.query-path={queries}",
        ],
        {"DATA_SOURCE_NAME": _data_source(state.database_url)},
    )
    yield (
        [
            programs["blackbox"],
            f"--web.listen-address=127.0.0.1:{ports.blackbox}",
            f"--config.file={MONITORING / 'blackbox/blackbox.yml'}",
        ],
        {},
    )


def _add_statements(url: str) -> None:
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    connection.close()


def _data_source(url: str) -> str:
    """As Go's driver reads it: words, and no TLS to a socket."""
    parts = urlsplit(url)
    host = parse_qs(parts.query).get("host", [parts.hostname])[0]
    words = {"host": host, "user": parts.username, "dbname": parts.path.lstrip("/")}
    if parts.password:
        words["password"] = parts.password
    if parts.port:
        words["port"] = str(parts.port)
    return " ".join(f"{name}={value}" for name, value in {**words, "sslmode": "disable"}.items())


def _prometheus(
    programs: dict[str, str], platform: Stack, directory: Path, ports: Places
) -> list[str]:
    """The configuration that is shipped, with addresses of this machine and shorter times."""
    config = yaml.safe_load((MONITORING / "prometheus/prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": SCRAPE, "evaluation_interval": SCRAPE}
    del config["alerting"]
    config["rule_files"] = [
        str(_rules(directory, Path(name).name)) for name in config["rule_files"]
    ]
    addresses = {
        "agent-factory": urlsplit(platform.gateway_metrics_url).netloc,
        "exporter": urlsplit(platform.metrics_url).netloc,
        "postgres": f"127.0.0.1:{ports.postgres}",
        "redis": f"127.0.0.1:{ports.redis}",
        "node": f"127.0.0.1:{ports.node}",
        "blackbox": f"https://127.0.0.1:{ports.https}/health",
        "prometheus": f"127.0.0.1:{ports.prometheus}",
    }
    scraped = [one for one in config["scrape_configs"] if one["job_name"] in addresses]
    for one in scraped:
        for kind in ("dns_sd_configs", "file_sd_configs"):
            one.pop(kind, None)
        one["static_configs"] = [{"targets": [addresses[one["job_name"]]]}]
        for rule in one.get("relabel_configs", ()):
            if rule.get("replacement", "").startswith("blackbox-exporter"):
                rule["replacement"] = f"127.0.0.1:{ports.blackbox}"
    config["scrape_configs"] = scraped
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    return [
        programs["prometheus"],
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{ports.prometheus}",
    ]


def _rules(directory: Path, name: str) -> Path:
    rules = yaml.safe_load((MONITORING / "prometheus" / name).read_text())
    for group in rules["groups"]:
        group["interval"] = SCRAPE
    file = directory / name
    file.write_text(yaml.safe_dump(rules))
    return file


@contextmanager
def _https(directory: Path, port: int) -> Iterator[None]:
    """A public address with a certificate, for the prober."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"status": "ok"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    class Quiet(ThreadingHTTPServer):
        request_queue_size = 512

        def handle_error(self, *_: object) -> None:
            """The prober hangs up without a word."""

    certificate, key = make_authority(directory, "authority").issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = Quiet(("127.0.0.1", port), Health)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
