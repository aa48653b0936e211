"""What CONTRIBUTING.md asks of the code and a tree can show: sizes, and the reason for each broad `except`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).parents[2]
CODE = ("api", "factory", "migrations", "workers")
ALL = (*CODE, "benchmarks", "deploy", "tests")
LONGEST_FILE = 300
BROAD = {"BaseException", "Exception"}
NOQA = re.compile(r"#\s*noqa(:\s*[A-Z0-9, ]+)?")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def _files(folders: tuple[str, ...]) -> list[Path]:
    found = chain.from_iterable((ROOT / folder).rglob("*.py") for folder in folders)
    return [path for path in found if path.parent.name != "versions"]


def _lines_of(path: Path) -> Iterator[int]:
    """How many lines each function has, its signature and docstring among them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield (node.end_lineno or node.lineno) - node.lineno + 1


def _unexplained(text: str) -> list[int]:
    """The lines of broad `except`s without a comment on them or right above."""
    lines = text.splitlines()
    handlers = [one for one in ast.walk(ast.parse(text)) if isinstance(one, ast.ExceptHandler)]
    return [one.lineno for one in handlers if _is_broad(one) and not _has_reason(one, lines)]


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(one, ast.Name) and one.id in BROAD for one in caught)


def _has_reason(handler: ast.ExceptHandler, lines: list[str]) -> bool:
    _, _, beside = NOQA.sub("#", lines[handler.lineno - 1]).partition("#")
    above = lines[handler.lineno - 2].strip()
    return bool(beside.strip(" -#")) or above.startswith("#")


def test_no_file_is_longer_than_a_reader_keeps_in_mind() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in _files(ALL)}
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_functions_are_short() -> None:
    lines = list(chain.from_iterable(map(_lines_of, _files(CODE))))
    assert median(lines) <= 7
    assert quantiles(lines, n=10)[-1] <= 18


def test_each_broad_except_has_its_reason_beside_it() -> None:
    found = {path: _unexplained(path.read_text()) for path in _files((*CODE, "deploy"))}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("handler", "explained"),
    [
        ("except Exception:", False),
        ("except:", False),
        ("except (OSError, BaseException) as error:", False),
        ("except Exception:  # noqa: BLE001", False),
        ("except Exception:  # noqa: BLE001 - the caller must learn it", True),
        ("except Exception:  # the caller must learn it", True),
        ("# The caller must learn it.\nexcept Exception:", True),
        ("except (OSError, ValueError):", True),
    ],
)
def test_a_reason_is_a_comment_on_the_line_or_right_above(handler: str, explained: bool) -> None:
    assert (_unexplained(f"try:\n    pass\n{handler}\n    pass\n") == []) is explained
