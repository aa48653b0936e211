"""What every request gets."""

import json
import logging

import pytest
from apiflask import APIFlask

from api.gateway import gateway_of
from api.meter import Meter
from factory.log import configure_logging

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


def test_requests_are_counted_by_route(app: APIFlask, caller: Caller) -> None:
    job_id = caller.post("/api/jobs", JOB).get_json()["id"]
    caller.get(f"/api/jobs/{job_id}")
    caller.get(f"/api/jobs/{job_id}")
    caller.get("/api/nothing/7")
    caller.client.open("/nothing", method="BREW")

    meter = gateway_of(app).meter
    assert isinstance(meter, Meter)
    (requests,) = [one for one in meter.registry.collect() if one.name == "http_requests"]
    assert {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for sample in requests.samples
        if sample.name == "http_requests_total"
    } == {
        ("POST", "/api/jobs", "202"): 1,
        ("GET", "/api/jobs/<job_id>", "200"): 2,
        ("GET", "unmatched", "404"): 1,
        ("other", "unmatched", "404"): 1,
    }
    assert meter.registry.get_sample_value("http_requests_in_flight") == 0


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
