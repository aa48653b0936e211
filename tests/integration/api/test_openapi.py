"""The OpenAPI document is valid, complete and true."""

import json
import re
from typing import Any

import pytest
from apiflask import APIFlask
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from factory.services import Services

from .conftest import JOB, Caller, end_job


@pytest.fixture
def document(app: APIFlask) -> dict[str, Any]:
    given = app.test_client().get("/openapi.json", headers={"Host": "evil.example"}).get_json()
    assert isinstance(given, dict)
    return given


def assert_fits(document: dict[str, Any], name: str, body: Any) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    Draft202012Validator(schema).validate(body)


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_the_document_names_no_host_of_its_first_reader(document: dict[str, Any]) -> None:
    assert "evil.example" not in json.dumps(document)


def test_every_route_is_described(app: APIFlask, document: dict[str, Any]) -> None:
    routes = {
        rule.rule.replace("<", "{").replace(">", "}")
        for rule in app.url_map.iter_rules()
        if not rule.endpoint.startswith(("openapi.", "docs."))
    }
    assert routes == set(document["paths"])


def test_every_call_tells_its_errors(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["operationId"]
            if path.startswith("/api/"):
                scopes = {"403"} if operation.get("security") != [] else set()
                assert {"401", "503", *scopes} <= set(operation["responses"]), path
            if "{" in path:
                assert "404" in operation["responses"], path
            if "requestBody" in operation:
                assert {"400", "413", "415", "422"} <= set(operation["responses"]), path


def test_the_examples_are_accepted(caller: Caller, document: dict[str, Any]) -> None:
    body = document["paths"]["/api/jobs"]["post"]["requestBody"]["content"]["application/json"]
    for example in body["examples"].values():
        assert caller.post("/api/jobs", example["value"]).status_code == 202
    bulk = document["paths"]["/api/jobs/bulk"]["post"]["requestBody"]["content"]
    for content_type, told in bulk.items():
        answer = caller.post_raw("/api/jobs/bulk", told["example"].encode(), content_type)
        assert answer.get_json()["accepted"] == 2
    keys = document["paths"]["/api/keys"]["post"]["requestBody"]["content"]["application/json"]
    assert caller.post("/api/keys", keys["example"]).status_code == 201


def test_answers_fit_their_schemas(
    caller: Caller, services: Services, document: dict[str, Any]
) -> None:
    job = caller.post("/api/jobs", JOB).get_json()
    assert_fits(document, "Job", job)
    end_job(services, job["id"], output={"text": "2"})
    assert_fits(document, "JobList", caller.get("/api/jobs").get_json())
    assert_fits(document, "QueueList", caller.get("/api/queues").get_json())
    assert_fits(document, "WorkerList", caller.get("/api/workers").get_json())
    assert_fits(document, "AgentList", caller.get("/api/agents").get_json())
    assert_fits(document, "ApiKeyList", caller.get("/api/keys").get_json())
    assert_fits(document, "NewApiKey", caller.post("/api/keys", {"name": "x"}).get_json())
    assert_fits(document, "Readiness", caller.get("/ready").get_json())
    assert_fits(document, "Health", caller.get("/health").get_json())
    assert_fits(document, "Problem", caller.get("/api/jobs?limit=0").get_json())
    bulk = caller.post_raw("/api/jobs/bulk", json.dumps(JOB).encode() + b"\n{", "application/jsonl")
    assert_fits(document, "BulkAnswer", bulk.get_json())


def test_no_schema_allows_what_no_answer_holds(caller: Caller, document: dict[str, Any]) -> None:
    job = caller.post("/api/jobs", JOB).get_json()
    assert set(job) == set(document["components"]["schemas"]["Job"]["properties"])


def test_the_pages_files_are_our_own(app: APIFlask) -> None:
    client = app.test_client()
    page = client.get("/docs").text
    files = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    assert len(files) == 3
    assert "://" not in "".join(re.findall(r'(?:src|href)="([^"]+)"', page))
    assert all(client.get(file).status_code == 200 for file in files)


def test_every_field_and_parameter_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    bare = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, one in schema.get("properties", {}).items()
        if not one.get("description")
    ]
    bare += [
        f"{path} {parameter['name']}"
        for path, methods in document["paths"].items()
        for operation in methods.values()
        for parameter in operation.get("parameters", ())
        if not parameter.get("description")
    ]
    assert bare == []
