"""Requests for jobs of every kind: usual and unusual, good and bad."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .conftest import JOB

BODY = json.dumps(JOB).encode()
LONGEST = 1024 * 1024
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNKNOWN_ID = "job_01a210aedaf870dabd419fb51643a0dd"
JSON_TYPE = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Ask:
    """A request. `%J` in its path stands for a job of the caller's; `key` names who asks."""

    method: str = "POST"
    path: str = "/api/jobs"
    body: bytes = BODY
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str | None = "own"
    environ: Mapping[str, Any] = field(default_factory=dict)


def post(body: bytes = BODY, key: str | None = "own", **headers: str) -> Ask:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Ask(body=body, headers={**JSON_TYPE, **named}, key=key)


def get(path: str = "/api/jobs/%J", key: str | None = "own", **headers: str) -> Ask:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Ask("GET", path, b"", named, key)


def job(**change: Any) -> bytes:
    return json.dumps({**JOB, **change}).encode()


def chunked(body: bytes) -> Ask:
    """As gunicorn gives a body in chunks."""
    return replace(
        post(body, Transfer_Encoding="chunked"),
        environ={"CONTENT_LENGTH": None, "wsgi.input_terminated": True},
    )


def at(environ: Mapping[str, Any], asked: Ask | None = None) -> Ask:
    return replace(asked or post(), environ=environ)


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


HOSTS = (
    "gateway", "a.b-c.example:8000", "10.0.0.7:80", "[::1]:8000", "", "a..b", ".a", "a.", "x" * 64,
    "a b", "ä", "a_b", "a:b", "a:123456", "a/b", "a@b", "-", "a:", "xn--a",
)  # fmt: skip
BODIES = (
    b"", b"{", b"[]", b'"text"', b"null", b"7", b"{}", BODY + b"x", b"\xff", b"\xef\xbb\xbf" + BODY,
    json.dumps(JOB).encode("utf-16"), nested(33), b" " + BODY + b"\n", b'{"input": NaN}',
    job(colour="red"), job(model="openai/gpt-4o-minni"), job(model="nobody/nothing"), job(model=5),
    job(input=""), job(input=[]), job(input=None), job(input="a\x00b"), job(priority="urgent"),
    job(priority="high"), job(params={"heat": 1}), job(params={"seed": 2**64}), job(agent="poet"),
    job(run_at="2031-01-01T00:00:00"), job(run_at="2031-01-01T00:00:00Z"), job(deadline_s=-1),
    job(metadata={"customer": "42"}), job(metadata={"n": 5}), job(max_cost_usd=0.5),
    job(webhook={"url": "http://10.0.0.1/"}), job(webhook={"url": "https://example.com/hook"}),
    job(fallbacks=["anthropic/claude-haiku-4-5"]), job(task_id="7"), job(input="ünï\ud83d\ude00"),
    job(input="x" * LONGEST), b" " * LONGEST, job(input="x" * 100_000),
)  # fmt: skip
TYPES = (
    "", "application/json; charset=utf-8", 'application/json;charset="UTF-8"', "text/plain",
    "application/json; charset=latin-1", "application/problem+json", "APPLICATION/JSON", "json",
    "application/json; a=b", "application/json, application/json", "application/x-ndjson",
    "multipart/form-data; boundary=x",
)  # fmt: skip
TOKENS = (
    "", "Bearer", "Bearer ", "bearer %K", "BEARER %K", "Bearer  %K", "Bearer %K ", "Bearer %K x",
    "Bearer a=b", "Basic YTpi", "Token %K", "%K", "Bearer af_nobody_xyz", "Bearer nonsense",
    "Bearer ä", "Bearer " + "x" * 5000, "Bearer %K,Bearer %K", "Bearer\t%K",
)  # fmt: skip
LENGTHS = ("0", "7", str(len(BODY) + 1), str(LONGEST + 1), "-1", "+5", "abc", "1.5", "", "1 2")
REQUEST_IDS = ("abc-1.2:3", "", "a b", "ä", '"', "x" * 128, "x" * 129)
PATHS = (
    "/api/jobs/", "//api/jobs", "/api/jobs?", "/api/jobs?a=b&a=%ff", "/api%2Fjobs", "/api/Jobs",
    "/api/jobs/%J", "/api/jobs/%ENDED/cancel", "/api/jobs/bulk", "/", "/v1",
)  # fmt: skip
READ_PATHS = (
    "/api/jobs/%J", "/api/jobs/%J?", "/api/jobs/%J?wait=1", "/api/jobs/%J/", "/api/jobs/%J%0A",
    "/api/jobs//%J", "/api/jobs/%J/cancel", "/api/jobs/job_7", "/api/jobs/7", "/api/jobs/%00",
    "/api/jobs/" + UNKNOWN_ID, "/api/jobs/" + UNKNOWN_ID.upper(), "/api/jobs/job_" + "g" * 32,
    "/api/jobs/job_" + "0" * 33, "/api/jobs/job_" + "٣" * 32, "/api/jobs", "/api%2Fjobs%2F%J",
    "/api/jobs/%ENDED", "/api/jobs/%EXPIRED",
)  # fmt: skip
ETAGS = ("*", '"x"', 'W/"x"', "%E", "W/%E", '"x", %E', "x", "", '"')


