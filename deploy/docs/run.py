"""Runs the blocks that are marked runnable: page by page, each page in one shell, against a platform of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from deploy.docs.blocks import Block
from deploy.smoke.platform import environment, own_platform
from deploy.smoke.steps import Target
from deploy.validate.tools import Invalid

ROOT = Path(__file__).resolve().parents[2]
PAGE_S = 300.0


def run_pages(blocks: Iterable[Block]) -> str:
    """What was run. Raises Invalid with the page's output, and the line that failed."""
    pages = runnable_pages(blocks)
    if not pages:
        raise Invalid("no page has a block that is marked runnable")
    with own_platform(PAGE_S) as target:
        for page, found in pages.items():
            _run_page(page, found, target)
    return f"{sum(map(len, pages.values()))} blocks of {len(pages)} pages"


def runnable_pages(blocks: Iterable[Block]) -> dict[str, list[Block]]:
    """The marked blocks of the pages that have a runnable one."""
    pages = defaultdict(list)
    for block in blocks:
        if block.runnable or block.file:
            pages[block.page].append(block)
    return {page: found for page, found in pages.items() if any(one.runnable for one in found)}


def _run_page(page: str, blocks: Sequence[Block], target: Target) -> None:
    with tempfile.TemporaryDirectory(prefix="factory-page-") as scratch:
        directory = Path(scratch)
        directory.chmod(0o711)
        shutil.copytree(ROOT / "agents", directory / "agents")
        (directory / ".curlrc").write_text("fail-with-body\n")  # an error is a fault of the page
        code, said = run_script(script(blocks, directory), directory, _variables(directory, target))
    if code != 0:
        raise Invalid(f"{page} exited {code}\n{said}")


def script(blocks: Iterable[Block], directory: Path) -> str:
    """One script of a page's blocks; it says which block it is at, and ends at the first that fails."""
    lines = ["set -euo pipefail"]
    for block in blocks:
        if block.file:
            (directory / block.file).write_text(block.code)
        else:
            lines += [f"echo '# {block.place}' >&2", block.shell() or ""]
    return "\n".join(lines)


def run_script(text: str, directory: Path, variables: Mapping[str, str]) -> tuple[int, str]:
    """Exit code and all output. What the script leaves running in the background ends with it."""
    log = directory / ".output"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["bash", "-c", text],
            cwd=directory,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(PAGE_S)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        finally:
            _end_group(process.pid)
            process.wait()
    return code, log.read_text()


def _end_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def _variables(directory: Path, target: Target) -> dict[str, str]:
    """What a reader has who followed the tutorial: the commands, and the platform that runs."""
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    return {
        **environment(directory),
        "CURL_HOME": str(directory),
        "FACTORY_HOME": target.home,
        "FACTORY_URL": target.url,
        "FACTORY_API_KEY": target.key,
        "METRICS_URL": target.exporter or "",
        "PATH": path,
        "PYTHONPATH": str(ROOT),
    }
