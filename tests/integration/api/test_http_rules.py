"""HTTP of any client: every answer is a problem with an id, and no request hides in another."""

import gzip
import json
import socket
from collections.abc import Callable, Iterator

import httpx
import pytest

from factory.services import Services
from factory.store.database import rows

from .conftest import JOB, PATIENCE_S

BODY = json.dumps(JOB).encode()
HOST = b"Host: gateway\r\n"
Speak = Callable[[bytes], list[tuple[int, dict[str, str], bytes]]]


@pytest.fixture
def speak(client: httpx.Client, listener: socket.socket) -> Speak:
    """Sends bytes on a new connection, ends it, and gives all answers: status, headers, body.

    `%K` stands for the header with the key.
    """
    key = f"Authorization: {client.headers['Authorization']}\r\n".encode()

    def send(data: bytes) -> list[tuple[int, dict[str, str], bytes]]:
        with socket.create_connection(listener.getsockname(), PATIENCE_S) as line:
            line.sendall(data.replace(b"%K", key))
            line.shutdown(socket.SHUT_WR)
            text = b""
            while part := line.recv(65536):
                text += part
        return [*answers(text)]

    return send


def answers(text: bytes) -> Iterator[tuple[int, dict[str, str], bytes]]:
    while text:
        head, _, text = text.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        headers = {
            name.lower(): value for name, _, value in (one.partition(": ") for one in lines[1:])
        }
        length = int(headers.get("content-length", 0)) if status >= 200 else 0
        yield status, headers, text[:length]
        text = text[length:]


def post(body: bytes = BODY, fields: bytes = b"") -> bytes:
    length = (
        b"" if b"transfer-encoding" in fields.lower() else b"Content-Length: %d\r\n" % len(body)
    )
    return (
        b"POST /api/jobs HTTP/1.1\r\n"
        + HOST
        + b"%KContent-Type: application/json\r\n"
        + length
        + fields
        + b"\r\n"
        + body
    )


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return post(body + end, b"Transfer-Encoding: chunked\r\n")


