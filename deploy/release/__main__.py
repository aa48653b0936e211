"""`python -m deploy.release [--out DIRECTORY]`: builds the release of the commit that is checked out.

Wheel, source distribution, image context, OpenAPI document, SBOM and SHA256SUMS. The version is that of the
commit's tag `v1.2.3`; of another commit it is a development version, which names the commit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.release.build import build
from deploy.validate.tools import Invalid, Tools, Unavailable

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str]) -> int:
    """Prints what was built."""
    parser = argparse.ArgumentParser(prog="release", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIRECTORY")
    out = parser.parse_args(arguments).out.resolve()
    try:
        version = build(Tools(ROOT), ROOT, out)
    except Unavailable as reason:
        print(f"release skipped: {reason}")
        return 0
    except Invalid as error:
        print(f"release FAILED\n{error}", file=sys.stderr)
        return 1
    for path in sorted(out.iterdir()):
        print(f"{path.stat().st_size:>10,}  {path.name}")
    print(f"release: ok {version}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
