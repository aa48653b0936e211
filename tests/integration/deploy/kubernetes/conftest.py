"""The manifests as kubectl renders them, once for all tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from deploy.validate.manifests import FOLDERS, KUBERNETES, render
from deploy.validate.tools import Tools, Unavailable
from tests.integration.deploy.kubernetes.cluster import Cluster

ROOT = Path(__file__).parents[4]
INSTALL_S = 900
"""The first test that needs a tool installs it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(INSTALL_S))


@pytest.fixture(scope="session")
def tools() -> Tools:
    return Tools(ROOT)


@cache
def _rendered(folder: str) -> Cluster:
    try:
        return Cluster(render(Tools(ROOT), ROOT / KUBERNETES / folder))
    except Unavailable as reason:
        pytest.skip(f"kubectl cannot be had here: {reason}")


@pytest.fixture(scope="session")
def base() -> Cluster:
    return _rendered("base")


@pytest.fixture(scope="session")
def production() -> Cluster:
    return _rendered("overlays/production")


@pytest.fixture(scope="session")
def dev() -> Cluster:
    return _rendered("overlays/dev")


@pytest.fixture(scope="session", params=FOLDERS)
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """Each of them."""
    return _rendered(request.param)