def get(target: bytes = b"/api/jobs", fields: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET " + target + b" " + version + b"\r\n" + HOST + b"%K" + fields + b"\r\n"


REFUSED = {
    # No request at all.
    "garbage": (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
    "a line without version": (b"GET /health\r\n\r\n", 400),
    "a method in small letters": (b"get /health HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a method with brackets": (b"G[T /health HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "another version": (get(version=b"HTTP/3.0"), 505),
    "no version's number": (get(version=b"HTTP/x"), 505),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "lines that end in LF": (b"GET /health HTTP/1.1\nHost: x\n\n", 400),
    "cut in the head": (b"GET /health HTTP/1.1\r\nHost", 400),
    "a target with a space": (b"GET /he alth HTTP/1.1\r\n" + HOST + b"\r\n", 505),
    "a target with NUL": (get(b"/a\x00b"), 400),
    "a target in UTF-8": (get("/ä".encode()), 400),
    "a long target": (get(b"/" + b"x" * 5000), 414),
    "many headers": (get(fields=b"A: b\r\n" * 200), 431),
    "a long header": (get(fields=b"A: " + b"x" * 10_000 + b"\r\n"), 431),
    "headers without end": (get(fields=(b"A: " + b"x" * 4000 + b"\r\n") * 20), 431),
    "a header with NUL": (get(fields=b"A: b\x00c\r\n"), 400),
    "a header with CR": (get(fields=b"A: b\rc\r\n"), 400),
    "a header with LF": (get(fields=b"A: b\nC: d\r\n"), 400),
    "a folded header": (get(fields=b"A: b\r\n c\r\n"), 400),
    "a header without colon": (get(fields=b"A\r\n"), 400),
    "a header's name with a space": (get(fields=b"A : b\r\n"), 400),
    "two hosts": (get(fields=b"Host: evil\r\n"), 400),
    # No clear body.
    "length and chunks": (
        post(b"0\r\n\r\n", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        400,
    ),
    "two lengths": (post(fields=b"Content-Length: 3\r\n"), 400),
    "a list of lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1, 1\r\n\r\nx", 400),
    "a length below 0": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\nx", 400),
    "a length in letters": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0x1\r\n\r\nx", 400),
    "an unknown coding": (post(b"", b"Transfer-Encoding: br\r\n"), 501),
    "chunks in chunks": (post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, chunked\r\n"), 400),
    "a hidden coding": (post(b"0\r\n\r\n", b"Transfer-Encoding: \x0bchunked\r\n"), 400),
    "chunks under HTTP/1.0": (chunked(BODY).replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    "another expectation": (post(fields=b"Expect: a miracle\r\n"), 417),
    # A body that is not as announced.
    "cut in the body": (post()[:-3], 400),
    "cut in a chunk": (chunked(BODY)[:-9], 400),
    "cut before the last chunk": (chunked(BODY, end=b""), 400),
    "cut in the last chunk": (chunked(BODY, end=b"0\r\n"), 400),
    "a chunk without size": (chunked(end=b"\r\n\r\n"), 400),
    "a chunk of no number": (chunked(end=b"zz\r\n\r\n"), 400),
    "a chunk of a number below 0": (chunked(end=b"-5\r\nhello\r\n0\r\n\r\n"), 400),
    "a chunk with a sign": (chunked(end=b"0x5\r\nhello\r\n0\r\n\r\n"), 400),
    "a chunk that is longer": (chunked(end=b"2\r\nhello\r\n0\r\n\r\n"), 400),
    "a chunk of a huge number": (chunked(end=b"F" * 16 + b"\r\n"), 400),
    "a trailer that is no header": (chunked(BODY, end=b"0\r\nA\r\n\r\n"), 400),
    "chunks at a path without a body": (
        chunked(end=b"zz\r\n\r\n").replace(b"/api/jobs", b"/nothing"),
        400,
    ),
    "too large": (post(b"x" * 2_000_000), 413),
    "too large in chunks": (chunked(*[b"x" * 100_000] * 20), 413),
    # A body in another form.
    "gzip": (post(gzip.compress(BODY), b"Content-Encoding: gzip\r\n"), 415),
    "gzip, said twice": (post(gzip.compress(BODY), b"Content-Encoding: identity, GZIP\r\n"), 415),
    "UTF-16": (post(json.dumps(JOB).encode("utf-16")), 400),
    # No such thing.
    "double slashes": (get(b"//api//jobs"), 404),
    "a host in the path": (get(b"//evil.example/api/jobs"), 404),
    "a slash at the end": (get(b"/api/jobs/"), 404),
    "a slash in code": (get(b"/api%2Fjobs%2F"), 404),
    "a backslash": (get(b"/\\evil.example/"), 404),
    "dots": (get(b"/docs/assets/..%2f..%2f__init__.py"), 404),
    "another method": (get().replace(b"GET", b"PUT", 1), 405),
    "an unknown method": (get().replace(b"GET", b"BREW", 1), 405),
    "a tunnel": (b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n", 404),
}


def test_what_is_refused_is_a_problem_with_an_id(
    speak: Speak, client: httpx.Client, services: Services
) -> None:
    for named, (data, expected) in REFUSED.items():
        found = [one for one in speak(data) if one[0] >= 200]

        assert len(found) == 1, (named, found)
        status, headers, body = found[0]
        assert status == expected, (named, body)
        assert headers["content-type"] == "application/problem+json", named
        assert headers["x-request-id"], named
        assert "location" not in headers, named
        problem = json.loads(body)
        assert problem["status"] == expected, named
        assert set(problem["error"]) == {"message", "type", "param", "code"}, named
        assert "gunicorn" not in body.decode().lower(), named
        assert client.get("/health").status_code == 200, named
    with services.database.transaction() as tx:
        assert rows(tx, "SELECT count(*) AS n FROM jobs")[0].n == 0


def test_what_is_unusual_and_right_is_answered(speak: Speak) -> None:
    served = [
        get(b"http://gateway/api/jobs"),
        get(version=b"HTTP/1.0"),
        b"GET /health HTTP/1.0\r\n\r\n",
        b"\r\n\r\n" + get(),
        get(b"/api%2Fjobs"),
        get(b"/api/jobs#part"),
        get().replace(b"GET", b"HEAD", 1),
        get().replace(b"GET", b"OPTIONS", 1),
    ]
    for data in served:
        [(status, headers, _)] = speak(data)
        assert status == 200, data
        assert headers["x-request-id"]


def test_head_options_and_405_tell_what_may_be_asked(client: httpx.Client) -> None:
    head = client.head("/api/jobs")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) > 0
    allowed = {"GET", "HEAD", "OPTIONS", "POST"}
    for answer in (client.options("/api/jobs"), client.put("/api/jobs")):
        assert set(answer.headers["Allow"].split(", ")) == allowed


def test_every_answer_has_one_date(client: httpx.Client) -> None:
    accepted = client.post("/api/jobs", json=JOB)
    path = accepted.headers["Location"]
    read = client.get(path)
    unchanged = client.get(path, headers={"If-None-Match": read.headers["ETag"]})
    assert unchanged.status_code == 304
    for answer in (accepted, read, unchanged):
        assert len(answer.headers.get_list("Date")) == 1


def test_a_script_name_header_changes_nothing(client: httpx.Client) -> None:
    for name in ("SCRIPT_NAME", "Script-Name", "PATH_INFO", "X-Script-Name"):
        answer = client.get("/api/jobs", headers={name: "/api"})
        assert answer.status_code == 200, name


def test_json_may_say_that_it_is_utf_8(client: httpx.Client) -> None:
    for charset, status in (("utf-8", 202), ("UTF-8", 202), ('"utf-8"', 202), ("latin-1", 415)):
        headers = {"Content-Type": f"application/json; charset={charset}"}
        assert client.post("/api/jobs", content=BODY, headers=headers).status_code == status


def test_chunks_of_any_size_are_a_body(speak: Speak) -> None:
    ends = (b"0\r\n\r\n", b"0;a=b\r\nTrailer-1: x\r\n\r\n", b"000\r\n\r\n")
    for end in ends:
        [(status, _, _)] = speak(chunked(BODY[:7], BODY[7:], end=end))
        assert status == 202
    [(status, _, _)] = speak(chunked(*(bytes([byte]) for byte in BODY)))
    assert status == 202


def test_requests_in_a_row_are_answered_in_order(speak: Speak) -> None:
    row = [post(), get(b"/api/nothing"), chunked(BODY), get(), get(b"/health")]
    assert [status for status, _, _ in speak(b"".join(row))] == [202, 404, 202, 200, 200]


def test_nothing_after_a_doubtful_request_is_read(speak: Speak) -> None:
    hidden = get(b"/health")
    doubtful = [
        post(b"0\r\n\r\n", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        post(b"x", b"Content-Length: 40\r\n"),
        chunked(end=b"5\r\nhel\r\n0\r\n\r\n"),
        get(fields=b"A: b\nContent-Length: 3\r\n"),
    ]
    for data in doubtful:
        assert [status for status, _, _ in speak(data + hidden)] == [400], data


def test_who_asks_to_continue_may_send_or_is_told_why_not(
    client: httpx.Client, listener: socket.socket
) -> None:
    head, _, body = (
        post()
        .replace(
            b"%K",
            f"Authorization: {client.headers['Authorization']}\r\nExpect: 100-continue\r\n".encode(),
        )
        .partition(b"\r\n\r\n")
    )
    with socket.create_connection(listener.getsockname(), PATIENCE_S) as line:
        line.sendall(head + b"\r\n\r\n")
        assert line.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(body)
        assert line.recv(65536).startswith(b"HTTP/1.1 202 ")
    with socket.create_connection(listener.getsockname(), PATIENCE_S) as line:
        line.sendall(head.replace(b"Content-Length: ", b"Content-Length: 9999999") + b"\r\n\r\n")
        assert line.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_every_client_can_read_why_its_body_was_too_large(
    client: httpx.Client, listener: socket.socket
) -> None:
    key = f"Authorization: {client.headers['Authorization']}\r\n".encode()
    for _ in range(15):
        with socket.create_connection(listener.getsockname(), PATIENCE_S) as line:
            line.sendall(post(b"x" * 4_000_000).replace(b"%K", key))
            text = b""
            while part := line.recv(65536):
                text += part
        assert text.startswith(b"HTTP/1.1 413 ")
        assert b"Connection: close" in text
        assert client.get("/health").status_code == 200
