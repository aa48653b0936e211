"""Numbers that stand in a server's file and in the code are the same."""

from __future__ import annotations

import re
from pathlib import Path

from api.body import LONGEST_BODY_BYTES
from api.bulk import LONGEST_BULK_BYTES
from api.waiting import LONGEST_WAIT_S
from factory.store.database import STATEMENT_TIMEOUT_S, _connection_options

DEPLOY = Path(__file__).parents[2] / "deploy"
NGINX = (DEPLOY / "nginx" / "nginx.conf").read_text()
GATEWAY = (DEPLOY.parent / "api" / "gunicorn.py").read_text()
MIB = 2**20


def test_pgbouncer_sets_for_a_session_what_programs_would() -> None:
    ini = (DEPLOY / "pgbouncer" / "pgbouncer.ini").read_text()
    set_there = dict(re.findall(r"SET (\w+) = ''(\w+)''", ini))
    options = str(_connection_options("test", STATEMENT_TIMEOUT_S)["options"])
    wanted = dict(re.findall(r"-c (\w+)=(\S+)", options))
    del wanted["plan_cache_mode"]  # of what is prepared, and nothing is
    assert _seconds(wanted) == _seconds(set_there)


def test_nginx_takes_the_bodies_that_the_gateway_takes() -> None:
    sizes = [int(size) * MIB for size in re.findall(r"client_max_body_size (\d+)m;", NGINX)]
    assert sizes == [LONGEST_BODY_BYTES, LONGEST_BULK_BYTES]


def test_nginx_waits_longer_than_a_caller_may_and_keeps_connections_shorter() -> None:
    assert _nginx_seconds("proxy_read_timeout") > LONGEST_WAIT_S
    [kept] = re.findall(r"^keepalive = (\d+)$", GATEWAY, re.M)
    assert _nginx_seconds("keepalive_timeout") < int(kept)


def test_cron_and_timers_agree() -> None:
    cron = (DEPLOY / "cron" / "agent-factory-maintenance").read_text()
    lines = re.findall(
        r"^(\d+) (\d+) \* \* (\S+)  agent-factory  factory maintenance (\w+)(?: --wait 10800)?$",
        cron,
        re.M,
    )
    assert {name: (hour, minute, day) for minute, hour, day, name in lines} == {
        "nightly": ("2", "0", "*"),
        "weekly": ("3", "0", "0"),
    }
    for name, when in {"nightly": "*-*-* 02:00:00 UTC", "weekly": "Sun *-*-* 03:00:00 UTC"}.items():
        unit = DEPLOY / "systemd" / f"agent-factory-maintenance-{name}"
        assert f"OnCalendar={when}\n" in unit.with_suffix(".timer").read_text()
        wait = " --wait 10800" if name == "weekly" else ""
        assert f"factory maintenance {name}{wait}\n" in unit.with_suffix(".service").read_text()


def _seconds(settings: dict[str, str]) -> dict[str, str]:
    """With times in one unit."""
    return {name: re.sub(r"000ms$", "s", value) for name, value in settings.items()}


def _nginx_seconds(directive: str) -> int:
    [found] = re.findall(rf"{directive} (\d+)s;", NGINX)
    return int(found)
