"""Requests that are answered before Flask are answered, counted and logged as Flask does."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from apiflask import APIFlask
from werkzeug.test import EnvironBuilder, run_wsgi_app

from api import create_app, direct
from api.gateway import gateway_of
from api.meter import Meter
from factory.domain.job import parse_id
from factory.llm.catalog import Catalog
from factory.log import configure_logging
from factory.services import Services
from factory.store import archive, keys
from tests.integration.store.samples import ask, tell

from .asks import Ask, many_asks, post
from .conftest import JOB, end_job, make_key

CHANGING = re.compile(
    rb"(?P<job>job_[0-9a-f]{32})|(?P<request>req_[0-9a-f]{32})"
    rb"|(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z)"
)
"""What differs between two answers to the same request."""


@dataclass(frozen=True)
class World:
    """Whose keys there are and which jobs, by the marks that stand for them in requests."""

    services: Services
    catalog: Catalog
    marks: Mapping[str, str]
    keys: Mapping[str | None, str]

    @contextmanager
    def gateway(self, *, all_by_flask: bool = False) -> Iterator[APIFlask]:
        app = create_app(self.services, self.catalog, all_by_flask=all_by_flask)
        try:
            yield app
        finally:
            gateway_of(app).close()

    def filled(self, text: str) -> str:
        for mark, value in self.marks.items():
            text = text.replace(mark, value)
        return text

    def answer(self, app: APIFlask, asked: Ask) -> tuple[str, list[tuple[str, str]], bytes]:
        """Status, headers and body, without what differs from answer to answer."""
        headers = {name: self.filled(value) for name, value in asked.headers.items()}
        if asked.key:
            headers["Authorization"] = f"Bearer {self.keys[asked.key]}"
        builder = EnvironBuilder(self.filled(asked.path), method=asked.method, data=asked.body)
        environ = builder.get_environ()
        environ.pop("CONTENT_TYPE", None)
        for name, value in headers.items():
            variable = name.upper().replace("-", "_")
            environ[variable if variable == "CONTENT_TYPE" else f"HTTP_{variable}"] = value
        for name, value in asked.environ.items():
            environ.pop(name, None)
            if value is not None:
                environ[name] = value
        body, status, given = run_wsgi_app(app, environ, buffered=True)
        return status, _steady(given, b"".join(body)), _blurred(b"".join(body))


def _steady(headers: Iterable[tuple[str, str]], body: bytes) -> list[tuple[str, str]]:
    etag = f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"'
    return sorted(
        (name, "of the body" if value == etag else _blurred(value.encode()).decode())
        for name, value in headers
        if name != "Date"
    )


def _blurred(text: bytes) -> bytes:
    return CHANGING.sub(lambda found: (found.lastgroup or "").encode(), text)


@pytest.fixture
def world(services: Services, catalog: Catalog) -> World:
    """Three jobs of the caller: one is queued, one has ended, one has lost its content."""
    behind = replace(services, settings=services.settings.model_copy(update={"trusted_proxies": 1}))
    _, own = make_key(services, "one", "jobs")
    made = World(behind, catalog, {"%K": own}, {"own": own})
    with made.gateway() as app:
        client = app.test_client()
        ids = [
            client.post(
                "/api/jobs", json=JOB, headers={"Authorization": f"Bearer {own}"}
            ).get_json()["id"]
            for _ in range(3)
        ]
        for ended in ids[1:]:
            end_job(services, ended, output={"text": "2, 3, 5"})
        with services.database.transaction() as tx:
            archive.move(tx, 0, 10)
        expired = "DELETE FROM job_contents WHERE job_id = %(id)s"
        tell(services, expired, id=str(parse_id(ids[2])))
        path = f"/api/jobs/{ids[0]}"
        etag = client.get(path, headers={"Authorization": f"Bearer {own}"}).headers["ETag"]
    marks = {"%ENDED": ids[1], "%EXPIRED": ids[2], "%J": ids[0], "%E": etag, "%K": own}
    return replace(made, marks=marks, keys={"own": own, **_other_keys(services)})


def _other_keys(services: Services) -> dict[str, str]:
    found = {"expired": make_key(services, "one", "jobs")[1]}
    tell(
        services,
        "UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE prefix = %(prefix)s",
        prefix=found["expired"].split("_")[1],
    )
    project, found["revoked"] = make_key(services, "one", "jobs")
    with services.database.transaction() as tx:
        keys.revoke(tx, project, found["revoked"].split("_")[1])
    found["admin"] = make_key(services, "one", "admin")[1]
    found["other"] = make_key(services, "two", "jobs")[1]
    return found


def differences(world: World, asked: Mapping[str, Ask]) -> dict[str, Any]:
    """Requests whose answer differs from Flask's, with both."""
    with world.gateway() as app, world.gateway(all_by_flask=True) as flask:
        pairs = {
            name: (world.answer(app, one), world.answer(flask, one)) for name, one in asked.items()
        }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def test_every_answer_is_as_flask_gives_it(world: World) -> None:
    assert differences(world, many_asks()) == {}


