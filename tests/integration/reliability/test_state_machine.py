"""Random lives of jobs over a real Postgres, held against a model of what may become of them."""

from __future__ import annotations

import pytest
from hypothesis.stateful import run_state_machine_as_test

from factory.services import Services
from tests.integration.reliability.lives import LIVES
from tests.integration.reliability.machine import JobsMachine


@pytest.mark.timeout(900)
def test_whatever_happens_jobs_obey_their_rules(hasty: Services) -> None:
    run_state_machine_as_test(lambda: JobsMachine(hasty), settings=LIVES)
