"""Every code block, read by its own language's tool; nothing is run."""

from __future__ import annotations

import ast
import configparser
import json
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from deploy.docs.blocks import RUNNABLE, SHELL, Block
from deploy.validate.tools import Invalid, Tools
from factory.env_file import parse_env

NOT_A_FAULT = "SC2034,SC2148"
"""Variables that a later block uses; the shebang that no block has."""
Parse = Callable[[str], object]


def check_blocks(tools: Tools, blocks: Iterable[Block]) -> str:
    """How many of which language were read. Raises Invalid that names each block that is wrong."""
    found = list(blocks)
    faults = [*_marks(found), *_parsed(found), *_shell(tools, found)]
    if faults:
        raise Invalid("\n".join(faults))
    read = Counter(block.language for block in found if block.shell() or block.language in PARSERS)
    return ", ".join(f"{count} {language}" for language, count in sorted(read.items()))


def _marks(blocks: Iterable[Block]) -> Iterator[str]:
    """A mark with a slip would leave its block unchecked for ever."""
    for block in blocks:
        if block.mark.startswith(RUNNABLE[:3]) and not block.runnable:
            yield f"{block.place}: no mark {block.mark!r}"
        if block.runnable and block.shell() is None:
            yield f"{block.place}: only {', '.join(SHELL)} and console are run"
        if block.file and Path(block.file).name != block.file:
            yield f"{block.place}: a file is named without a folder"


def _ini(text: str) -> object:
    """Also of programs whose files have no sections."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    parser.read_string(f"[page]\n{text}")
    return parser


PARSERS: Mapping[str, Parse] = {
    "python": ast.parse,
    "json": json.loads,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
    "toml": tomllib.loads,
    "ini": _ini,
    "dotenv": parse_env,
}


def _parsed(blocks: Iterable[Block]) -> Iterator[str]:
    for block in blocks:
        if parse := PARSERS.get(block.language):
            try:
                parse(block.code)
            except (ValueError, SyntaxError, yaml.YAMLError, configparser.Error) as error:
                yield f"{block.place}: {error}"


def _shell(tools: Tools, blocks: Iterable[Block]) -> Iterator[str]:
    """By ShellCheck, one file a block, named as its place is; errors only: style is the page's."""
    scripts = [(block, code) for block in blocks if (code := block.shell())]
    with tempfile.TemporaryDirectory(prefix="factory-docs-") as scratch:
        places = {}
        for number, (block, code) in enumerate(scripts):
            path = Path(scratch, f"{number}.sh")
            path.write_text(code)
            places[str(path)] = block
        yield from _faults(tools, places)


def _faults(tools: Tools, places: Mapping[str, Block]) -> Iterator[str]:
    if not places:
        return
    options = ("--shell=bash", "--severity=error", f"--exclude={NOT_A_FAULT}", "--format=json")
    try:
        tools.run([tools.python("shellcheck"), *options, *places])
    except Invalid as error:
        said = str(error).partition("\n")[2]
        for one in json.loads(said):
            block = places[one["file"]]
            yield f"{block.page}:{block.line + one['line'] - 1}: {one['message']}"
