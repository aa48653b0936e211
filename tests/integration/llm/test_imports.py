from __future__ import annotations

import subprocess
import sys


def test_the_catalog_and_routes_never_load_litellm() -> None:
    program = (
        "import sys; from factory.llm import answer, catalog, route; catalog.load_catalog('');"
        "sys.exit('litellm' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