@pytest.mark.parametrize(
    ("guard", "weaker", "noticed"),
    [
        ("UNUSUAL", ("HTTP_UPGRADE",), "a wait"),
        ("UNUSUAL", ("HTTP_PREFER",), "a websocket"),
        ("HOST", re.compile(".*"), "host 'a..b'"),
        ("READ_PATH", re.compile("/api/jobs/.*"), "GET /api/jobs/%J/cancel"),
        ("FAILED", "nobody.looks.here", "body b'{' of 1"),
    ],
)
def test_a_guard_that_is_missing_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch, guard: str, weaker: object, noticed: str
) -> None:
    monkeypatch.setattr(direct, guard, weaker)

    assert list(differences(world, {noticed: many_asks()[noticed]})) == [noticed]


def test_the_usual_requests_never_reach_flask(world: World) -> None:
    """Otherwise the comparison would compare Flask with itself."""
    by_flask = []
    usual = ["usual", "traced", "first use of a key", "second use of a key", "chunks", "cookies"]
    with world.gateway() as app:
        app.before_request(lambda: by_flask.append(1))
        for name in [*usual, "unless %E", "GET /api/jobs/%ENDED"]:
            world.answer(app, many_asks()[name])
        assert by_flask == []
        world.answer(app, many_asks()["a script's name in a header"])
        world.answer(app, many_asks()["a wait for what has ended"])
        assert by_flask == [1]


def counted(app: APIFlask) -> dict[tuple[str, ...], float]:
    """What the meter holds, but for the durations themselves."""
    meter = gateway_of(app).meter
    assert isinstance(meter, Meter)
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for metric in meter.registry.collect()
        for sample in metric.samples
        if sample.name.startswith("http_request")
        and not sample.name.endswith(("_bucket", "_sum", "_created"))
    }


def test_every_request_is_counted_and_logged_as_by_flask(
    world: World, capsys: pytest.CaptureFixture[str], restored_logging: None
) -> None:
    configure_logging(world.services.settings, "gateway")
    counts, lines = [], []
    for all_by_flask in (False, True):
        with world.gateway(all_by_flask=all_by_flask) as app:
            for one in many_asks().values():
                world.answer(app, one)
            counts.append(counted(app))
        lines.append([_plain(line) for line in capsys.readouterr().err.splitlines()])

    assert counts[0] == counts[1]
    assert counts[0]["http_requests_in_flight",] == 0
    assert len(lines[0]) >= len(many_asks()) - 1  # all but the supervisor's
    assert lines[0] == lines[1]


def _plain(line: str) -> dict[str, Any]:
    """A line of the log without what differs each time."""
    told = json.loads(_blurred(line.encode()))
    return {name: value for name, value in told.items() if name not in ("time", "duration_ms")}


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


TRIES = """
    CREATE SEQUENCE tries;
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN PERFORM nextval('tries'); RAISE EXCEPTION 'no such luck' USING ERRCODE = %(code)s; END$$;
    CREATE TRIGGER fails BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION fail();
"""


@pytest.mark.parametrize(("code", "status"), [("57P03", 503), ("XX000", 500)])
def test_a_submission_that_fails_is_not_made_again(world: World, code: str, status: int) -> None:
    """Its commit may have come through all the same."""
    tell(world.services, TRIES.replace("%(code)s", f"'{code}'"))

    def tries() -> int:
        return int(ask(world.services, "SELECT last_value FROM tries")[0].last_value)

    assert differences(world, {"usual": post()}) == {}
    assert tries() == 2
    with world.gateway() as app:
        assert world.answer(app, post())[0].startswith(str(status))
    assert tries() == 3
