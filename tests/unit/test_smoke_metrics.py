"""What the smoke test says of an address that answers something else than metrics."""

from __future__ import annotations

import pytest

from deploy.smoke.steps import Broken, _understood


def test_an_answer_without_metrics_is_told_without_secrets():
    with pytest.raises(Broken) as told:
        _understood("http://me:hidden@metrics.internal/metrics", lambda: float("hidden"))
    assert "metrics.internal" in str(told.value)
    assert "hidden" not in str(told.value)
