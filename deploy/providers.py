"""Writes the settings and lanes of each provider into the files that are shipped: `python -m deploy.providers`. The
values come from the providers' own files. They are written between marks, and a test compares them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from factory.domain.lanes import LOCAL, OTHER, SEARCH, UNUSUAL, WEBHOOK, lanes_of
from factory.providers import PROVIDERS

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"^(?P<indent> *)(?P<begin># |<!-- )made by python -m deploy\.providers(?P<end>(?: -->)?)\n"
    r".*?^ *(?:# end|<!-- end -->)\n",
    re.DOTALL | re.MULTILINE,
)
GENERAL = re.compile(rf"\('{LOCAL}\.high'.*?\)", re.DOTALL)
"""In KEDA's queries, the lanes of the workers that serve what has no workers of its own."""
KEYS = tuple(one.key.setting for one in PROVIDERS if one.key)


def compose() -> Iterator[str]:
    """What workers get of the environment."""
    yield from (f"{name}:" for name in KEYS)
    yield from (f"{one.base_url.setting}:" for one in PROVIDERS)


def worker() -> Iterator[str]:
    """Keys that a pod has if the Secret has them."""
    for name in KEYS:
        reference = f"{{name: agent-factory-secrets, key: {name}, optional: true}}"
        yield f"- name: {name}"
        yield f"  valueFrom: {{secretKeyRef: {reference}}}"


def guide() -> Iterator[str]:
    """The sentence on keys beside the first."""
    *names, last = (f"`{name}`" for name in KEYS[1:])
    yield f"{', '.join(names)} and {last} are optional too."


BLOCKS: Mapping[str, Callable[[], Iterator[str]]] = {
    "docker-compose.yml": compose,
    "deploy/kubernetes/base/workers/template/worker.yaml": worker,
    "docs/operations/kubernetes.md": guide,
}
QUERIES = "deploy/kubernetes/components/keda/scaledobjects.yaml"
FILES = (*BLOCKS, QUERIES)


def made(name: str, text: str) -> str:
    """The file as the providers have it now. Raises ValueError if it has lost its marks."""
    if name == QUERIES:
        return GENERAL.sub(_general_lanes(), text)
    found, times = BLOCK.subn(lambda match: _block(match, BLOCKS[name]()), text)
    if times != 1:
        raise ValueError(f"{name} has {times} marks of providers")
    return found


def _block(match: re.Match[str], lines: Iterator[str]) -> str:
    indent, begin, end = match["indent"], match["begin"], match["end"]
    first = f"{indent}{begin}made by python -m deploy.providers{end}"
    return "\n".join(
        [first, *(f"{indent}{line}" for line in lines), f"{indent}{begin}end{end}", ""]
    )


def _general_lanes() -> str:
    groups = (LOCAL, SEARCH, WEBHOOK, OTHER, *sorted(UNUSUAL))
    rows = (", ".join(f"'{lane}'" for lane in lanes_of(group)) for group in groups)
    return "(" + ",\n          ".join(rows) + ")"


def main() -> None:
    """Writes all of them."""
    for name in FILES:
        path = ROOT / name
        path.write_text(made(name, path.read_text()))


if __name__ == "__main__":
    main()
