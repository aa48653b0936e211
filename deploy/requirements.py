"""Resolves and pins anew what the `.in` files ask for: `make requirements`.

A package whose extra another one asks for, such as `pydantic[email]`, stands there twice: with the extra and without.
With one line of the two, pip before 24 refuses the hashes (https://github.com/pypa/pip/issues/9644).
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).with_name("uv")
OPTIONS = ("-q", "--no-header", "--no-annotate", "--no-strip-extras", "--generate-hashes")
WITH_EXTRA = re.compile(r"^([\w.-]+)\[[^]]+\](==[^\n]*(?:\n    --hash=[^\n]*)*)$", re.MULTILINE)


def main() -> None:
    """All files, each from its own."""
    for source in sorted(ROOT.glob("requirements*.in")):
        target = source.with_suffix(".txt")
        files = [str(source), "-o", str(target)]
        command = [str(UV), "pip", "compile", *OPTIONS, "--python-version", "3.11", *files]
        subprocess.run(command, check=True)
        target.write_text(with_bare_lines(target.read_text()))


def with_bare_lines(text: str) -> str:
    """Before each line with an extra, the same one without."""
    return WITH_EXTRA.sub(r"\1\2\n\g<0>", text)


if __name__ == "__main__":
    main()
