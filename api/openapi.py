"""The OpenAPI 3.1 document at /openapi.json and the page at /docs."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from apiflask import APIBlueprint, APIFlask
from flask import Response, send_from_directory

from api.bulk import NDJSON
from api.problems import MEDIA_TYPE
from api.schemas.problems import Problem
from factory.errors import NotFound

TITLE = "AI Agent Factory"
DESCRIPTION = """
A durable queue for LLM jobs: submit a job, and poll, wait or be called back for its result.

**Authentication.** `Authorization: Bearer af_…`, an API key of your project. Make the first one with
`factory keys create`, further ones with `POST /api/keys`. A revoked key is refused everywhere within
30 seconds. People log in with `POST /api/auth/login`, and send the access token that it gives in the same
place; it is good for `/api/auth` and `/api/users`.

**Errors** are `application/problem+json` (RFC 9457). Their `error` member `{message, type, param,
code}` names the field that is to blame. Every answer carries `X-Request-Id`; send your own to find a
request again.

**Sending again.** With an `Idempotency-Key`, the same body gives the first answer, also after a
crash, for at least 24 hours; another body is refused with 422.

**Waiting.** `Prefer: wait=N` holds a request until the job ends, for at most 60 seconds. `ETag` and
`If-None-Match` make polling cheap. `Retry-After` is in seconds.

**Limits.** Bodies up to 1 MiB (a bulk: 10,000 lines, 16 MiB), JSON nested at most 32 levels.
"""
ASSETS = "/docs/assets"
"""Swagger UI's own files come from the package swagger-ui-py, as a closed network has no CDN."""
SCHEME = "api_key"
PERSON = "access_token"
OF_PEOPLE = ("Login", "Users")
"""Tags of calls that take the access token of a person."""
WITHOUT_TOKEN = ("log_in", "refresh_tokens", "log_out", "accept_invitation")
PUBLIC_TAG = "Health"
REF = "#/components/schemas/"
NESTED = re.compile(re.escape(REF) + r"\w+\.(\w+)")

PATH_PARTS = {
    "job_id": "The job's id, `job_…`.",
    "prefix": "The key's prefix, as lists show it.",
    "user_id": "The user's id.",
}

blueprint = APIBlueprint("docs", __name__, enable_openapi=False)

Document = dict[str, Any]
Operation = dict[str, Any]


def describe(app: APIFlask, base_url: str) -> None:
    """Sets what the document says of the whole, and has it finished when it is first asked for."""
    app.description = DESCRIPTION.strip()
    app.config.update(
        # Not from the Host header: that of the first caller would be shown to all.
        SERVERS=[{"url": base_url}],
        SECURITY_SCHEMES={
            SCHEME: {"type": "http", "scheme": "bearer", "bearerFormat": "af_…"},
            PERSON: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        },
        VALIDATION_ERROR_DESCRIPTION="The content is not valid; `error.param` names the field",
        NOT_FOUND_DESCRIPTION="There is no such thing, or it belongs to another project",
        DOCS_FAVICON="data:,",
        SWAGGER_UI_CSS=f"{ASSETS}/swagger-ui.css",
        SWAGGER_UI_BUNDLE_JS=f"{ASSETS}/swagger-ui-bundle.js",
        SWAGGER_UI_STANDALONE_PRESET_JS=f"{ASSETS}/swagger-ui-standalone-preset.js",
    )
    app.spec_processor(finish)
    app.register_blueprint(blueprint)


@blueprint.get(f"{ASSETS}/<name>")
def asset(name: str) -> Response:
    """One of Swagger UI's files."""
    return send_from_directory(_assets_directory(), name, max_age=86400)


@cache
def _assets_directory() -> Path:
    """Where the package keeps them; nothing of it is imported."""
    spec = find_spec("swagger_ui")
    if spec is None or spec.origin is None:
        raise NotFound("the pages of /docs need the package swagger-ui-py")
    return Path(spec.origin).parent / "static"


