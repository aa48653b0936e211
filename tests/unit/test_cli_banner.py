from __future__ import annotations

import json
import shlex
from dataclasses import replace

from factory.cli.banner import Banner, Flower

BANNER = Banner(
    "http://127.0.0.1:8000",
    "af_0_secret",
    "anthropic/claude-haiku-4-5",
    "http://127.0.0.1:9090/metrics",
    Flower("http://127.0.0.1:5555", "factory", "pw"),
    ("openai", "ollama"),
)


def test_the_command_can_be_pasted_into_a_shell() -> None:
    lines = BANNER.lines()
    command = "\n".join(lines[next(i for i, line in enumerate(lines) if line.startswith("curl")) :])
    words = shlex.split(command.replace("\\\n", ""))
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:8000/api/jobs"]
    assert "Authorization: Bearer af_0_secret" in words
    assert "Prefer: wait=30" in words
    assert json.loads(words[-1])["model"] == "anthropic/claude-haiku-4-5"


def test_simulation_is_said_aloud() -> None:
    assert "SIMULATED providers: not a model" in BANNER.lines()[0]


def test_real_providers_are_not_called_simulated() -> None:
    assert "SIMULATED" not in "\n".join(
        Banner("http://127.0.0.1:8000", "k", "openai/gpt-4o-mini").lines()
    )


def test_that_webhooks_may_go_to_this_machine_is_said_aloud() -> None:
    assert "WEBHOOK_ALLOW_LOOPBACK" not in "\n".join(BANNER.lines())
    open_to_itself = replace(BANNER, loopback_webhooks=True)
    assert any("WEBHOOK_ALLOW_LOOPBACK" in line for line in open_to_itself.lines())


def test_no_line_has_control_codes() -> None:
    assert "\x1b" not in "\n".join(BANNER.lines())


def test_the_banner_fits_a_narrow_terminal_but_for_what_is_to_be_pasted() -> None:
    told = replace(BANNER, simulator_url="http://127.0.0.1:9800", loopback_webhooks=True).lines()
    assert "simulator  http://127.0.0.1:9800  (docs/simulator.md)" in told
    assert all(
        len(line) <= 80 for line in told[: told.index("Submit a job and wait for its result:")]
    )
