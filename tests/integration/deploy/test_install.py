"""What the set-up compiles beforehand."""

from __future__ import annotations

import os
import subprocess
import sys

from deploy.install import PROGRAMS


def test_what_the_programs_import_can_be_imported_without_any_setting() -> None:
    """Where it cannot, each `make` complains, and tries again."""
    bare = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    for modules in PROGRAMS:
        subprocess.run([sys.executable, "-c", f"import {modules}"], env=bare, check=True)
