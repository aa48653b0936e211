"""nginx as it is shipped: what it lets pass, what it holds back, what it says of itself."""

from __future__ import annotations

import ssl
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from api.body import LONGEST_BODY_BYTES
from api.bulk import LONGEST_BULK_BYTES
from deploy.validate.checks import nginx as check
from deploy.validate.servers import room
from deploy.validate.tools import Invalid
from tests.integration.deploy.front import CONFIG, OTHER_CLIENT, Front, running_front
from tests.integration.deploy.tools import TOOLS, debian
from tests.integration.deploy.upstream import Upstream, running_upstream
from tests.integration.reliability.rig import eventually

PROBLEM = "application/problem+json"
BURST = 100


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with running_upstream() as server:
        yield server


@pytest.fixture(scope="module")
def front(upstream: Upstream) -> Iterator[Front]:
    places = {"flower:5555": f"127.0.0.1:{upstream.port}"}
    with running_front((upstream.port, upstream.port), places) as front:
        (front.directory / "certbot" / ".well-known" / "acme-challenge").mkdir(parents=True)
        (front.directory / "flower.htpasswd").write_text("admin:{PLAIN}of-flower\n")
        yield front


def test_http_leads_to_https_and_serves_certbot(front: Front) -> None:
    challenge = ".well-known/acme-challenge/token"
    (front.directory / "certbot" / challenge).write_text("proof")
    with front.client(secure=False) as client:
        moved = client.post("/api/jobs?x=1", json={})
        assert moved.status_code == 308
        assert moved.headers["Location"] == "https://api.yourdomain.com/api/jobs?x=1"
        assert client.get(f"/{challenge}").text == "proof"


def test_headers_for_browsers_come_once_and_no_version(front: Front) -> None:
    with front.client() as client:
        for answer in (client.get("/"), client.get("/hold?s=0"), client.get("/flower/")):
            found = answer.headers
            assert found.get_list("Strict-Transport-Security") == [
                "max-age=31536000; includeSubDomains"
            ]
            assert found.get_list("X-Frame-Options") == ["SAMEORIGIN"]
            assert found.get_list("X-Content-Type-Options") == ["nosniff"]
            assert found["Server"] == "nginx"
            assert "X-XSS-Protection" not in found


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_only_modern_tls_is_spoken(front: Front, version: ssl.TLSVersion, taken: bool) -> None:
    context = front.trust()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    url = f"https://127.0.0.1:{front.https_port}/health"
    if taken:
        assert httpx.get(url, verify=context, timeout=60).status_code == 200
    else:
        with pytest.raises(httpx.ConnectError, match="PROTOCOL_VERSION"):
            httpx.get(url, verify=context, timeout=60)


def test_an_address_is_limited_and_probes_are_not(front: Front) -> None:
    with front.client(OTHER_CLIENT) as client, ThreadPoolExecutor(8) as hands:
        began = time.monotonic()
        answers = list(hands.map(client.get, ["/api/jobs"] * (BURST + 100)))
        took_s = time.monotonic() - began
        probes = list(hands.map(client.get, ["/health"] * (BURST + 40)))
    found = Counter(answer.status_code for answer in answers)
    assert found.keys() == {200, 429}
    # One comes back each second meanwhile.
    assert BURST < found[200] <= BURST + 1 + took_s
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["Content-Type"] == PROBLEM
    assert refused.headers.get_list("Retry-After") == ["1"]
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert {answer.status_code for answer in probes} == {200}
    eventually(lambda: '"status":429' in front.log())
    assert "/health" not in front.log()


def test_an_address_of_ones_own_has_no_limit(front: Front) -> None:
    with front.client() as client, ThreadPoolExecutor(8) as hands:
        answers = hands.map(client.get, ["/api/jobs"] * (BURST + 40))
        assert {answer.status_code for answer in answers} == {200}


