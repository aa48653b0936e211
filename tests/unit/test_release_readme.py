"""The README on PyPI: whole addresses where GitHub has the files, and nothing changed where it has not."""

from __future__ import annotations

import pytest

from deploy.release.readme import published

TEXT = (
    "![a way](docs/way.svg) [guide](docs/guide.md#start) [site](https://example.com) [here](#top)"
)
WHOLE = (
    "![a way](https://raw.githubusercontent.com/some/thing/abc/docs/way.svg?sanitize=true)"
    " [guide](https://github.com/some/thing/blob/abc/docs/guide.md#start)"
    " [site](https://example.com) [here](#top)"
)


@pytest.mark.parametrize(
    "origin",
    [
        "https://github.com/some/thing",
        "https://github.com/some/thing.git",
        "git@github.com:some/thing.git",
        "ssh://git@github.com/some/thing",
    ],
)
def test_links_lead_to_the_commit(origin: str) -> None:
    assert published(TEXT, origin, "abc") == WHOLE


@pytest.mark.parametrize("origin", ["", "/srv/git/thing.git", "https://gitlab.com/some/thing"])
def test_elsewhere_they_stay_as_they_are(origin: str) -> None:
    assert published(TEXT, origin, "abc") == TEXT
