"""The documentation's own checks: each fails on a page that is wrong."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from deploy.docs.blocks import Block, read_blocks
from deploy.docs.check import check_blocks
from deploy.docs.reference import made
from deploy.docs.run import run_script, script
from deploy.docs.site import SCRIPT, build
from deploy.validate.tools import Invalid, Tools, Unavailable

pytestmark = pytest.mark.timeout(900)
ROOT = Path(__file__).parents[3]


def test_the_page_of_metrics_is_that_of_the_code() -> None:
    name = "docs/reference/metrics.md"
    assert (ROOT / name).read_text() == made(name), "run: python -m deploy.docs reference"


@pytest.mark.parametrize(
    ("language", "code", "said"),
    [
        ("sh", "docker compose up -d )\n", "page.md:10"),
        ("bash", "if true; then echo\n", "page.md:10"),
        ("console", "$ kubectl get pods 'agent\n", "page.md:10"),
        ("python", "def broken(:\n", "page.md:10"),
        ("json", '{"model": }\n', "page.md:10"),
        ("yaml", "a: [1\n", "page.md:10"),
    ],
)
def test_a_block_that_its_language_cannot_read_is_found(
    language: str, code: str, said: str
) -> None:
    with pytest.raises(Invalid, match=said):
        check_blocks(_tools(), [Block("page.md", 10, language, code)])


def test_a_mark_with_a_slip_is_found() -> None:
    blocks = read_blocks("<!-- runable -->\n```sh\ntrue\n```\n", "page.md")
    with pytest.raises(Invalid, match="no mark 'runable'"):
        check_blocks(_tools(), blocks)


def test_blocks_that_are_right_are_counted() -> None:
    blocks = [Block("p.md", 1, "sh", "true\n"), Block("p.md", 5, "json", "{}\n")]
    assert check_blocks(_tools(), blocks) == "1 json, 1 sh"


def test_a_block_that_fails_ends_its_page(tmp_path: Path) -> None:
    blocks = [Block("page.md", line, "sh", code, "runnable") for line, code in _FAILING]
    code, said = run_script(script(blocks, tmp_path), tmp_path, dict(os.environ))
    assert code == 1
    assert said.splitlines() == ["# page.md:1", "# page.md:5"]


_FAILING = ((1, "sleep 600 &\n"), (5, "false\n"), (9, "echo never\n"))


@pytest.mark.parametrize("link", ["nowhere.md", "index.md#nowhere"])
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path, link: str) -> None:
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Page\n\n[link]({link})\n")
    with pytest.raises(Invalid, match=r"nowhere[\s\S]*strict"):
        build(_tools("mkdocs"), tmp_path, tmp_path / "site")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What its builder said, and where it is."""
    target = tmp_path_factory.mktemp("docs") / "site"
    return build(_tools("mkdocs"), ROOT, target), target


def test_the_site_is_built_with_every_page(site: tuple[str, Path]) -> None:
    _, built = site
    wanted = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    assert [
        str(page)
        for page in sorted(wanted)
        if page.name != "index.md" and not (built / page.with_suffix("") / "index.html").exists()
    ] == []
    assert (built / "openapi.json").exists()


def test_the_site_draws_its_diagrams_itself(site: tuple[str, Path]) -> None:
    """The theme takes a script of the page's own, and fetches one from elsewhere where there is none."""
    said, built = site
    page = (built / "architecture/index.html").read_text()
    assert '<pre class="mermaid">' in page
    assert f'src="../{SCRIPT}"' in page
    script = (built / SCRIPT).read_text()
    assert "mermaid" in script
    assert ("diagrams drawn" in said) is (len(script) > 100_000)


def _tools(name: str = "shellcheck") -> Tools:
    tools = Tools(ROOT)
    try:
        tools.python(name)
    except Unavailable as reason:
        pytest.skip(str(reason))
    return tools
