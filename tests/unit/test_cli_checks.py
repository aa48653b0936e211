"""What the doctor says of the servers' versions."""

from __future__ import annotations

import pytest

from factory.cli.check import Status
from factory.cli.checks import check_vector


@pytest.mark.parametrize("version", ["0.8.0", "0.8.6", "0.10.0", "1.0"])
def test_a_pgvector_that_scans_on_is_taken(version: str) -> None:
    found = check_vector(version)
    assert (found.status, found.detail) == (Status.OK, version)


@pytest.mark.parametrize("version", ["0.4.0", "0.7.4", None])
def test_a_pgvector_that_searches_cannot_use_is_refused(version: str | None) -> None:
    assert check_vector(version).status is Status.FAIL