def finish(document: Document | str) -> Document:
    """Adds what all calls share: problems, the key, bodies that are not JSON."""
    assert isinstance(document, dict)  # a text only where YAML is asked for
    schemas = document["components"]["schemas"]
    for name in ("HTTPError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = Problem.model_json_schema(ref_template=REF + "Problem.{model}")
    schemas.update(
        {f"Problem.{name}": nested for name, nested in schemas["Problem"].pop("$defs").items()}
    )
    document["security"] = [{SCHEME: []}]
    document["paths"]["/api/jobs/bulk"]["post"]["requestBody"] = _bulk_body()
    for path in document["paths"].values():
        for operation in path.values():
            _finish_operation(operation)
    return _flatten(document)


def _finish_operation(operation: Operation) -> None:
    responses = operation["responses"]
    if operation["tags"] == [PUBLIC_TAG]:
        operation["security"] = []
    else:
        _name_token(operation)
        for status, told in _shared_problems(operation).items():
            responses.setdefault(status, {"description": told})
    for status, response in responses.items():
        if status in ("204", "304"):
            response.pop("content", None)
        elif status >= "400" and operation["tags"] != [PUBLIC_TAG]:
            response["content"] = {MEDIA_TYPE: {"schema": {"$ref": REF + "Problem"}}}
        else:
            response["content"] = _success(responses)
    if "requestBody" in operation:
        operation["requestBody"]["required"] = True
    for parameter in operation["parameters"]:
        _finish_parameter(parameter)


def _name_token(operation: Operation) -> None:
    """Says which token it takes, unless that is an API key."""
    if operation["operationId"] in WITHOUT_TOKEN:
        operation["security"] = []
    elif operation["tags"][0] in OF_PEOPLE:
        operation["security"] = [{PERSON: []}]


def _success(responses: dict[str, Any]) -> Any:
    """The content of a call's answer, which is the same whatever its status."""
    contents = [response.get("content", {}) for response in responses.values()]
    return next(
        content for content in contents if content.get("application/json", {}).get("schema")
    )


def _shared_problems(operation: Operation) -> dict[str, str]:
    told = {
        "401": "The API key is missing, unknown, expired or revoked",
        "403": "The API key lacks the scope of this call",
        "503": "The platform cannot answer now; `Retry-After` says when to try again",
    }
    if operation["operationId"] in WITHOUT_TOKEN:
        told |= {"401": "What was sent is not valid"}
        del told["403"]
    elif operation["tags"][0] in OF_PEOPLE:
        told |= {
            "401": "The access token is missing, expired, or its session is over",
            "403": "It is an API key, or not the token of an administrator",
        }
    if "requestBody" in operation:
        told |= {
            "400": "The body is not JSON; the message names line and column",
            "413": "The body is too large",
            "415": "The body has another Content-Type",
            "422": "The content is not valid; `error.param` names the field",
        }
    return told


def _finish_parameter(parameter: dict[str, Any]) -> None:
    schema = parameter["schema"]
    if parameter["in"] == "path":
        parameter["description"] = PATH_PARTS[parameter["name"]]
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    if parameter["name"] == "metadata":
        parameter |= {"style": "deepObject", "explode": True}


def _bulk_body() -> dict[str, Any]:
    lines = [{"model": "openai/gpt-4o-mini", "input": text} for text in ("One?", "Two?")]
    example = "\n".join(json.dumps(line) for line in lines)
    told = {"schema": {"type": "string"}, "example": example}
    return {"content": dict.fromkeys(NDJSON, told)}


def _flatten(document: Document) -> Document:
    """One schema per model: APIFlask names a nested one after each model that it is found in."""
    flat: Document = json.loads(NESTED.sub(rf"{REF}\1", json.dumps(document)))
    schemas = flat["components"]["schemas"]
    flat["components"]["schemas"] = {
        name.rpartition(".")[2]: schemas[name] for name in sorted(schemas)
    }
    return flat
