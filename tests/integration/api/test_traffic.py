"""What every request gets."""

import json
import logging

import pytest
from apiflask import APIFlask

from api.gateway import gateway_of
from factory.log import configure_logging
from factory.metrics import HTTP_REQUESTS
from factory.services import Services
from factory.store import counters

from .conftest import JOB, Caller


def test_a_sane_request_id_is_kept(caller: Caller) -> None:
    assert caller.get("/health", X_Request_Id="abc-1.2:3").headers["X-Request-Id"] == "abc-1.2:3"


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "ä", '"'])
def test_another_request_id_is_replaced(caller: Caller, given: str) -> None:
    answer = caller.get("/health", X_Request_Id=given)

    assert answer.headers["X-Request-Id"].startswith("req_")


@pytest.mark.parametrize("path", ["/health", "/api/jobs", "/nothing", "/openapi.json"])
def test_every_answer_protects_browsers(caller: Caller, path: str) -> None:
    headers = caller.get(path).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_requests_are_counted_by_route(app: APIFlask, caller: Caller, services: Services) -> None:
    job_id = caller.post("/api/jobs", JOB).get_json()["id"]
    caller.get(f"/api/jobs/{job_id}")
    caller.get(f"/api/jobs/{job_id}")
    caller.get("/api/nothing/7")
    caller.client.open("/nothing", method="BREW")
    gateway_of(app).close()

    with services.database.transaction() as tx:
        totals = {
            one.labels: one.amount for one in counters.totals(tx) if one.metric == HTTP_REQUESTS
        }
    assert totals == {
        (("method", "POST"), ("route", "/api/jobs"), ("status", "202")): 1,
        (("method", "GET"), ("route", "/api/jobs/<job_id>"), ("status", "200")): 2,
        (("method", "GET"), ("route", "unmatched"), ("status", "404")): 1,
        (("method", "other"), ("route", "unmatched"), ("status", "404")): 1,
    }


def test_a_request_is_one_line_of_json_without_its_secrets(
    app: APIFlask, caller: Caller, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logging(gateway_of(app).services.settings, "gateway")
    try:
        caller.get("/api/jobs?agent=secret", X_Request_Id="r1")
        caller.get("/health")
        gateway_of(app).close()
    finally:
        root.handlers[:] = before
        root.setLevel(level)

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (line,) = [line for line in lines if line["logger"] == "api.access"]
    assert (line["method"], line["route"], line["status"]) == ("GET", "/api/jobs", 200)
    assert line["request_id"] == "r1"
    assert line["project_id"] == str(caller.project_id)
    assert line["key"] == caller.key.split("_")[1]
    assert "secret" not in json.dumps(line)
    assert caller.key not in json.dumps(line)