def many_asks() -> dict[str, Ask]:
    """By what is special about them."""
    found = {
        "usual": post(),
        "traced": post(Traceparent=TRACE),
        "traced badly": post(Traceparent="nonsense"),
        "first use of a key": post(Idempotency_Key="order-1"),
        "second use of a key": post(Idempotency_Key="order-1"),
        "another body": post(job(input="other"), Idempotency_Key="order-1"),
        "the key of another": post(key="other", Idempotency_Key="order-1"),
        "an empty key": post(Idempotency_Key=""),
        "a long key": post(Idempotency_Key="k" * 256),
        "a key in Latin-1": post(Idempotency_Key="ä\xa0"),
        "a key for bad content": post(job(input=""), Idempotency_Key="order-2"),
        "chunks": chunked(BODY),
        "chunks with a key": replace(
            chunked(BODY), headers={**JSON_TYPE, "Idempotency-Key": "order-1"}
        ),
        "too many chunks": chunked(b" " * (LONGEST + 1)),
        "no chunks": chunked(b""),
        "gzip": post(Content_Encoding="gzip"),
        "no coding": post(Content_Encoding="Identity"),
        "no wait": post(Prefer="wait=0"),
        "another preference": post(Prefer="respond-async"),
        "an empty preference": post(Prefer=""),
        "a wait for what has ended": get("/api/jobs/%ENDED", Prefer="wait=20"),
        "a wait": get(Prefer="wait=1"),
        "a websocket": get(Connection="Upgrade", Upgrade="websocket"),
        "a websocket to submit": post(Connection="keep-alive, upgrade", Upgrade="WebSocket"),
        "an upgrade to HTTP/2": post(Connection="Upgrade", Upgrade="h2c"),
        "another method's name": post(X_HTTP_Method_Override="DELETE"),
        "a conditional submission": post(If_None_Match="*", If_Match='"x"'),
        "since": get(If_Modified_Since="Wed, 21 Oct 2065 07:28:00 GMT"),
        "a range": get(Range="bytes=0-9"),
        "if it matches": get(If_Match='"x"'),
        "cookies": get(Cookie="session=x; a=b", Accept="text/html", Origin="https://example.com"),
        "a body where none is read": Ask("GET", "/api/jobs/%J", b"{", JSON_TYPE),
        "a script's name": at({"SCRIPT_NAME": "/api"}),
        "a script's name to read": at({"SCRIPT_NAME": "/x"}, get()),
        "a script's name in a header": post(Script_Name="/api"),
        "the supervisor": at({"REMOTE_ADDR": "127.0.0.1"}, post(User_Agent="factory-supervisor")),
        "behind a proxy": at({"REMOTE_ADDR": "10.0.0.1"}, post(X_Forwarded_For="1.2.3.4, 5.6.7.8")),
        "over TLS": at({"wsgi.url_scheme": "https", "SERVER_PORT": "443"}),
        "HTTP/1.0": at({"SERVER_PROTOCOL": "HTTP/1.0", "HTTP_HOST": None}),
        "HTTP/1.0 to read": at({"SERVER_PROTOCOL": "HTTP/1.0", "HTTP_HOST": None}, get()),
        "no key and a bad body": post(b"{", key=None),
        "no content type": Ask(),
    }
    for key in ("other", "admin", "expired", "revoked", None):
        found[f"read with the key: {key}"] = get(key=key)
        found[f"submit with the key: {key}"] = post(key=key)
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "BREW", "post"):
        found[f"{method} jobs"] = Ask(method, headers=JSON_TYPE)
    for method in ("POST", "HEAD", "OPTIONS", "PUT", "DELETE", "BREW", "get"):
        found[f"{method} a job"] = Ask(method, "/api/jobs/%J", headers=JSON_TYPE)
    found |= {f"host {one!r}": at({"HTTP_HOST": one}) for one in HOSTS}
    found |= {f"read at host {one!r}": at({"HTTP_HOST": one}, get()) for one in HOSTS}
    found |= {f"body {one[:50]!r} of {len(one)}": post(one) for one in BODIES}
    found |= {f"type {one!r}": replace(post(), headers={"Content-Type": one}) for one in TYPES}
    found |= {f"length {one!r}": at({"CONTENT_LENGTH": one}) for one in LENGTHS}
    found |= {f"token {one[:30]!r}": post(key=None, Authorization=one) for one in TOKENS}
    found |= {f"read by {one[:30]!r}": get(key=None, Authorization=one) for one in TOKENS}
    found |= {f"id {one[:9]!r} of {len(one)}": post(X_Request_Id=one) for one in REQUEST_IDS}
    found |= {f"POST {one}": replace(post(), path=one) for one in PATHS}
    found |= {f"GET {one}": get(one) for one in READ_PATHS}
    found |= {f"unless {one}": get(If_None_Match=one) for one in ETAGS}
    return found
