"""What is shipped names the providers that there are files of, and no others."""

from __future__ import annotations

import pytest

from deploy.providers import FILES, ROOT, made


@pytest.mark.parametrize("name", FILES)
def test_the_file_names_every_provider(name: str) -> None:
    text = (ROOT / name).read_text()
    assert made(name, text) == text, "run: python -m deploy.providers"


@pytest.mark.parametrize("name", FILES[:-1])
def test_a_file_without_its_marks_is_found(name: str) -> None:
    text = (ROOT / name).read_text().replace("made by python -m deploy.providers", "")
    with pytest.raises(ValueError, match="has 0 marks"):
        made(name, text)