def test_an_event_passes_before_the_next_one_is_there(front: Front, upstream: Upstream) -> None:
    with front.client() as client, client.stream("GET", "/events") as answer:
        events = answer.iter_lines()
        assert next(events) == "data: first"
        upstream.release.set()
        assert [line for line in events if line] == ["data: second"]


def test_an_answer_may_take_longer_than_connecting_and_sending(upstream: Upstream) -> None:
    """As `Prefer: wait=60` does, which takes as long as those two timeouts; beyond reading's, it is cut."""
    shorter = {
        "proxy_connect_timeout 60s": "proxy_connect_timeout 500ms",
        "proxy_send_timeout 60s": "proxy_send_timeout 500ms",
        "proxy_read_timeout 300s": "proxy_read_timeout 6s",
    }
    with running_front((upstream.port, 1), shorter) as front, front.client() as client:
        assert client.get("/hold?s=1.5", headers={"Prefer": "wait=60"}).status_code == 200
        cut = client.get("/hold?s=12")
    assert (cut.status_code, cut.headers["Content-Type"]) == (504, PROBLEM)


@pytest.mark.parametrize(
    ("path", "most"), [("/api/jobs", LONGEST_BODY_BYTES), ("/api/jobs/bulk", LONGEST_BULK_BYTES)]
)
def test_a_body_may_be_as_long_as_the_gateway_takes_it(front: Front, path: str, most: int) -> None:
    with front.client() as client:
        assert client.post(path, content=b"x" * most).json()["received"] == most
        refused = client.post(path, content=b"x" * (most + 1))
    assert (refused.status_code, refused.headers["Content-Type"]) == (413, PROBLEM)


def test_the_gateway_hears_the_address_that_nginx_saw(front: Front) -> None:
    forged = {"X-Forwarded-For": "192.0.2.66", "X-Request-Id": "bad id", "Host": "api.example.org"}
    with front.client("127.0.0.3") as client:
        heard = client.get("/", headers=forged).json()["headers"]
        own = client.get("/", headers={"X-Request-Id": "call-7"}).json()["headers"]
    assert heard["X-Forwarded-For"] == "127.0.0.3"
    assert heard["X-Forwarded-Proto"] == "https"
    assert heard["Host"] == "api.example.org"
    assert len(heard["X-Request-Id"]) == 32
    assert own["X-Request-Id"] == "call-7"


def test_an_upgrade_is_passed_on_and_no_other_connection_is_closed(front: Front) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    with front.client() as client:
        asked = client.get("/", headers=upgrade).json()["headers"]
        plain = client.get("/").json()["headers"]
    assert (asked["Connection"], asked["Upgrade"]) == ("upgrade", "websocket")
    assert "Connection" not in plain


def test_flower_asks_for_a_password(front: Front) -> None:
    with front.client() as client:
        assert client.get("/flower/").status_code == 401
        assert client.get("/flower/", auth=("admin", "guess")).status_code == 401
        seen = client.get("/flower/tasks?page=2", auth=("admin", "of-flower"))
    assert seen.json()["path"] == "/flower/tasks?page=2"


def test_without_any_gateway_it_says_so() -> None:
    with running_front((1, 1), {}) as front, front.client() as client:
        answer = client.get("/api/jobs")
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, PROBLEM)
    assert answer.json()["error"]["type"] == "service_unavailable"


def test_a_configuration_with_a_mistake_is_refused() -> None:
    debian("nginx")
    with room() as directory:
        broken = directory / "broken.conf"
        broken.write_text(CONFIG.read_text().replace("limit_req_status", "limit_request_status"))
        gateways = {"gateway-1:8000": "127.0.0.1:1", "gateway-2:8000": "127.0.0.1:2"}
        here: Path = check.render(TOOLS, broken, directory, gateways)
        with pytest.raises(Invalid, match="limit_request_status"):
            TOOLS.run([TOOLS.debian("nginx"), "-t", "-q", "-c", here])
