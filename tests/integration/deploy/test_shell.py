"""Shell scripts are read by shellcheck, which is shown to find what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.validate.checks.shell import check
from deploy.validate.tools import Invalid, Tools
from tests.integration.deploy.tools import debian


def test_a_script_that_splits_its_words_is_found(tmp_path: Path) -> None:
    debian("shellcheck")
    place = tmp_path / "deploy"
    place.mkdir()
    (place / "copy.sh").write_text("#!/bin/sh\ncp $1 $2\n")
    with pytest.raises(Invalid, match="SC2086"):
        check(Tools(tmp_path))
