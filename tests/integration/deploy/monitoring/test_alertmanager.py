"""Alertmanager runs with the shipped file, and tells Slack what fires: by the URL in a file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from deploy.validate.servers import free_port
from deploy.validate.tools import Tools, Unavailable
from tests.acceptance.stack import eventually
from tests.integration.deploy.monitoring.rig import MONITORING, ROOT
from tests.integration.pipeline.receiver import Receiver

ALERT = {
    "labels": {"alertname": "HighErrorRate", "severity": "critical"},
    "annotations": {
        "description": "9 % of the requests ended with a 5xx.",
        "runbook_url": "docs/operations/alerts.md#higherrorrate",
    },
}


@pytest.fixture
def slack() -> Iterator[Receiver]:
    with Receiver() as made:
        made.status, made.answer = 200, b"ok"
        yield made


@pytest.fixture
def alertmanager(tmp_path: Path, slack: Receiver) -> Iterator[str]:
    """Its URL."""
    try:
        program = Tools(ROOT).debian("prometheus-alertmanager")
    except Unavailable as reason:
        pytest.skip(str(reason))
    config = yaml.safe_load((MONITORING / "alertmanager/alertmanager.yml").read_text())
    config["route"]["group_wait"] = "1s"
    (tmp_path / "slack_url").write_text(slack.url)
    for receiver in config["receivers"]:
        for one in receiver["slack_configs"]:
            assert one["api_url_file"] == "/etc/alertmanager/secrets/slack_url"
            one["api_url_file"] = str(tmp_path / "slack_url")
    file = tmp_path / "alertmanager.yml"
    file.write_text(yaml.safe_dump(config))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [program, f"--config.file={file}", f"--storage.path={tmp_path / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            eventually(lambda: _ready(url))
            yield url
        finally:
            process.terminate()
            process.wait(60)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_what_fires_is_told_to_the_channel_with_its_runbook(
    alertmanager: str, slack: Receiver
) -> None:
    told = httpx.post(f"{alertmanager}/api/v2/alerts", json=[ALERT], trust_env=False, timeout=60)
    told.raise_for_status()

    received = eventually(lambda: list(slack.received))
    message = json.loads(received[0].body)
    assert message["channel"] == "#agent-factory-alerts"
    [attachment] = message["attachments"]
    assert attachment["title"] == "CRITICAL HighErrorRate"
    assert ALERT["annotations"]["description"] in attachment["text"]
    assert ALERT["annotations"]["runbook_url"] in attachment["text"]


def test_it_waits_and_repeats_as_the_guide_says() -> None:
    config = yaml.safe_load((MONITORING / "alertmanager/alertmanager.yml").read_text())
    route = config["route"]
    assert route["group_by"] == ["alertname", "severity"]
    times = [route[name] for name in ("group_wait", "group_interval", "repeat_interval")]
    assert times == ["10s", "10m", "12h"]
