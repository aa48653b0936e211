"""What an update asks of docker, in which order, by a docker that only writes down what it is asked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
UPDATE = str(ROOT / "deploy/compose/update.sh")


RANGE = "172.30.252.128/25"
DOCKER = """#!/bin/sh
echo "$*" >> {said}
case "$*" in network*) echo {found};; *{failing}*) exit 1;; esac
"""


def asked(
    directory: Path, *options: str, failing: str = "nothing", found: str = RANGE
) -> list[str]:
    said = directory / "said"
    docker = directory / "docker"
    docker.write_text(DOCKER.format(said=said, found=found, failing=failing))
    docker.chmod(0o755)
    path = f"{directory}:{os.environ['PATH']}"
    subprocess.run([UPDATE, *options], env={"PATH": path}, check=False, timeout=60)
    look, *rest = said.read_text().splitlines()
    assert look.startswith("network inspect")
    return rest


def test_a_network_without_a_range_stops_it_before_anything_has_changed(tmp_path: Path) -> None:
    assert asked(tmp_path, found="") == []


def test_the_schema_goes_first_and_gateways_last_one_after_the_other(tmp_path: Path) -> None:
    assert asked(tmp_path, "--scale", "worker=3") == [
        "compose build",
        "compose run --rm migrate",
        "compose up -d --no-deps --wait --scale dispatcher=2 dispatcher",
        "compose up -d --no-deps --wait --scale worker=3 worker exporter flower",
        "compose up -d --no-deps --wait gateway-1",
        "compose up -d --no-deps --wait gateway-2",
    ]


@pytest.mark.parametrize(("failing", "last"), [("migrate", "migrate"), ("gateway-1", "gateway-1")])
def test_what_fails_stops_it_and_the_rest_serves_on(
    tmp_path: Path, failing: str, last: str
) -> None:
    assert asked(tmp_path, failing=failing)[-1].endswith(last)
