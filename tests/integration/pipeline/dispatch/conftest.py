"""Workers here never beat, and live for as long as any test takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from factory.services import Services

LEASE_S = 600.0


@pytest.fixture
def services(services: Services) -> Services:
    settings = services.settings.model_copy(update={"lease_s": LEASE_S})
    return replace(services, settings=settings)
