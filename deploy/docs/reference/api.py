"""The page of the HTTP API, made of its OpenAPI document."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from apiflask import APIFlask

from api import RESOURCES, openapi
from deploy.docs.reference.table import table
from factory import __version__

URL = "http://127.0.0.1:8000"
JSON = "application/json"
INTRO = """# Reference: the HTTP API

A running gateway serves the same at `/docs`, to be tried, and at `/openapi.json` for programs. What holds for every call, and what
webhooks send: [conventions](http.md). Errors: [errors](errors.md).
"""

Document = Mapping[str, Any]


def document() -> dict[str, Any]:
    """The OpenAPI document, as a gateway serves it; no server is needed."""
    app = APIFlask("api", title=openapi.TITLE, version=__version__, static_folder=None)  # type: ignore[arg-type]
    openapi.describe(app, URL)
    for resource in RESOURCES:
        app.register_blueprint(resource)
    with app.test_request_context():
        found: dict[str, Any] = json.loads(json.dumps(app.spec))
    return found


def page() -> str:
    """The page's Markdown: a section a call, then one a schema."""
    found = document()
    lines = [INTRO, found["info"]["description"], "", "## Calls", "", *_overview(found)]
    for path, method, operation in _operations(found):
        lines += _call(path, method, operation)
    lines += ["## Schemas", ""]
    for name, schema in found["components"]["schemas"].items():
        lines += [f"### {name} {{ #{_anchor(name)} }}", "", *_schema(schema)]
    return "\n".join(lines)


def _operations(found: Document) -> Iterator[tuple[str, str, Document]]:
    for path, operations in sorted(found["paths"].items()):
        for method, operation in sorted(operations.items()):
            yield path, method.upper(), operation


def _overview(found: Document) -> list[str]:
    by_tag: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for path, method, operation in _operations(found):
        call = f"[`{method} {path}`](#{operation['operationId']})"
        by_tag[", ".join(operation["tags"])].append((call, operation["summary"]))
    rows = ((tag, *row) for tag, calls in by_tag.items() for row in calls)
    return table(("", "call", "what it does"), rows)


def _call(path: str, method: str, operation: Document) -> list[str]:
    lines = [
        f"### {method} {path} {{ #{operation['operationId']} }}",
        "",
        operation["summary"],
        "",
        *filter(None, [operation.get("description")]),
        "",
    ]
    if operation["parameters"]:
        lines += table(
            ("parameter", "in", "type", "what it is"), map(_parameter, operation["parameters"])
        )
    if "requestBody" in operation:
        kinds = operation["requestBody"]["content"]
        shown = ", ".join(f"`{kind}`: {shape(body['schema'])}" for kind, body in kinds.items())
        lines += [f"Body, {shown}", ""]
    return [*lines, *table(("status", "answer"), _answers(operation))]


def _parameter(parameter: Document) -> tuple[str, ...]:
    needed = ", needed" if parameter.get("required") and parameter["in"] != "path" else ""
    return (
        f"`{parameter['name']}`",
        parameter["in"],
        shape(parameter["schema"]) + needed,
        parameter.get("description", ""),
    )


def _answers(operation: Document) -> Iterator[tuple[str, str]]:
    for status, response in sorted(operation["responses"].items()):
        shapes = {
            shape(content["schema"])
            for kind, content in response.get("content", {}).items()
            if "schema" in content and status < "400"
        }
        told = response.get("description", "")
        yield status, f"{told} {', '.join(sorted(shapes))}".strip()


def _schema(schema: Document) -> list[str]:
    told = [schema["description"], ""] if "description" in schema else []
    needed = schema.get("required", [])
    rows = (
        (
            f"`{name}`" + (" *" if name in needed and "default" not in field else ""),
            shape(field),
            _told(field),
        )
        for name, field in schema.get("properties", {}).items()
    )
    return [*told, *table(("field", "type", "what it is"), rows)]


def _told(field: Document) -> str:
    default = field.get("default")
    shown = f" Default `{json.dumps(default)}`." if default not in (None, [], {}) else ""
    return f"{field.get('description', '')}{shown}".strip()


def _anchor(schema: str) -> str:
    """Apart from those of calls: both have a `search`."""
    return f"schema-{schema.lower()}"


def shape(schema: Document) -> str:
    """A type in words: `string`, `array of Job`, `integer or null`, `one of …`."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{_anchor(name)})"
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(map(shape, schema[key])))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " ".join(f"`{json.dumps(one)}`" for one in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"array of {shape(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {shape(schema['additionalProperties'])}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
