"""Which blocks a page has, what is to be done with each, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.docs.blocks import Block, all_blocks, commands, read_blocks
from deploy.docs.run import runnable_pages, script

ROOT = Path(__file__).parents[2]
PAGE = """# A page

<!-- file: hello.py -->
```python
print("hello")
```

<!-- runnable -->
```sh
python hello.py
```

```console
$ echo one \\
    two
one two
$ echo three
three
```
"""


def test_a_page_has_its_blocks_with_their_lines_and_marks() -> None:
    found = [(one.line, one.language, one.mark) for one in read_blocks(PAGE, "page.md")]
    assert found == [(5, "python", "file: hello.py"), (10, "sh", "runnable"), (14, "console", "")]


def test_of_a_console_only_what_was_typed_is_a_script() -> None:
    [*_, console] = read_blocks(PAGE, "page.md")
    assert console.shell() == "echo one \\\n    two\necho three\n"
    assert commands("nothing typed\n") == ""
    loop = "$ for n in 1 2; do\n  echo $n; done\n1\n2\n"
    assert commands(loop) == "for n in 1 2; do\n  echo $n; done\n"


def test_a_fence_within_a_fence_is_text() -> None:
    text = "````md\n<!-- runnable -->\n```sh\nrm -rf /\n```\n````\n"
    assert [one.language for one in read_blocks(text, "page.md")] == ["md"]


def test_a_pages_script_writes_its_files_and_ends_at_the_first_error(tmp_path: Path) -> None:
    text = script([one for one in read_blocks(PAGE, "page.md") if one.mark], tmp_path)
    assert (tmp_path / "hello.py").read_text() == 'print("hello")\n'
    assert text.splitlines() == ["set -euo pipefail", "echo '# page.md:10' >&2", "python hello.py"]


def test_a_page_without_a_runnable_block_is_not_run() -> None:
    one, other = Block("a.md", 1, "sh", "true\n", "runnable"), Block("b.md", 1, "sh", "true\n")
    file = Block("b.md", 1, "python", "", "file: x.py")
    assert runnable_pages([one, other, file]) == {"a.md": [one]}


@pytest.mark.parametrize(
    "page", ["docs/tutorial/first-jobs.md", "docs/how-to/webhooks.md", "docs/how-to/openai.md"]
)
def test_the_pages_that_newcomers_follow_are_run(page: str) -> None:
    assert page in runnable_pages(all_blocks(ROOT))
