"""`factory users`, and the first administrator of `factory up`."""

from __future__ import annotations

import json

import httpx

from tests.integration.cli.conftest import CommandLine, stop

PASSWORD = "correct pony battery"


def _accept(url: str, token: str) -> httpx.Response:
    body = {"token": token, "password": PASSWORD}
    return httpx.post(f"{url}/api/auth/accept-invitation", json=body, trust_env=False, timeout=60)


def test_the_first_administrator_is_shown_once_and_manages_others(
    command_line: CommandLine,
) -> None:
    process = command_line.up()
    try:
        assert process.stdout is not None
        shown = json.loads(process.stdout.readline())
        url, token = shown["api_url"], shown["admin_invitation"]
        assert command_line.json("up")["admin_invitation"] is None
        accepted = _accept(url, token)
        assert accepted.status_code == 200, accepted.text
        assert accepted.json()["user"]["is_admin"]
        assert _accept(url, token).status_code == 401

        made = command_line.json("users", "invite", "Ada@example.com", "--name", "Ada")
        assert (made["user"]["email"], made["user"]["state"]) == ("ada@example.com", "invited")
        assert _accept(url, made["invitation"]["token"]).status_code == 200
        again = command_line.json("users", "reset-password", "ada@example.com")
        assert _accept(url, again["invitation"]["token"]).status_code == 200
        assert command_line.run("users", "invite", "ada@example.com").returncode == 2
        ended = command_line.json("users", "deactivate", "ada@example.com")
        assert ended["state"] == "deactivated"

        last = command_line.run("users", "deactivate", "admin@localhost")
        assert "the last administrator" in last.stderr
        assert last.returncode == 2
        listed = command_line.json("users", "list")["data"]
        assert [one["state"] for one in listed] == ["deactivated", "active"]
        assert "ada@example.com" in command_line.run("users", "list").stdout
    finally:
        assert stop(process) == 0
    assert token not in (command_line.directory / "up.log").read_text()
